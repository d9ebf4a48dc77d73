"""The labelled posts of an invented day: reading them, filing them in their order, counting what was right.

``posts.txt`` says how it is written.  Half of the authors are for tuning the weights, the other half, which
nothing is tuned on, for the figures that count.  ``python -m tests.core.attribution.labelled`` prints them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zlib import crc32
from zoneinfo import ZoneInfo

import attrs

from afeed.core.attribution.filing import Context, Filing, file
from afeed.core.attribution.index import Index, prepare
from afeed.core.attribution.weights import Weights
from afeed.core.item import Author, Item, Media
from afeed.core.schedule.model import Schedule
from afeed.core.schedule.reading import read

HERE = Path(__file__).parent
ZONE = ZoneInfo("Europe/Amsterdam")
DAY = date(2026, 11, 21)


@attrs.frozen
class Labelled:
    """A post and the talk that it is about."""

    item: Item
    talk: str | None

    @property
    def held_out(self) -> bool:
        """Whether its author is in the half that nothing is tuned on."""
        assert self.item.author.handle is not None
        return crc32(self.item.author.handle.encode()) % 2 == 1


@attrs.define
class Score:
    """``filed`` items were filed, ``right`` of them where they belong; ``about`` belong to some talk."""

    filed: int = 0
    right: int = 0
    about: int = 0
    silent: int = 0  # rightly filed nowhere
    posts: int = 0

    @property
    def precision(self) -> float:
        return self.right / self.filed if self.filed else 0.0

    @property
    def recall(self) -> float:
        return self.right / self.about if self.about else 0.0

    def __str__(self) -> str:
        return (
            f"precision {self.precision:.3f}, recall {self.recall:.3f} ({self.posts} posts, {self.filed} filed)"
        )


def schedule() -> Schedule:
    """The day's programme."""
    return read((HERE / "day.toml").read_bytes(), ZONE).schedule


def posts() -> list[Labelled]:
    """All labelled posts, in their order."""
    found: list[Labelled] = []
    names: dict[str, str] = {}
    for number, line in enumerate((HERE / "posts.txt").read_text("utf-8").splitlines()):
        if line.startswith("#"):
            continue
        when, author, extra, talk, text = line.split("|", 4)
        id = f"push:{number}"
        reply: str | None = None
        kind, media = "post", ()
        for part in extra.split():
            if part[0] == "=":
                names[part[1:]] = id
            elif part[0] == ">":
                reply = names.get(part[1:], "push:unknown")
            else:
                kind = "photo"
                taken = f"{DAY}T{part[1:]}:00" if part[1:] else None
                media = (Media(type="photo", url="https://photos.example/1.jpg", taken_at=taken),)
        days, _, clock = when.rpartition(" ")
        moment = datetime.fromisoformat(f"{DAY}T{clock}:00").replace(tzinfo=ZONE) + timedelta(
            days=int(days or 0)
        )
        item = Item(
            id=id,
            source="push",
            kind="photo" if kind == "photo" else "post",
            author=Author(name=author, handle=author),
            text=text,
            html=f"<p>{text}</p>",
            created_at=f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z",
            media=media,
            reply_to=reply,
        )
        found.append(Labelled(item, None if talk == "-" else talk))
    return found


def run(labelled: Iterable[Labelled], index: Index, rounds: int = 1) -> dict[str, Filing]:
    """File everything in order, as it would come in live; with more ``rounds``, again with what is known."""
    filed: dict[str, Filing] = {}
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for _ in range(rounds):
        for one in labelled:
            item = one.item
            author = item.author.handle or ""
            before = filed.get(item.id)
            if before is not None and before.firm and before.talk is not None:
                seen[author] -= Counter([before.talk])
            parent = filed.get(item.reply_to) if item.reply_to is not None else None
            filing = file(index, item, Context(parent.talk if parent is not None else None, dict(seen[author])))
            filed[item.id] = filing
            if filing.firm and filing.talk is not None:
                seen[author][filing.talk] += 1
    return filed


def score(labelled: Iterable[Labelled], filed: dict[str, Filing]) -> Score:
    """How well ``filed`` agrees with the labels."""
    found = Score()
    for one in labelled:
        talk = filed[one.item.id].talk
        found.posts += 1
        found.about += one.talk is not None
        found.filed += talk is not None
        found.right += talk is not None and talk == one.talk
        found.silent += talk is None and one.talk is None
    return found


def confusion(labelled: Iterable[Labelled], filed: dict[str, Filing]) -> str:
    """A table: a row for each label, a column for each answer."""
    pairs = Counter((one.talk or "-", filed[one.item.id].talk or "-") for one in labelled)
    names = [*(talk.id for talk in schedule().talks if not talk.is_break), "-"]
    lines = ["label    \\ answer " + " ".join(f"{name[:8]:>8}" for name in names)]
    for label in names:
        cells = " ".join(f"{pairs[label, answer] or '.':>8}" for answer in names)
        lines.append(f"{label:<17}{cells}")
    return "\n".join(lines)


def report(weights: Weights | None = None) -> str:
    """Everything there is to know, as text."""
    labelled, index = posts(), prepare(schedule(), weights)
    lines = []
    for rounds, what in ((1, "live, in order"), (2, "filed again, knowing all")):
        filed = run(labelled, index, rounds)
        for held_out in (False, True):
            half = [one for one in labelled if one.held_out is held_out]
            name = "held out" if held_out else "tuned on"
            lines.append(f"{what}, {name}: {score(half, filed)}")
        lines.append(f"{what}, all: {score(labelled, filed)}")
    lines.append(confusion(labelled, filed))
    return "\n".join(lines)


if __name__ == "__main__":
    print(report())
