"""What was lost, what came twice, what came out of order: zero of each, or the run has failed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

from tests.chaos.table import Row

#: The 64-bit digest of a change is enough: nobody tries to deceive these tests.
_DIGEST_BYTES = 8


def digest(change: Mapping[str, Any]) -> int:
    """64 bits of everything a change says.  The fragment is left out: it is made anew whenever it is asked
    for."""
    said = {name: value for name, value in change.items() if name != "fragment"}
    canonical = json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
    return int.from_bytes(blake2b(canonical, digest_size=_DIGEST_BYTES).digest(), "big")


class Record(Protocol):
    """What a client kept of what it was given: the seq and the :func:`digest` of each change, in the order in
    which they came, and the gaps it was told of."""

    @property
    def transport(self) -> str: ...
    @property
    def seqs(self) -> Sequence[int]: ...
    @property
    def digests(self) -> Sequence[int]: ...
    @property
    def gaps(self) -> Sequence[Mapping[str, Any]]: ...


class Verdict(NamedTuple):
    """Counts over log, archive and all followers; ``details`` names the first few faults.

    ``lost``: what was accepted and is not in the log, numbers the log leaves out, what a follower was not
    given.  ``differing``: what was given, or archived, otherwise than the log has it, or not archived at all.
    """

    accepted: int
    deliveries: int
    lost: int
    repeated: int
    reordered: int
    differing: int
    gaps: int
    details: tuple[str, ...]

    @property
    def clean(self) -> bool:
        return not (self.lost or self.repeated or self.reordered or self.differing or self.gaps)

    def row(self, name: str, seed: int, faults: int) -> Row:
        """This verdict on a run called ``name``."""
        remark = "; ".join(self.details) if not self.clean else ""
        return Row(name, seed, faults, self.deliveries, self.lost, self.repeated, self.reordered, remark)


class _Findings:
    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.details: list[str] = []

    def note(self, kind: str, what: Sequence[object], sentence: str) -> None:
        """Count ``what`` as ``kind``; the first few are named, in ``sentence``."""
        self.counts[kind] += len(what)
        self.details += [sentence.format(one) for one in what[:3]]


def judge(
    log: Sequence[Mapping[str, Any]],
    accepted: Mapping[str, int],
    followers: Sequence[Record],
    *,
    archive: Sequence[Mapping[str, Any]] | None = None,
    text_of: Callable[[str], str] | None = None,
) -> Verdict:
    """Compare what was accepted with the log; and the log, change by change, with what every follower was given
    and what the archive holds (None: there is none).

    ``accepted`` has the seq of every item's first change, ``text_of`` says what its text was.  A change that
    was redacted since may have been given with its content.
    """
    found = _Findings()
    posted = {change["item"]["id"]: change for change in reversed(log) if change["type"] == "item.posted"}
    ids = Counter(change["item"]["id"] for change in log if change["type"] == "item.posted")
    redacted = {change["seq"] for change in log if change["type"] == "redacted"}
    lost = [
        item_id
        for item_id, seq in accepted.items()
        if (item_id not in posted or posted[item_id]["seq"] != seq) and seq not in redacted
    ]
    found.note("lost", lost, "{} was accepted and is not where it was said to be")
    twice = [item_id for item_id, count in ids.items() if count > 1]
    found.note("repeated", twice, "{} is in the log more than once")
    if text_of is not None:
        other = [id_ for id_ in accepted if id_ in posted and posted[id_]["item"]["text"] != text_of(id_)]
        found.note("differing", other, "{} has another text in the log than was sent")
    numbers = Counter(change["seq"] for change in log)
    holes = [seq for seq in range(1, max(numbers, default=0) + 1) if seq not in numbers]
    found.note("lost", holes, "the log leaves out {}")
    found.note("repeated", [seq for seq, count in numbers.items() if count > 1], "the log has {} twice")
    truth = {change["seq"]: digest(change) for change in log}
    for follower in followers:
        _compare(follower, truth, redacted, found)
    if archive is not None:
        kept = {change["seq"]: digest(change) for change in archive}
        wrong = sorted(seq for seq in truth.keys() | kept.keys() if truth.get(seq) != kept.get(seq))
        found.note("differing", wrong, "the archive has {} otherwise than the log, or only one of them has it")
    gaps = [gap for follower in followers for gap in follower.gaps]
    found.note("gaps", gaps, "a gap was told: {}")
    counts = found.counts
    return Verdict(
        accepted=len(accepted),
        deliveries=sum(len(follower.seqs) for follower in followers),
        lost=counts["lost"],
        repeated=counts["repeated"],
        reordered=counts["reordered"],
        differing=counts["differing"],
        gaps=counts["gaps"],
        details=tuple(found.details),
    )


def _compare(follower: Record, truth: Mapping[int, int], redacted: set[int], found: _Findings) -> None:
    name = f"the {follower.transport} follower"
    counts = Counter(follower.seqs)
    found.note("lost", [seq for seq in truth if seq not in counts], f"{name} was not given {{}}")
    twice = [seq for seq, count in counts.items() if count > 1]
    found.note("repeated", twice, f"{name} was given {{}} twice")
    disorder = [two for one, two in pairwise(follower.seqs) if two <= one]
    found.note("reordered", disorder, f"{name} was given {{}} after a later one")
    given = zip(follower.seqs, follower.digests, strict=True)
    other = [seq for seq, said in given if seq not in redacted and truth.get(seq) != said]
    found.note("differing", other, f"{name} was given another {{}} than the log has")
