"""What was lost, what came twice, what came out of order: zero of each, or the run has failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from tests.chaos.followers import Follower


class Verdict(NamedTuple):
    """Counts over all followers, deliveries included; ``details`` names the first few faults."""

    accepted: int
    deliveries: int
    lost: int
    repeated: int
    reordered: int
    gaps: int
    details: tuple[str, ...]

    @property
    def clean(self) -> bool:
        return not (self.lost or self.repeated or self.reordered or self.gaps)


def judge(
    log: Sequence[Mapping[str, Any]], accepted: Mapping[str, int], followers: Sequence[Follower]
) -> Verdict:
    """Compare what was accepted with the log, and the log with what every follower was given."""
    details: list[str] = []
    posted = [(c["seq"], c["item"]["id"]) for c in log if c["type"] == "item.posted"]
    seq_of = {item_id: seq for seq, item_id in posted}
    lost = [item_id for item_id, seq in accepted.items() if seq_of.get(item_id) != seq]
    repeated = [item_id for item_id, count in Counter(id_ for _, id_ in posted).items() if count > 1]
    details += [f"{item_id} was accepted as {accepted[item_id]} and is not there" for item_id in lost[:3]]
    details += [f"{item_id} is in the log more than once" for item_id in repeated[:3]]
    reordered = 0
    truth = [(change["seq"], change["type"]) for change in log]
    for follower in followers:
        given = [(seq, kind) for _, seq, kind, _ in follower.given]
        counts = Counter(given)
        missing = [entry for entry in truth if entry not in counts]
        twice = [entry for entry, count in counts.items() if count > 1]
        disorder = sum(1 for one, two in pairwise(given) if two[0] <= one[0])
        lost += [f"{follower.transport}:{seq}" for seq, _ in missing]
        repeated += [f"{follower.transport}:{seq}" for seq, _ in twice]
        reordered += disorder
        for what, entries in (("was not given", missing), ("was given twice", twice)):
            details += [f"the {follower.transport} follower {what} {entry}" for entry in entries[:3]]
    gaps = [gap for follower in followers for gap in follower.gaps]
    details += [f"a gap was told: {gap}" for gap in gaps[:3]]
    deliveries = sum(len(follower.given) for follower in followers)
    return Verdict(len(accepted), deliveries, len(lost), len(repeated), reordered, len(gaps), tuple(details))
