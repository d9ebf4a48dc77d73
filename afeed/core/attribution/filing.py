"""Weighing the evidence: which talk one item is about, how sure that is, and why.

Every piece of evidence adds points to a talk (:class:`~afeed.core.attribution.weights.Weights`) and a code to
the reasons, which are words for a person that asks "why is this here?":

``during`` ``after`` ``before``
    by when it was posted; with ``taken`` by when the photo was taken.
``hashtag:#x`` ``room:#x`` ``track:#x`` ``link``
    what it carries: the talk's own hashtag, its room's or track's, the address of its page.
``speaker:@x`` ``by:@x`` ``name:x``
    a speaker is addressed, posts, or is named.
``title:x+y`` ``words:x`` ``kind:x``
    words of the title (rarer ones count more), of the abstract, of the type.
``reply`` ``seen`` ``stayed``
    the post that it answers is about the talk; its author was there; its author keeps to the room.
``chatter:x``
    speaks against any talk.

An item without a talk says why not: ``nothing``, ``weak``, ``pause:Lunch``, or ``between:a,b``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from itertools import islice
from types import MappingProxyType

import msgspec

from afeed.core.attribution.index import NOWHERE, Index, Moment, Word, address
from afeed.core.attribution.tokens import TOKEN, pairs, plain, stem
from afeed.core.attribution.words import CHATTER
from afeed.core.item import Item

_NO_TALLY: Mapping[str, int] = MappingProxyType({})
#: A camera's clock may be wrong by so much, and still the picture is of this event.
_CAMERA_S = 600.0
#: So much faster the time after a talk loses its meaning for pictures taken in it.
_CAMERA_FADE = 4.0
#: Pictures are shown so long after the event, words about it for ever.
_LATE_S = 60 * 86_400.0
#: Talks of one room say where their author sits; of one day, and not more for more than so many.
_DAY_S = 43_200.0
_HABIT = 3
#: Until the next evening, whoever writes to a speaker probably means the talk.
_AFTERGLOW_S = 86_400.0
#: Characters that are looked at; the rest of a long post is about the same.
_TEXT_CHARS = 2000


class Context(msgspec.Struct, frozen=True):
    """What is known besides the item: ``parent`` is the talk of the post that it answers, ``seen`` counts the
    other items of its author by talk, of those only that were filed for what they said
    (:attr:`Filing.firm`)."""

    parent: str | None = None
    seen: Mapping[str, int] = _NO_TALLY


class Filing(msgspec.Struct, frozen=True):
    """Under which talk, with how many points, and why.  ``firm`` if what the item itself says or carries would
    have been enough to prefer this talk: only then it says where its author was."""

    talk: str | None
    score: float
    reasons: tuple[str, ...]
    firm: bool = False


ALONE = Context()


def file(index: Index, item: Item, context: Context = ALONE) -> Filing:
    """The talk that ``item`` is about, or none.  Never raises, whatever is in the item."""
    return _Evidence(index, item, context).filing()


def seconds_of(index: Index, item: Item) -> tuple[float | None, bool]:
    """When ``item`` happened, in seconds since 1970, and whether that is when its photo was taken.

    The time that a camera gives counts only if it is one at which the picture can have been taken: not after it
    was posted, and at this event.
    """
    try:
        posted = datetime.fromisoformat(item.created_at).timestamp()
    except (ValueError, OverflowError, OSError):
        return None, False
    for media in item.media:
        taken = media.taken_at
        if taken is None or len(taken) < 16 or media.type != "photo":
            continue
        try:
            moment = datetime.fromisoformat(taken)
            seconds = (moment if moment.tzinfo is not None else moment.replace(tzinfo=index.zone)).timestamp()
        except (ValueError, OverflowError, OSError):
            continue
        inside = index.first - 86_400 <= seconds <= index.last + 86_400
        if inside and seconds <= posted + _CAMERA_S and posted - seconds < _LATE_S:
            return seconds, True
    return posted, False


class _Evidence:
    __slots__ = (
        "_context",
        "_index",
        "_item",
        "_moment",
        "_points",
        "_reasons",
        "_seconds",
        "_taken",
        "_timed",
        "_titles",
        "_told",
    )

    def __init__(self, index: Index, item: Item, context: Context) -> None:
        self._index = index
        self._item = item
        self._context = context
        self._points: dict[int, float] = {}
        #: Points by what the item itself says or carries.
        self._told: dict[int, float] = {}
        self._reasons: dict[int, list[str]] = {}
        #: The words of each talk's title that it has, with their rarity.
        self._titles: dict[int, dict[str, float]] = {}
        seconds, self._taken = seconds_of(index, item)
        self._seconds = seconds
        self._moment: Moment = index.at(seconds) if seconds is not None else NOWHERE
        #: A photo without its own time was uploaded now and made at any time.
        self._timed = self._taken or item.kind != "photo"

    def filing(self) -> Filing:
        weights = self._index.weights
        chatter = self._text()
        self._people()
        points = self._points
        # There are few of those at any time, and hundreds that share some word with the item.
        for number in self._moment.near:
            if number in points:
                points[number] += self._time(number)
        for group in self._moment.order if self._timed else ():
            # Where only the time speaks, two of each kind are enough to know the best and whether it is alone.
            for number in islice((number for number in group if number not in points), 2):
                points[number] = self._time(number)
        pause = self._moment.pause
        best = max(points, key=points.__getitem__, default=None)
        if best is None or points[best] <= 0:
            return Filing(None, 0.0, (f"pause:{pause}",) if pause else ("nothing",))
        score = points[best]
        codes = self._codes(best)
        if chatter is not None:
            score -= weights.chatter
            codes.append(f"chatter:{chatter}")
        needed = weights.threshold
        if pause is not None and best not in self._told:
            needed += weights.pause
        if score < needed:
            return Filing(None, round(score, 2), (f"pause:{pause}" if pause else "weak", *codes))
        close = points[best] - weights.margin
        told = self._told.get(best, 0.0)
        # Who speaks of two talks, as programmes do, speaks of neither in particular.
        plain_enough = max(weights.named, told / 2)
        rivals = [
            number
            for number, value in points.items()
            if value > close or (number != best and self._told.get(number, 0.0) >= plain_enough)
        ]
        if len(rivals) > 1:
            names = ",".join(self._index.talks[number].id for number in sorted({best, *rivals})[:5])
            return Filing(None, round(score, 2), (f"between:{names}",))
        others = max((value for number, value in self._told.items() if number != best), default=0.0)
        talk = self._index.talks[best].id
        return Filing(talk, round(score, 2), tuple(codes), told - others >= weights.firm)

    def _codes(self, number: int) -> list[str]:
        codes = list(self._reasons.get(number, ()))
        if number in self._titles and number in self._told:
            codes.insert(0, f"title:{'+'.join(self._titles[number])}")
        near = self._moment.near.get(number)
        if near is not None and self._timed:
            codes.insert(0, f"{near.code} taken" if self._taken else near.code)
        return codes

    def _add(self, number: int, points: float, code: str) -> None:
        """Evidence that does not come from the item's own words."""
        if points > 0:
            self._points[number] = self._points.get(number, 0.0) + points
            self._reasons.setdefault(number, []).append(code)

    def _tell(self, number: int, points: float, code: str) -> None:
        """Evidence that does."""
        if points > 0:
            self._told[number] = self._told.get(number, 0.0) + points
            self._add(number, points, code)

    # -- when -----------------------------------------------------------------------------------------------

    def _time(self, number: int) -> float:
        """The points that the time alone gives this talk."""
        near = self._moment.near.get(number)
        if near is None or not self._timed or self._seconds is None:
            return 0.0
        if near.code == "during":
            return near.points + self._index.weights.photo if self._item.media else near.points
        # A camera is put away when the talk is over, a phone is not.
        fade = near.fade * (_CAMERA_FADE if self._taken else 1.0)
        return max(near.points - fade * (self._seconds - near.since), 0.0)

    def _is_near(self, number: int) -> bool:
        return number in self._moment.near

    # -- what -----------------------------------------------------------------------------------------------

    def _text(self) -> str | None:
        """What the words say; returns a word of idle talk, if there is one."""
        item, index = self._item, self._index
        text = item.text if item.quote is None else f"{item.text} {item.quote.text}"
        words = index.words
        names = index.names
        titles = self._titles
        abstracts: dict[int, set[str]] = {}
        named: dict[tuple[int, int], list[tuple[str, bool]]] = {}
        chatter = None
        for token in dict.fromkeys(TOKEN.findall(plain(text[:_TEXT_CHARS]))):
            head = token[0]
            if head == "@":
                self._handle(token[1:].rstrip(".-"))
                continue
            if head == "h" and token.startswith(("http://", "https://")):
                number = index.links.get(address(token))
                if number is not None:
                    self._tell(number, index.weights.link, "link")
                continue
            if head == "#":
                if self._hashtag(token):
                    continue
                token = token[1:]
            elif token in names:
                for number, position, is_last in names[token]:
                    named.setdefault((number, position), []).append((token, is_last))
            short = stem(token)
            word = words.get(short)
            if short in CHATTER and (word is None or not word.titles):
                chatter = token
            if not token.isascii():
                for pair in pairs(token):
                    if (of_pair := words.get(pair)) is not None:
                        self._word(pair, of_pair, titles, abstracts)
            if word is not None:
                self._word(short, word, titles, abstracts)
        self._by_titles()
        for number, found_words in abstracts.items():
            points = index.weights.abstract * min(len(found_words), 3)
            self._tell(number, points, f"words:{'+'.join(sorted(found_words)[:3])}")
        for (number, _), parts in named.items():
            self._name(number, parts)
        if "http" in item.html and index.links:
            self._links(item.html)
        return chatter

    def _word(
        self, short: str, word: Word, titles: dict[int, dict[str, float]], abstracts: dict[int, set[str]]
    ) -> None:
        for number, rarity in word.titles:
            titles.setdefault(number, {})[short] = rarity
        for number in word.abstracts:
            abstracts.setdefault(number, set()).add(short)
        for number in word.kinds:
            self._tell(number, self._index.weights.kind, f"kind:{short}")

    def _by_titles(self) -> None:
        weights, masses, near = self._index.weights, self._index.masses, self._moment.near
        more, whole = weights.title_more, weights.title_whole
        # Hundreds of talks may share a word with an item, so this is done with as few calls as can be.
        for number, found in self._titles.items():
            mass = sum(found.values())
            is_near = number in near
            first = weights.title_first if is_near else weights.title_first_far
            points = first * mass if mass < 1.0 else first + more * (mass - 1.0)
            if mass >= 0.75 * masses[number] and (len(found) > 1 or is_near):
                points += whole
            if points > 0:
                self._told[number] = self._told.get(number, 0.0) + points
                self._points[number] = self._points.get(number, 0.0) + points

    def _handle(self, handle: str) -> None:
        weights = self._index.weights
        for number in self._index.handles.get(handle, ()):
            if self._is_near(number):
                points = weights.handle
            elif (
                self._seconds is not None and 0 <= self._seconds - self._index.spans[number][1] <= _AFTERGLOW_S
            ):
                points = weights.handle_after
            else:
                points = weights.handle_far
            self._tell(number, points, f"speaker:@{handle}")

    def _hashtag(self, tag: str) -> bool:
        """Whether it is one that the schedule knows."""
        index, weights = self._index, self._index.weights
        own = index.hashtags.get(tag)
        for number in own or ():
            self._tell(number, weights.hashtag, f"hashtag:{tag}")
        known = own is not None
        for numbers, points, what in (
            (index.rooms.get(tag), weights.room, "room"),
            (index.tracks.get(tag), weights.track, "track"),
        ):
            if numbers is None:
                continue
            known = True
            for near in self._moment.near.values():
                if near.talk in numbers:
                    # Before a talk, the one that is still on in the same room is meant at least as often.
                    self._tell(near.talk, points * (0.5 if near.code == "before" else 1.0), f"{what}:{tag}")
        return known

    def _name(self, number: int, parts: list[tuple[str, bool]]) -> None:
        weights = self._index.weights
        code = f"name:{'+'.join(part for part, _ in parts)}"
        last = any(is_last for _, is_last in parts)
        if last and len(parts) > 1:
            self._tell(number, weights.full_name, code)
        elif last:
            self._tell(number, weights.last_name, code)
        elif self._is_near(number):
            self._tell(number, weights.first_name, code)

    def _links(self, html: str) -> None:
        """Where shortened links lead is only in the HTML."""
        for piece in html.split('href="')[1:20]:
            number = self._index.links.get(address(piece.partition('"')[0].replace("&amp;", "&")))
            if number is not None and "link" not in self._reasons.get(number, ()):
                self._tell(number, self._index.weights.link, "link")

    # -- who ------------------------------------------------------------------------------------------------

    def _people(self) -> None:
        index, weights, context = self._index, self._index.weights, self._context
        parent = index.numbers.get(context.parent) if context.parent is not None else None
        if parent is not None:
            self._add(parent, weights.reply, "reply")
        author = self._item.author.handle
        if author is not None and self._seconds is not None:
            self._speaker(author.casefold())
        if not context.seen or self._seconds is None:
            return
        seen = {number for talk in context.seen if (number := index.numbers.get(talk)) is not None}
        on = self._moment.on
        for number in seen & (self._points.keys() | self._moment.near.keys()):
            self._add(number, weights.seen if number in on else weights.seen_far, "seen")
        if weights.stayed > 0:
            self._habits(seen)

    def _habits(self, seen: set[int]) -> None:
        """An author who was in one room more often than elsewhere within the day is likely to be there now."""
        assert self._seconds is not None
        talks, spans = self._index.talks, self._index.spans
        rooms = [talks[one].room for one in seen if abs(spans[one][0] - self._seconds) < _DAY_S]
        favourite = max(rooms, key=rooms.count, default=None)
        habit = 2 * rooms.count(favourite) - len(rooms)
        if favourite is None or habit <= 0:
            return
        for number in self._moment.on:
            if number not in seen and talks[number].room == favourite:
                self._add(number, self._index.weights.stayed * min(habit, _HABIT), "stayed")

    def _speaker(self, handle: str) -> None:
        assert self._seconds is not None
        reach = self._index.weights.author_min * 60
        for number in self._index.handles.get(handle, ()):
            start, end = self._index.spans[number]
            if start - reach <= self._seconds <= end + reach:
                self._tell(number, self._index.weights.author, f"by:@{handle}")
