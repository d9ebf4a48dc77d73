"""One suite for SQLite and PostgreSQL: what is found in the archive, how quickly it is forgotten, and how many
there are of what."""

from __future__ import annotations

import time
from collections.abc import Iterator
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import text
from twisted.internet import reactor
from twisted.internet.task import deferLater

from afeed.archive import indexing, search_index
from afeed.archive.engine import Transaction
from afeed.archive.searching import Query
from afeed.archive.store import SqlArchive
from afeed.core.draft import RESTORED, Draft, Filed, Posted, Removed
from afeed.core.item import Author, Media
from tests.archive.support import (
    EVENT,
    LINEAGE,
    ArchiveTestCase,
    HandClock,
    PostgreSQLDatabase,
    SQLiteDatabase,
    logged,
    until,
)
from tests.fakes import an_item

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
PHOTO = Media(type="photo", url="https://p.example/1.jpg", alt="A red lighthouse")


def post(number: int, words: str = "hello", version: str = "1", **other: object) -> Posted:
    """A post with more to it."""
    return Posted(msgspec.structs.replace(an_item(number, words), **other), version)


TALKS = (
    post(1, "Doors are open, Crème Brûlée for all", talk="a", created_at="2026-11-21T08:30:00Z"),
    post(2, "What a talk! #TypeScript", talk="a", created_at="2026-11-21T09:10:00Z"),
    post(3, "A photo of the stage", talk="b", media=(PHOTO,), created_at="2026-11-21T09:20:00Z"),
    post(4, "Hi @bob, see you there", author=Author(name="Béa Kern", handle="bea")),
    post(5, "accessibility matters, red type", talk="b", source="x", created_at="2026-11-21T23:30:00Z"),
)


class SearchSuite:
    """Mixed into a test case per database below."""

    async def found(self, archive: SqlArchive, words: str | None = None, **other: object) -> list[int]:
        answer = await archive.find(EVENT, Query(text=words, **other), 50)
        return [one.seq for one in answer.items]

    async def standing(self, drafts: tuple[Draft, ...] = TALKS) -> SqlArchive:
        return await self.standing_by(reactor, drafts)

    async def standing_by(self, clock: Any, drafts: tuple[Draft, ...]) -> SqlArchive:
        archive = await self.open(clock, zones={EVENT: AMSTERDAM})
        await self.fill(archive, drafts)
        return archive

    async def test_words_in_any_case_and_accent_the_newest_first(self) -> None:
        archive = await self.standing()
        for words, seqs in (
            ("creme", [1]),
            ("BRÛLÉE creme", [1]),
            ('"creme brulee"', [1]),
            ('"brulee creme"', []),
            ("talk", [2]),
            ("#typescript", [2]),
            ("#talk", []),
            ("@bob", [4]),
            ("@bea", [4]),
            ("kern", [4]),
            ("lighthouse", [3]),
            ("red", [5, 3]),
            ("red -type", [3]),
            ("-red", [4, 2, 1]),
            ("access", [5]),
            ("acc", []),
            ('"access"', []),
            ("typescript", [2]),
            ("type", [5, 2]),
            ("nothing like it", []),
            ("", [5, 4, 3, 2, 1]),
            ('"" - *', [5, 4, 3, 2, 1]),
        ):
            self.assertEqual(await self.found(archive, words), seqs, words)

    async def test_filters_combine(self) -> None:
        archive = await self.standing()
        for other, seqs in (
            ({"talk": "a"}, [2, 1]),
            ({"talks": ("a", "b")}, [5, 3, 2, 1]),
            ({"talks": ()}, []),
            ({"kind": "photo"}, [3]),
            ({"talk": "b", "kind": "photo"}, [3]),
            ({"talk": "a", "kind": "photo"}, []),
            ({"source": "x"}, [5]),
            ({"author": "push:@bea"}, [4]),
            ({"hour": "2026-11-21T10"}, [3, 2]),
            ({"day": "2026-11-22"}, [5]),  # half past midnight there
            ({"day": "2026-11-22", "words": "accessibility", "talk": "b"}, [5]),
            ({"day": "2026-11-21", "words": "red", "talk": "b", "kind": "photo", "source": "push"}, [3]),
            ({"words": "red -stage", "talk": "b"}, [5]),
            ({"talk": "nobody's"}, []),
        ):
            self.assertEqual(await self.found(archive, **other), seqs, other)

    async def test_pages_go_by_position(self) -> None:
        archive = await self.standing(tuple(post(n, f"word{n % 3} all") for n in range(1, 120)))
        for query in (Query(text="all"), Query(text="word1"), Query(), Query(talk="t"), Query(source="push")):
            seen: list[int] = []
            before: int | None = None
            while True:
                page = await archive.find(EVENT, query, 7, before)
                seen += [one.seq for one in page.items]
                before = page.next
                if before is None:
                    break
            step = 3 if query.text == "word1" else 1
            wanted = [] if query.talk else [n for n in range(119, 0, -1) if step == 1 or n % 3 == 1]
            self.assertEqual(seen, wanted, query)

    async def test_pages_go_across_blocks_of_the_index(self) -> None:
        self.patch(search_index, "BLOCK_BITS", 3)
        self.patch(search_index, "WIDTHS", (1, 2, 4))
        # Two that are far apart, many, and many of long ago.
        archive = await self.standing(
            tuple(
                post(n, f"{'rare' if n in (3, 77) else 'often'} {'early' if n < 60 else 'late'}")
                for n in range(1, 130)
            )
        )
        # The rest is sorted, or it is looked through block by block: both find the same.
        for few in (0, 1, 2, 10, 1000):
            self.patch(search_index, "FEW", few)
            self.assertEqual(await self.found(archive, "rare"), [77, 3])
            self.assertEqual((await archive.find(EVENT, Query(text="rare"), 1)).next, 77)
            self.assertEqual(await self.found(archive, "rare early"), [3])
            self.assertEqual((await archive.find(EVENT, Query(text="often"), 100, 10)).next, None)
            self.assertEqual(len(await self.found(archive, "often")), 50)
            self.assertEqual(await self.found(archive, "early"), list(range(59, 9, -1)))
            self.assertEqual(len((await archive.find(EVENT, Query(text="early"), 100, 30)).items), 29)

    async def test_hostile_queries_find_what_they_say_or_nothing(self) -> None:
        archive = await self.standing()
        rng = Random(11)
        letters = "re d\"-#@*:()'\\\0\u0301é会\ud800\U0001f600\n%_&|!<>~^"
        texts = ["".join(rng.choice(letters) for _ in range(rng.randrange(1, 40))) for _ in range(150)]
        texts += [
            "' OR 1=1 --",
            "red' | !red",
            "red:*",
            "a" * 10_000,
            '"red" NEAR("stage")',
            "~ta ~kphoto",
            "%",
            "_",
        ]
        for words in texts:
            await archive.find(EVENT, Query(text=words), 5)
        for value in ("'", '"', "\0", "\ud800", "a b", "é" * 300, "~", "*"):
            for name in ("talk", "author", "source", "day", "hour", "kind"):
                if name == "talk" and value in ("\0", "\ud800"):
                    continue
                self.assertEqual(await self.found(archive, None, **{name: value}), [], (name, value))

    async def test_events_are_apart(self) -> None:
        archive = await self.standing()
        await archive.store("other", LINEAGE, 0, logged([post(1, "red herring")]))
        self.assertEqual(await self.found(archive, "red"), [5, 3])
        other = await archive.find("other", Query(text="red"), 5)
        self.assertEqual([one.item.text for one in other.items], ["red herring"])
        unknown = await archive.find("unknown", Query(text="red"), 5)
        self.assertEqual((unknown.items, unknown.position, unknown.whole), ([], None, True))

    async def test_an_edit_is_found_by_its_new_words_alone(self) -> None:
        archive = await self.standing((*TALKS, post(2, "Quite another talk", "2", talk="a")))
        self.assertEqual(await self.found(archive, "#typescript"), [])
        self.assertEqual(await self.found(archive, "another talk"), [2])

    async def test_a_removal_is_forgotten_with_the_item(self) -> None:
        archive = await self.standing((*TALKS, Removed("push:3")))
        self.assertEqual(await self.found(archive, "lighthouse"), [])
        self.assertEqual(await self.found(archive, kind="photo"), [])
        self.assertEqual(await self.found(archive, talk="b"), [5])
        self.assertEqual(await archive.counts(EVENT, "kind"), [])

    async def test_what_is_restored_is_found_again_where_it_is_now(self) -> None:
        again = Posted(TALKS[2].item, f"{RESTORED}1")
        archive = await self.standing((*TALKS, Removed("push:3"), again))
        self.assertEqual(await self.found(archive, "lighthouse"), [7])
        self.assertEqual(
            [(one.value, one.items) for one in await archive.counts(EVENT, "kind")], [("photo", 1)]
        )

    async def test_filing_moves_an_item_from_talk_to_talk(self) -> None:
        archive = await self.standing((*TALKS, Filed("push:2", "b", "m1"), Filed("push:4", "a", "m1")))
        self.assertEqual(await self.found(archive, talk="b"), [5, 3, 2])
        self.assertEqual(await self.found(archive, "talk", talk="b"), [2])
        self.assertEqual(await self.found(archive, "talk", talk="a"), [])
        (item,) = (await archive.find(EVENT, Query(text="bob"), 5)).items
        self.assertEqual(item.item.talk, "a")
        counts = {one.value: one.items for one in await archive.counts(EVENT, "talk")}
        self.assertEqual(counts, {"a": 2, "b": 3})
        minutes = await archive.counts(EVENT, "minute:b")
        self.assertIn(("2026-11-21T09:10", None, 1), [tuple(one) for one in minutes])

    async def test_counts_are_those_of_the_items(self) -> None:
        """Whatever happens to items, in whatever batches."""
        rng = Random(3)
        drafts: list[Draft] = []
        for number in range(400):
            who = rng.randrange(1, 60)
            kind = rng.random()
            if kind < 0.15:
                drafts.append(Removed(f"push:{who}"))
            elif kind < 0.3:
                drafts.append(Filed(f"push:{who}", rng.choice(["a", "b", None]), f"m{number}"))
            else:
                author = Author(name=f"N{who % 5}", handle=f"h{who % 5}")
                version = f"{RESTORED}{number}" if kind < 0.4 else str(number + 1)
                at = f"2026-11-2{rng.randrange(1, 4)}T1{rng.randrange(0, 3)}:00:00Z"
                talk = rng.choice(["a", "b", None])
                item = post(who, f"w{number}", version, author=author, talk=talk, created_at=at)
                drafts.append(item)
        archive = await self.open(zones={EVENT: AMSTERDAM})
        # What the log takes for a repetition is no change.
        changes = list({change.seq: change for change in reversed(logged(drafts))}.values())[::-1]
        for first in range(0, len(changes), 17):
            await archive.store(EVENT, LINEAGE, first, changes[first : first + 17])
        shown = await archive.all_items(EVENT, 0, 1000)
        self.assertGreater(len(shown), 20)
        for facet, value_of in (
            ("author", lambda item: f"push:@{item.author.handle}"),
            ("source", lambda item: item.source),
            ("talk", lambda item: item.talk),
        ):
            wanted: dict[str, int] = {}
            for one in shown:
                value = value_of(one.item)
                if value is not None:
                    wanted[value] = wanted.get(value, 0) + 1
            counts = await archive.counts(EVENT, facet)
            self.assertEqual({one.value: one.items for one in counts}, wanted, facet)
            for value in wanted:
                seqs = await self.found(archive, None, **{facet: value})
                self.assertEqual(len(seqs), min(wanted[value], 50))
        for one in shown:
            self.assertEqual(await self.found(archive, f'"{one.item.text}"'), [one.seq])
        largest = await archive.counts(EVENT, "author", limit=2, largest=True)
        self.assertEqual(
            [one.items for one in largest],
            sorted((one.items for one in await archive.counts(EVENT, "author")), reverse=True)[:2],
        )
        (first,) = await archive.counts_of(EVENT, "author", [largest[0].value, "nobody"])
        self.assertEqual(first.label, f"N{first.value[-1]}\nh{first.value[-1]}")

    async def test_an_authors_name_does_not_outlive_their_items(self) -> None:
        archive = await self.standing((*TALKS, Removed("push:4")))
        self.assertEqual(self.database.query("SELECT count(*) FROM tallies WHERE label LIKE '%Kern%'"), [(0,)])
        self.assertNotIn("push:@bea", [one.value for one in await archive.counts(EVENT, "author")])

    async def test_everything_in_order_for_reports_and_exports(self) -> None:
        archive = await self.standing((*TALKS, Removed("push:3"), Filed("push:4", "b", "m")))
        seen: list[tuple[int, str | None]] = []
        after = 0
        while page := await archive.all_items(EVENT, after, 2):
            seen += [(one.seq, one.item.talk) for one in page]
            after = page[-1].seq
        self.assertEqual(seen, [(1, "a"), (2, "a"), (4, "b"), (5, "b")])
        self.assertEqual([one.seq for one in await archive.all_items(EVENT, 0, 9, talk="b")], [4, 5])

    async def test_what_became_of_a_number(self) -> None:
        again = Posted(TALKS[2].item, f"{RESTORED}1")
        drafts = (*TALKS, Removed("push:2"), post(1, "edited", "2"), Removed("push:3"), again)
        archive = await self.standing(drafts)
        for seq, standing in (
            (1, ("item", 1)),
            (2, ("gone", None)),
            (3, ("gone", None)),
            (6, ("gone", None)),
            (7, ("elsewhere", 1)),
            (9, ("item", 9)),
            (99, (None, None)),
        ):
            self.assertEqual(tuple(await archive.standing(EVENT, seq)), standing, seq)

    # -- archives that are older than their index

    async def until_whole(self, archive: SqlArchive, clock: HandClock | None = None) -> None:
        deadline = time.monotonic() + 60
        while not (await archive.find(EVENT, Query(text="red"), 5)).whole:
            self.assertLess(time.monotonic(), deadline, "the archive was not indexed in time")
            await deferLater(reactor, 0.02)
            if clock is not None:
                clock.advance(0.1)

    def forget_the_index(self) -> Iterator[str]:
        yield "DELETE FROM tallies"
        yield "DELETE FROM search_events"

    async def test_an_archive_that_was_never_indexed_is_indexed_beside_its_work(self) -> None:
        archive = await self.open()
        many = [post(n, f"red item{n}", talk="a") for n in range(1, 901)]
        changes = await self.fill(archive, many)
        await archive.stop()
        self.empty_index()
        self.patch(search_index, "_ROWS", 10)
        again = await self.open(zones={EVENT: AMSTERDAM})
        later = logged([*many, post(901, "red too"), Removed("push:1"), Removed("push:900")])[900:]
        await again.store(EVENT, LINEAGE, len(changes), later)
        await self.until_whole(again)
        self.assertEqual(await self.found(again, "item900"), [])
        self.assertEqual(await self.found(again, '"item1"'), [])
        self.assertEqual(await self.found(again, '"red too"'), [901])
        self.assertEqual(await self.found(again, '"item450"'), [450])
        self.assertEqual([(one.value, one.items) for one in await again.counts(EVENT, "talk")], [("a", 898)])

    async def test_a_flood_is_archived_at_once_and_found_when_it_is_over(self) -> None:
        self.patch(indexing, "FLOOD", 100)
        clock = HandClock()
        archive = await self.standing_by(clock, TALKS)
        begun = logged(TALKS)
        flood = [post(n, f"red item{n}", talk="a") for n in range(10, 130)]
        edit = post(2, "What a talk, now in blue", "2", talk="a")
        changes = logged([*TALKS, *flood, edit, Removed("push:12")])[len(begun) :]
        await archive.store(EVENT, LINEAGE, len(begun), changes)
        self.assertEqual(len(await archive.items(EVENT, 200)), len(begun) + len(flood) - 1)
        found = await archive.find(EVENT, Query(text='"item20"'), 5)
        self.assertEqual((found.items, found.whole), ([], False))
        self.assertEqual(await self.found(archive, "blue"), [2])
        await self.until_whole(archive, clock)
        self.assertEqual(await self.found(archive, '"item20"'), [16])
        self.assertEqual(await self.found(archive, '"item12"'), [])
        shown = [(one.value, one.items) for one in await archive.counts(EVENT, "talk")]
        self.assertEqual(shown, [("a", 2 + len(flood) - 1), ("b", 2)])

    async def test_what_a_flood_left_is_found_after_a_restart(self) -> None:
        self.patch(indexing, "FLOOD", 100)
        archive = await self.standing(tuple(post(n, f"red item{n}") for n in range(1, 121)))
        await archive.stop()
        again = await self.open(zones={EVENT: AMSTERDAM})
        await self.until_whole(again)
        self.assertEqual(await self.found(again, '"item77"'), [77])

    async def test_another_time_zone_is_another_day(self) -> None:
        archive = await self.standing()
        self.assertEqual(await self.found(archive, day="2026-11-22"), [5])
        await archive.stop()
        again = await self.open(zones={EVENT: ZoneInfo("America/New_York")})
        zone = "SELECT zone FROM search_events"
        await until(lambda: self.database.query(zone) == [("America/New_York",)], "the index to begin again")
        await self.until_whole(again)
        self.assertEqual(await self.found(again, day="2026-11-22"), [])
        self.assertEqual(await self.found(again, "lighthouse", hour="2026-11-21T04"), [3])
        self.assertEqual(
            [(one.value, one.items) for one in await again.counts(EVENT, "talk")], [("a", 2), ("b", 2)]
        )

    def empty_index(self) -> None:
        raise NotImplementedError


class SQLiteSearchTests(SearchSuite, ArchiveTestCase):
    database_class = SQLiteDatabase

    def empty_index(self) -> None:
        self.database.query("INSERT INTO search (search) VALUES ('delete-all')")
        for statement in self.forget_the_index():
            self.database.query(statement)

    async def test_nothing_of_a_removal_is_left_in_the_files(self) -> None:
        drafts = [post(n, f"filler number{n} " + "and more " * 9) for n in range(2, 400)]
        archive = await self.standing((post(1, "zwetschgendatschi"), *drafts))
        self.assertIn(b"zwetschgendatschi", self.database.everything())
        changes = logged([post(1), *drafts, Removed("push:1")])[-1:]
        await archive.store(EVENT, LINEAGE, 399, changes)
        await until(lambda: b"zwetschg" not in self.database.everything(), "the word to go from the files")

    async def test_the_index_and_the_archive_agree_to_the_byte(self) -> None:
        """FTS5 checks itself; a contentless table that was told the wrong words when something was taken out
        does not pass."""
        drafts = (*TALKS, post(1, "new words", "2"), Removed("push:2"))
        archive = await self.standing(drafts)

        async def check(sql: Transaction) -> int:
            return await sql.execute(text("INSERT INTO search (search) VALUES ('integrity-check')"))

        await archive.write_with(check)
        more = logged([*drafts, *(Removed(f"push:{n}") for n in (1, 3, 4, 5))])[7:]
        await archive.store(EVENT, LINEAGE, 7, more)
        await archive.write_with(check)
        self.assertEqual(await self.found(archive, "-nothing"), [])


class PostgreSQLSearchTests(SearchSuite, ArchiveTestCase):
    database_class = PostgreSQLDatabase

    def empty_index(self) -> None:
        self.database.query("DELETE FROM search")
        for statement in self.forget_the_index():
            self.database.query(statement)
