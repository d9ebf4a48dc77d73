"""``python -m bench.archive [ITEMS] [TALKS]``: the pages of a large archive, on SQLite and PostgreSQL.

An event of a million invented posts and a thousand talks (or as many as asked for) is put into an archive by
the way that every post takes, without the log before it; then its pages are made again and again, each with
another question: asked, read, rendered and compressed as for a browser, all but the socket.  What matters is
the slowest of a hundred.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from bisect import bisect
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import text
from twisted.internet.task import react

from afeed.archive import schema, transactions
from afeed.archive.backends import Backend, make_engine, parse_url
from afeed.archive.indexing import Indexer, New
from afeed.archive.store import SqlArchive
from afeed.core.change import POSTED, Change, compose, timestamp
from afeed.core.draft import Posted, prepare
from afeed.core.item import Author, Item, Media
from afeed.core.schedule.model import Room, Schedule, Speaker, Talk
from afeed.core.straining import fold
from afeed.garbage import settle
from afeed.interfaces import Lineage
from afeed.settings import Event, Server
from afeed.web.app import Pages
from bench.table import quantile
from tests.servers.postgresql import PostgreSQL
from tests.web.samples import FakeFeed

SLUG = "large"
ZONE = ZoneInfo("Europe/Amsterdam")
STARTS = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
DAYS, HOURS, ROOMS = 4, 9, 28
BATCH = 2000
#: Pages of each kind that are made.
ROUNDS = 400
EVENT = Event(
    slug=SLUG,
    name="A Large Conference",
    timezone=ZONE,
    starts=date(2026, 11, 21),
    ends=date(2026, 11, 24),
    hashtags=("#large",),
)

_SYLLABLES = (
    "ba",
    "co",
    "di",
    "fu",
    "ga",
    "hel",
    "ir",
    "jo",
    "ka",
    "li",
    "mo",
    "nu",
    "or",
    "pa",
    "que",
    "ra",
    "sto",
)


class Zipf:
    """Chooses among ``values`` as words and people turn up: a few very often, most hardly ever."""

    def __init__(self, values: Sequence[str], rng: Random) -> None:
        self._values = values
        self._rng = rng
        self._sums = list(accumulate(1 / (rank + 3) for rank in range(len(values))))

    def choose(self) -> str:
        """One of them."""
        return self._values[bisect(self._sums, self._rng.random() * self._sums[-1])]


def _words(rng: Random, count: int) -> list[str]:
    found: dict[str, None] = {}
    while len(found) < count:
        found["".join(rng.choice(_SYLLABLES) for _ in range(rng.randint(1, 4)))] = None
    return list(found)


class World:
    """The event: its programme, its words and its people, the same for the same seed."""

    def __init__(self, items: int, talks: int, slug: str = SLUG, zone: ZoneInfo = ZONE) -> None:
        self.rng = Random(1)
        self.count = items
        self.slug = slug
        self.zone = zone
        self.vocabulary = _words(self.rng, 20_000)
        self.words = Zipf(self.vocabulary, self.rng)
        self.people = Zipf([f"person{n}" for n in range(50_000)], self.rng)
        self.schedule = self._programme(talks)
        self.talks = Zipf([talk.id for talk in self.schedule.talks], self.rng)
        self._at = {talk.id: talk.start for talk in self.schedule.talks}

    def _programme(self, count: int) -> Schedule:
        talks = []
        for number in range(count):
            slot, room = divmod(number, ROOMS)
            day, hour = divmod(slot, HOURS)
            start = STARTS + timedelta(days=day, hours=hour)
            talks.append(
                Talk(
                    guid=f"t{number}",
                    id=f"t{number}",
                    title=self.title(),
                    start=start,
                    end=start + timedelta(minutes=45),
                    room=f"room-{room}",
                    speakers=(Speaker(name=self.people.choose()),),
                    abstract="<p>" + " ".join(self.words.choose() for _ in range(80)) + "</p>",
                )
            )
        rooms = tuple(Room(id=f"room-{number}", name=f"Room {number}") for number in range(ROOMS))
        return Schedule(timezone=self.zone.key, talks=tuple(talks), rooms=rooms)

    def changes(self) -> Iterator[list[Change]]:
        """All that was posted, in batches."""
        batch: list[Change] = []
        for seq in range(1, self.count + 1):
            batch.append(self._change(seq))
            if len(batch) == BATCH:
                yield batch
                batch = []
        if batch:
            yield batch

    def _change(self, seq: int) -> Change:
        rng = self.rng
        talk = self.talks.choose() if rng.random() < 0.8 else None
        when = self._at[talk] if talk else STARTS + timedelta(hours=rng.randrange(DAYS * 24))
        written = when + timedelta(seconds=rng.randrange(4200))
        words = [self.words.choose() for _ in range(rng.randint(5, 32))] + self.said(talk)
        if rng.random() < 0.3:
            words.append("#large")
        person = self.people.choose()
        content = " ".join(words)
        photo = Media(type="photo", url=f"https://p.example/{seq}.jpg", width=1200, height=800, alt=words[0])
        item = self.filed(
            Item(
                id=f"x:{seq}",
                source="x" if rng.random() < 0.8 else "flickr",
                author=Author(name=person.capitalize(), handle=person),
                text=content,
                html=f"<p>{content}</p>",
                created_at=written.isoformat().replace("+00:00", "Z"),
                url=f"https://x.com/{person}/status/{seq}",
                media=(photo,) if rng.random() < 0.1 else (),
                talk=talk,
            )
        )
        at = timestamp(written.timestamp() + 1)
        return Change(seq, at, POSTED, item.id, "1", compose(prepare(Posted(item, "1")), POSTED, at))

    def title(self) -> str:
        """A talk's."""
        return " ".join(self.words.choose() for _ in range(5)).capitalize()

    def said(self, talk: str | None) -> list[str]:
        """Words of a post about ``talk`` that tell so."""
        return []

    def filed(self, item: Item) -> Item:
        """The item under its talk."""
        return item


def fill(url: str, world: World) -> float:
    """Put it all into the archive at ``url``; the seconds that took."""
    parsed, backend = parse_url(url)
    schema.prepare(parsed, backend)
    began = time.perf_counter()
    engine = make_engine(parsed, backend, "write")
    indexer = Indexer(backend.search, backend.insert, {world.slug: world.zone})
    with engine.connect() as connection:
        for batch in world.changes():
            with connection.begin():
                _put(connection, backend, indexer, world.slug, batch)
            if batch[-1].seq % 50_000 == 0:
                print(
                    f"  {batch[-1].seq:,} in {time.perf_counter() - began:,.0f} s", file=sys.stderr, flush=True
                )
        with connection.begin():
            # As PostgreSQL does by itself soon after.
            connection.execute(text("ANALYZE"))
    engine.dispose()
    return time.perf_counter() - began


def _put(connection: Any, backend: Backend, indexer: Indexer, slug: str, batch: list[Change]) -> None:
    begin = backend.begin["write"]
    if begin is not None:
        connection.execute(text(begin))
    folded = fold(batch)
    after, upto = batch[0].seq - 1, batch[-1].seq
    transactions.advance(connection, backend.insert, slug, Lineage("e1", ()), after, upto, batch[-1].at)
    new = {one.key: New(one.first_seq, one.content, one.talk) for one in folded.items}
    with indexer.around(connection, slug, folded.keys(), new):
        transactions.write(connection, backend.insert, slug, folded)


class Asked:
    """A request, as far as a page looks at it."""

    def __init__(self, **query: object) -> None:
        self.args = {name.encode(): [str(value).encode()] for name, value in query.items() if value is not None}

    def getHeader(self, name: bytes) -> bytes | None:
        """No wish."""
        return None


class Programme:
    """See :class:`afeed.web.timetable.Scheduled`."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule: Schedule | None = schedule


Visit = Callable[[], Awaitable[object]]


def visits(pages: Pages, world: World) -> dict[str, Callable[[Random], Visit]]:
    """What is looked at, by name: each gives another one of its kind."""
    conversation = pages.conversation

    def word(rng: Random, first: int, last: int) -> str:
        return world.vocabulary[rng.randrange(first, min(last, len(world.vocabulary)))]

    def archive(**query: object) -> Visit:
        return partial(conversation.archive, Asked(**query), EVENT)

    def author(rng: Random) -> str:
        return f"x:@person{rng.randrange(50_000)}"

    def talk(rng: Random) -> str:
        return rng.choice(world.schedule.talks).id

    def day(rng: Random) -> str:
        return (date(2026, 11, 21) + timedelta(days=rng.randrange(DAYS))).isoformat()

    return {
        "archive, newest": lambda rng: archive(),
        "archive, any page": lambda rng: archive(before=rng.randrange(1, world.count)),
        "a day and an hour": lambda rng: archive(hour=f"{day(rng)}T{rng.randrange(9, 18):02}"),
        "an author": lambda rng: archive(author=author(rng)),
        "photos of a day": lambda rng: archive(kind="photo", day=day(rng)),
        "a talk": lambda rng: partial(conversation.talk, Asked(), EVENT, talk(rng)),
        "a talk, any page": lambda rng: partial(
            conversation.talk, Asked(before=rng.randrange(1, world.count)), EVENT, talk(rng)
        ),
        "schedule": lambda rng: partial(conversation.schedule, Asked(), EVENT),
        "search, a common word": lambda rng: archive(q=word(rng, 0, 50) + " "),
        "search, a rare word": lambda rng: archive(q=word(rng, 5_000, 20_000)),
        "search, two words": lambda rng: archive(q=f"{word(rng, 0, 200)} {word(rng, 50, 2000)}"),
        "search, a phrase": lambda rng: archive(q=f'"{word(rng, 0, 100)} {word(rng, 0, 300)}"'),
        "search, one word without another": lambda rng: archive(q=f"{word(rng, 10, 500)} -{word(rng, 0, 50)}"),
        "search, the beginning of a word": lambda rng: archive(q=word(rng, 100, 3000)[:4]),
        "search within a talk": lambda rng: archive(q=word(rng, 0, 500), talk=talk(rng)),
        "search, an author and a day": lambda rng: archive(
            q=word(rng, 0, 50), author=author(rng), day=day(rng)
        ),
        "search, nothing there": lambda rng: archive(q=f"{word(rng, 0, 20)} zzzznothing"),
    }


async def measure(archive: SqlArchive, world: World, rounds: int) -> dict[str, tuple[float, float, float]]:
    """Median and 99th percentile of each kind of page by the clock, and the percentile of the processor's time
    (SQLite's is within it, PostgreSQL's is not), in milliseconds."""
    now = (STARTS + timedelta(days=30)).timestamp()
    pages = Pages(
        (EVENT,),
        FakeFeed(),
        Server(),
        lambda: now,
        archive=archive,
        programmes={SLUG: Programme(world.schedule)},
    )
    # As a node does once it has started.
    settle()
    found = {}
    for name, make in visits(pages, world).items():
        rng = Random(7)
        await make(Random(1))()
        times, used = [], []
        for _ in range(rounds):
            visit = make(rng)
            began, busy = time.perf_counter(), time.process_time()
            await visit()
            times.append((time.perf_counter() - began) * 1000)
            used.append((time.process_time() - busy) * 1000)
        found[name] = quantile(times, 0.5), quantile(times, 0.99), quantile(used, 0.99)
        print(f"  {name}: {' / '.join(f'{value:.1f}' for value in found[name])}", file=sys.stderr, flush=True)
    return found


def _size(url: str, server: PostgreSQL) -> float:
    """The size of an archive in megabytes."""
    parsed, backend = parse_url(url)
    if backend.name == "sqlite":
        return Path(parsed.database or "").stat().st_size / 1e6
    found = server.psql(parsed.database or "", "SELECT pg_database_size(current_database())")
    return int(found.strip()) / 1e6


async def main(
    reactor: Any, items: str = "1000000", talks: str = "1000", rounds: str = str(ROUNDS), only: str = ""
) -> None:
    """Measure both and print a table."""
    count = int(items)
    # As it is installed: it learns by itself how its tables are filled.
    server = PostgreSQL(autovacuum="on", shared_buffers="128MB")
    server.start()
    directory = tempfile.mkdtemp(prefix="afeed-archive-")
    results: dict[str, dict[str, tuple[float, float, float]]] = {}
    try:
        for kind in [only] if only else ["sqlite", "postgresql"]:
            url = f"sqlite:///{directory}/archive.sqlite3" if kind == "sqlite" else server.create_database()
            world = World(count, int(talks))
            seconds = fill(url, world)
            print(f"{kind}: {count:,} items in {seconds:,.0f} s, {_size(url, server):,.0f} MB")
            archive = SqlArchive(url, reactor, time.time)
            await archive.start()
            results[kind] = await measure(archive, world, int(rounds))
            await archive.stop()
    finally:
        server.close()
        shutil.rmtree(directory)
    print(f"\n{count:,} items, {talks} talks; milliseconds: median / slowest of a hundred / its processor time")
    for name in next(iter(results.values())):
        rows = (results[kind][name] for kind in results)
        cells = "".join(f"{middle:8.1f} /{slow:7.1f} /{busy:6.1f}" for middle, slow, busy in rows)
        print(f"{name:36}{cells}")


if __name__ == "__main__":
    react(main, sys.argv[1:])
