"""A schedule, prepared for finding at once what an item's time and words say about its talks."""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from typing import NamedTuple
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import attrs

from afeed.core.attribution.tokens import TOKEN, plain, stem, stems
from afeed.core.attribution.weights import Weights
from afeed.core.attribution.words import STOP
from afeed.core.schedule.model import Schedule, Talk

#: Longer ones (installations, registration all day) say nothing by their time.
LONGEST = timedelta(hours=6)
#: A word that more talks than this share of all have connects with none of them.
COMMON = 0.25
#: In texts as long as abstracts, one that so many have is an ordinary word.
FEW = 8
_DISTINCT_NAME = 3
_CODES = ("during", "after", "before")


class Near(NamedTuple):
    """A talk that is on, has just been, or is about to be: ``points`` at the second ``since``, less by
    ``fade`` each second from then on."""

    talk: int
    points: float
    since: float
    fade: float
    code: str


class Moment(NamedTuple):
    """What there is at a time: talks that are ``near``, and the title of the ``pause`` that is on.  ``order``
    is those talks again, as the time alone prefers them; of the ones that have been, the latest first."""

    near: dict[int, Near]
    on: frozenset[int]
    order: tuple[tuple[int, ...], ...]
    pause: str | None


class Word(NamedTuple):
    """What a stem says: talks whose title has it, each with the word's rarity from 0 to 1; whose abstract has
    it; whose type has it."""

    titles: tuple[tuple[int, float], ...]
    abstracts: tuple[int, ...]
    kinds: tuple[int, ...]


NOWHERE = Moment({}, frozenset(), (), None)


@attrs.frozen(eq=False)
class Index:
    """See :func:`prepare`.  Talks are numbers: positions in ``talks``, which holds neither breaks nor twins."""

    schedule: Schedule
    weights: Weights
    zone: ZoneInfo
    talks: tuple[Talk, ...]
    numbers: dict[str, int]
    first: float
    last: float
    starts: tuple[float, ...]
    moments: tuple[Moment, ...]
    words: dict[str, Word]
    #: For each talk, how rare all words of its title are together.
    masses: tuple[float, ...]
    #: A name's word to (talk, speaker, whether it is the last one).
    names: dict[str, tuple[tuple[int, int, bool], ...]]
    handles: dict[str, tuple[int, ...]]
    hashtags: dict[str, tuple[int, ...]]
    rooms: dict[str, tuple[int, ...]]
    tracks: dict[str, tuple[int, ...]]
    links: dict[str, int]
    spans: tuple[tuple[float, float], ...]

    def at(self, seconds: float) -> Moment:
        """What there is at ``seconds`` since 1970."""
        position = bisect_right(self.starts, seconds) - 1
        return self.moments[position] if position >= 0 else NOWHERE


def prepare(schedule: Schedule, weights: Weights | None = None) -> Index:
    """``schedule`` for filing any number of items.  Breaks are no talks; cancelled talks are, but their time
    says nothing."""
    weights = weights if weights is not None else Weights()
    talks = tuple(talk for talk in schedule.talks if not talk.is_break)
    spans = tuple((talk.start.timestamp(), talk.end.timestamp()) for talk in talks)
    starts, moments = _moments(schedule, talks, weights)
    words, masses = _words(talks)
    links: dict[str, int] = {}
    for number, talk in enumerate(talks):
        if talk.url is not None:
            links[address(talk.url)] = number
    handles = _multimap((handle, number) for number, talk in enumerate(talks) for handle in _handles(talk))
    numbers = {talk.id: number for number, talk in enumerate(talks)}
    numbers |= {old: numbers[new] for old, new in schedule.aliases.items() if new in numbers}
    return Index(
        schedule=schedule,
        weights=weights,
        zone=ZoneInfo(schedule.timezone),
        talks=talks,
        numbers=numbers,
        first=min((start for start, _ in spans), default=0.0),
        last=max((end for _, end in spans), default=0.0),
        starts=starts,
        moments=moments,
        words=words,
        masses=masses,
        names=_names(talks),
        handles=handles,
        hashtags=_multimap((plain(tag), number) for number, talk in enumerate(talks) for tag in talk.hashtags),
        rooms=_places(schedule, talks, "room"),
        tracks=_places(schedule, talks, "track"),
        links=links,
        spans=spans,
    )


def address(url: str) -> str:
    """What two addresses of the same page have in common."""
    try:
        parts = urlsplit(url.rstrip(".,;:!?)\u2026"))
    except ValueError:
        return url
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.netloc.removeprefix('www.')}{parts.path.rstrip('/')}{query}".casefold()


def _moments(
    schedule: Schedule, talks: tuple[Talk, ...], weights: Weights
) -> tuple[tuple[float, ...], tuple[Moment, ...]]:
    """The times at which anything begins or ends, and what there is from each until the next."""
    spans: list[tuple[float, float, Near | str]] = []
    for number, talk in enumerate(talks):
        if talk.cancelled or talk.end - talk.start > LONGEST:
            continue
        start, end = talk.start.timestamp(), talk.end.timestamp()
        lead, tail = weights.lead_min * 60, weights.tail_min * 60
        spans.append((start - lead, start, Near(number, weights.lead, start, 0.0, "before")))
        spans.append((start, end, Near(number, weights.during, start, 0.0, "during")))
        if tail > 0:
            spans.append((end, end + tail, Near(number, weights.tail, end, weights.tail / tail, "after")))
    for talk in schedule.talks:
        if talk.is_break and not talk.cancelled and talk.end - talk.start <= LONGEST:
            spans.append((talk.start.timestamp(), talk.end.timestamp(), talk.title))
    edges: dict[float, tuple[list[int], list[int]]] = {}
    for position, (begin, end, _) in enumerate(spans):
        if begin < end:
            edges.setdefault(begin, ([], []))[0].append(position)
            edges.setdefault(end, ([], []))[1].append(position)
    present: set[int] = set()
    starts, moments = [], []
    for seconds, (begun, ended) in sorted(edges.items()):
        present.difference_update(ended)
        present.update(begun)
        here = [spans[position][2] for position in sorted(present)]
        starts.append(seconds)
        moments.append(
            _moment(
                [what for what in here if isinstance(what, Near)],
                [what for what in here if isinstance(what, str)],
            )
        )
    return tuple(starts), tuple(moments)


def _moment(near: list[Near], pauses: list[str]) -> Moment:
    near.sort(key=lambda one: (_CODES.index(one.code), -one.since))
    order = tuple(tuple(one.talk for one in near if one.code == code) for code in _CODES)
    by_talk: dict[int, Near] = {}
    for one in near:
        by_talk.setdefault(one.talk, one)
    return Moment(by_talk, frozenset(order[0]), order, pauses[0] if pauses else None)


def _words(talks: tuple[Talk, ...]) -> tuple[dict[str, Word], tuple[float, ...]]:
    titles = [stems(f"{talk.title} {talk.subtitle}") - STOP for talk in talks]
    texts = [stems(re.sub("<[^>]*>", " ", talk.abstract)) - STOP for talk in talks]
    kinds = [stems(talk.kind) for talk in talks]
    counts = [Counter(word for found in lists for word in found) for lists in (titles, texts, kinds)]
    # Short programmes have no common words to speak of: two talks of five may share their subject.
    common, few = max(3.0, COMMON * len(talks)), min(FEW, max(2.0, 0.5 * COMMON * len(talks)))
    full = math.log(1 + len(talks)) or 1.0
    rarity = {word: math.log(1 + len(talks) / count) / full for word, count in counts[0].items()}
    entries: dict[str, tuple[list[tuple[int, float]], list[int], list[int]]] = {}
    for number in range(len(talks)):
        for word in titles[number]:
            if counts[0][word] <= common:
                entries.setdefault(word, ([], [], []))[0].append((number, rarity[word]))
        for word in texts[number] - titles[number]:
            if counts[1][word] <= few:
                entries.setdefault(word, ([], [], []))[1].append(number)
        for word in kinds[number]:
            if counts[2][word] <= few:
                entries.setdefault(word, ([], [], []))[2].append(number)
    masses = tuple(sum(rarity[word] for word in found) for found in titles)
    return {word: Word(tuple(a), tuple(b), tuple(c)) for word, (a, b, c) in entries.items()}, masses


def _names(talks: tuple[Talk, ...]) -> dict[str, tuple[tuple[int, int, bool], ...]]:
    found: dict[str, list[tuple[int, int, bool]]] = {}
    for number, talk in enumerate(talks):
        for position, speaker in enumerate(talk.speakers):
            parts = [word for word in TOKEN.findall(plain(speaker.name)) if len(word) >= _DISTINCT_NAME]
            for part in parts:
                # Nicknames of one word count as a last name.
                found.setdefault(part, []).append((number, position, part == parts[-1]))
    return {word: tuple(entries) for word, entries in found.items() if stem(word) not in STOP}


def _handles(talk: Talk) -> set[str]:
    handles = {handle.casefold() for speaker in talk.speakers for handle in speaker.handles}
    # In the Fediverse, a mention is mostly written without the server.
    return handles | {handle.partition("@")[0] for handle in handles}


def _places(schedule: Schedule, talks: tuple[Talk, ...], what: str) -> dict[str, tuple[int, ...]]:
    """The talks in each room or track, by its hashtags: those that the schedule gives, and its name as one
    word, also after the event's own."""
    pairs: list[tuple[str, int]] = []
    places = schedule.rooms if what == "room" else schedule.tracks
    known = {place.id: place for place in places}
    acronym = re.sub(r"\W", "", plain(schedule.acronym))
    for number, talk in enumerate(talks):
        place = known.get((talk.room if what == "room" else talk.track) or "")
        if place is None:
            continue
        joined = re.sub(r"[\W_]", "", plain(place.name))
        tags = {plain(tag) for tag in place.hashtags}
        if len(joined) >= 4 and not joined.isdigit():
            tags |= {f"#{joined}"} | ({f"#{acronym}{joined}"} if acronym else set())
        pairs.extend((tag, number) for tag in tags)
    return _multimap(pairs)


def _multimap(pairs: Iterable[tuple[str, int]]) -> dict[str, tuple[int, ...]]:
    found: dict[str, list[int]] = {}
    for key, number in pairs:
        if number not in found.setdefault(key, []):
            found[key].append(number)
    return {key: tuple(numbers) for key, numbers in found.items()}
