"""Forgetting an author, from the request to the last byte."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import deferLater

from afeed import forgetting
from afeed.archive.filings import FilingStore
from afeed.archive.filters import FilterStore
from afeed.archive.forgetting import DONE, WAITING, ForgettingStore
from afeed.archive.moderation import FILED_UNDER, Action, Blocked, Hidden, ModerationStore
from afeed.archive.store import SqlArchive
from afeed.archive.strainer import Strainer
from afeed.core.change import REDACTED
from afeed.core.draft import Draft, Filed, Held, Posted, Removed
from afeed.core.errors import ArchiveUnavailable, LogUnavailable
from afeed.core.forgetting import EVERYWHERE, Forgotten, author_hash, label
from afeed.core.item import Author, Item, Quote
from afeed.forgetting import Forgetting
from tests.archive.support import EVENT, ArchiveTestCase, PostgreSQLDatabase
from tests.fakes import MemoryLog
from tests.web.samples import make_item

ANN = Author(name="Ann Quill", handle="annq")
BOB = Author(name="Bob", handle="bob")
KEY = "push:@annq"
AT = "2026-11-22T12:00:00.000Z"


def own(number: int, text: str = "her pigeons", version: str = "1") -> Posted:
    return Posted(make_item(number, author=ANN, text=text, html=f"<p>{text}</p>"), version)


def quoting(number: int, version: str = "1", **other: Any) -> Posted:
    quote = Quote(author=ANN, text="her quoted pigeons", html="<p>her quoted pigeons</p>")
    return Posted(make_item(number, author=BOB, text="so true", quote=quote, **other), version)


def sharing(number: int) -> Posted:
    return Posted(make_item(number, author=BOB, shared_by=ANN), "1")


class ForgettingSuite:
    """Mixed into a test case per database below."""

    def setUp(self) -> None:
        super().setUp()  # type: ignore[misc]
        self.patch(forgetting, "SETTLE_S", 0.05)
        self.patch(forgetting, "LOOK_S", 0.05)
        self.log = MemoryLog([EVENT])
        self.forgotten = Forgotten()
        self.cleared = 0

    @contextmanager
    def patched(self, where: object, name: str, value: object) -> Iterator[None]:
        patch = self.patch(where, name, value)  # type: ignore[attr-defined]
        try:
            yield
        finally:
            patch.restore()

    async def begin(self, *drafts: Draft) -> SqlArchive:
        """An archive that follows the log."""
        self.archive = await self.open()
        await self.record(*drafts)
        strainer = Strainer(
            self.log, self.archive, (EVENT,), reactor, Random(1), on_copied=lambda event, seq: None
        )
        strainer.copy(True)
        self.launch(strainer.run())
        await self.follow()
        return self.archive

    def launch(self, work: Any) -> Deferred[Any]:
        running = Deferred.fromCoroutine(work).addErrback(lambda _: None)

        def stop() -> Deferred[Any]:
            running.cancel()
            return running

        self.addCleanup(stop)
        return running

    async def record(self, *drafts: Draft) -> None:
        for draft in drafts:
            await self.log.append(EVENT, None, [draft])

    async def follow(self) -> None:
        async def there() -> bool:
            position = await self.archive.position(EVENT)
            return (position.seq if position else 0) == (await self.log.head(EVENT)).seq

        await self.until(there)

    async def until(self, what: Any) -> None:
        deadline = reactor.seconds() + 90
        while not await what():
            if reactor.seconds() > deadline:
                raise AssertionError("it did not come to be")
            await deferLater(reactor, 0.01)

    def work(self, events: tuple[str, ...] = (EVENT,)) -> Forgetting:
        def cleared() -> None:
            self.cleared += 1

        return Forgetting(
            ForgettingStore(self.archive),
            self.forgotten,
            self.log,
            self.archive,
            events,
            [self.archive, self.log],
            reactor,
            lambda: 1_800_000_000.0,
            cleared,
        )

    async def forget(self, scope: str = EVENT) -> Any:
        work = self.work()
        requests = await work.ask(scope, KEY, "ann", "192.0.2.1")
        work.lead(True)
        self.launch(work.run())
        numbers = [request.number for request in requests]

        async def done() -> bool:
            return all(one.state == DONE for one in await work.store.requests(numbers))

        await self.until(done)
        (request,) = await work.store.requests(numbers)
        return request

    def texts(self) -> bytes:
        """All that the log has."""
        return b"\n".join(change.stored for change in self.log.events[EVENT].changes)

    async def items(self) -> list[Item]:
        return [one.item for one in await self.archive.items(EVENT, 100)]

    def assert_gone(self) -> None:
        """Neither her name nor her words are anywhere, not in the bytes of a file either."""
        for place in (self.texts(), self.database.everything()):
            for word in (b"annq", b"Ann Quill", b"pigeons"):
                self.assertNotIn(word, place)

    async def test_their_items_go_and_numbers_stay_whole(self) -> None:
        await self.begin(
            own(1),
            Posted(make_item(2, author=BOB), "1"),
            own(3),
            own(3, "other pigeons", "2"),
            Removed("push:3"),
        )
        request = await self.forget()
        self.assertEqual((request.removed, request.cleaned, request.detail), (1, 0, None))
        self.assertEqual([item.id for item in await self.items()], ["push:2"])
        changes = await self.archive.read(EVENT, 0, 100)
        self.assertEqual([change.seq for change in changes], list(range(1, 7)))
        self.assertEqual(changes[0].type, REDACTED)
        self.assert_gone()
        self.assertGreater(self.cleared, 0)

    async def test_items_of_others_stay_without_them(self) -> None:
        await self.begin(
            quoting(1),
            sharing(2),
            # One that quoted her once: the record still has it.
            quoting(3),
            Posted(make_item(3, author=BOB, text="never mind"), "2"),
        )
        request = await self.forget()
        self.assertEqual((request.removed, request.cleaned), (0, 3))
        found = {item.id: item for item in await self.items()}
        self.assertEqual(
            {id_: item.text for id_, item in found.items()},
            {
                "push:1": "so true",
                "push:2": "post 2",
                "push:3": "never mind",
            },
        )
        self.assertTrue(all(item.quote is None and item.shared_by is None for item in found.values()))
        self.assert_gone()

    async def test_an_item_that_stays_stays_under_its_talk(self) -> None:
        await self.begin(quoting(1, talk="t1"), Filed("push:1", "t2", "m"))
        await self.forget()
        (item,) = await self.items()
        self.assertEqual(item.talk, "t2")

    async def test_nothing_of_theirs_comes_in_any_more(self) -> None:
        await self.begin(own(1))
        await self.forget()
        self.assertFalse(self.forgotten.admits(EVENT, own(2)))
        self.assertEqual(self.forgotten.prepare(EVENT, quoting(3)).item.quote, None)
        # Neither what is fetched once more, nor what a node lets in that does not know yet.
        await self.record(own(1, version="7"))
        await self.follow()
        self.assertEqual(await self.items(), [])
        other = Forgotten()
        store = ForgettingStore(self.archive)
        other.know(await store.secret(), await store.forgotten())
        self.assertFalse(other.admits(EVENT, own(4)))

    async def test_where_organisers_put_their_posts_goes_as_well(self) -> None:
        await self.begin(own(1), quoting(3))
        filed = FilingStore(self.archive)
        for item_id in ("push:1", "push:3"):
            action = Action(AT, "ann", "192.0.2.1", "file", EVENT, f"{item_id}{FILED_UNDER}keynote")
            await filed.correct(EVENT, item_id, "keynote", action)
        await self.forget()
        self.assertEqual([one.id for one in await filed.corrections(0)], ["push:3"])
        subjects = [
            one.subject for one in await ModerationStore(self.archive).actions(9) if one.action == "file"
        ]
        self.assertEqual(subjects[0], f"push:3{FILED_UNDER}keynote")
        self.assertNotIn("push:1", subjects[1] or "")

    async def test_what_comes_in_meanwhile_at_a_node_that_does_not_know_goes_as_well(self) -> None:
        await self.begin(own(1))
        work = self.work()
        append, came = self.log.append, []

        def slipped_in(event: str, epoch: Any, drafts: Any, **options: Any) -> Any:
            result = append(event, epoch, drafts, **options)
            if not came:
                came.append(append(event, None, [own(2), quoting(3)]))
            return result

        self.log.append = slipped_in  # type: ignore[method-assign]
        await work.ask(EVENT, KEY, "ann", "192.0.2.1")
        work.lead(True)
        self.launch(work.run())
        await self.until(lambda: self._all_done(work))
        self.assertEqual([item.id for item in await self.items()], ["push:3"])
        self.assert_gone()

    async def _all_done(self, work: Forgetting) -> bool:
        return not await work.store.open()

    async def gone_again(self) -> None:
        """Wait until a second request is carried out; nothing of her is left then."""

        async def done() -> bool:
            requests = await ForgettingStore(self.archive).last(EVENT, 10)
            return len(requests) == 2 and all(one.state == DONE for one in requests)

        await self.until(done)
        self.assert_gone()
        self.assertEqual([item.id for item in await self.items()], ["push:2"])

    async def test_what_a_node_lets_in_that_begins_without_knowing_goes_when_it_knows(self) -> None:
        await self.begin(own(1), Posted(make_item(2, author=BOB), "1"))
        await self.forget()
        node = self.work()
        with self.patched(node.store, "forgotten", lambda: fail(ArchiveUnavailable("away"))):
            await node.learn()
        await self.record(own(3))
        self.launch(node.run())
        await self.gone_again()

    async def test_what_a_node_lets_in_that_hears_of_it_too_late_goes_when_it_does(self) -> None:
        await self.begin(own(1), Posted(make_item(2, author=BOB), "1"))
        node = self.work()
        await node.learn()
        await self.forget()
        await deferLater(reactor, 2 * forgetting.SETTLE_S)
        await self.record(own(3))
        self.launch(node.run())
        await self.gone_again()

    async def test_who_knows_in_time_asks_for_nothing_twice(self) -> None:
        await self.begin(own(1))
        await self.forget()
        node = self.work()
        await node.learn()
        self.launch(node.run())
        await deferLater(reactor, 4 * forgetting.LOOK_S)
        self.assertEqual(len(await node.store.last(EVENT, 10)), 1)

    async def test_what_is_held_back_goes_too(self) -> None:
        await self.begin(Posted(make_item(9, author=BOB), "1"))
        held = [Held(one.item, one.version, "rule", None) for one in (own(1), own(2), quoting(3), quoting(4))]
        await self.log.hold(EVENT, held)
        stopped = ["push:2", "push:4"]
        await self.log.stop_held(EVENT, stopped)
        await FilterStore(self.archive).note(
            [Action(AT, "cy", "192.0.2.1", "refuse", EVENT, item_id) for item_id in stopped]
        )
        request = await self.forget()
        self.assertEqual((request.removed, request.cleaned), (2, 2))
        left = [*await self.log.held(EVENT, 10), *await self.log.held(EVENT, 10, None, True)]
        self.assertEqual(
            [(one.item.id, one.item.quote, one.stopped) for one in left],
            [
                ("push:3", None, False),
                ("push:4", None, True),
            ],
        )
        trail = await ModerationStore(self.archive).actions(9)
        refused = {one.subject for one in trail if one.action == "refuse"}
        self.assertEqual(refused, {label(request.author_hash), "push:4"})

    async def test_what_organisers_hid_blocked_and_did_goes_too(self) -> None:
        await self.begin(own(1))
        store = ModerationStore(self.archive)
        at = AT
        hidden = [Hidden(own(5).item, at, None), Hidden(quoting(6).item, at, None)]
        because = [Hidden(sharing(7).item, at, KEY), Hidden(make_item(8, author=BOB), at, None)]
        await store.hide(EVENT, hidden + because, Action(at, "cy", "192.0.2.1", "hide", EVENT, "push:1"))
        await store.block(
            Blocked(EVENT, KEY, "Ann Quill (@annq)", at), Action(at, "cy", "::1", "block", EVENT, KEY)
        )
        await self.forget()
        left = [one.item.id for one in await store.hidden(EVENT, 10)]
        self.assertEqual(sorted(left), ["push:6", "push:8"])
        self.assertEqual((await store.find(EVENT, "push:6")).quote, None)
        self.assertEqual(await store.blocked(), [])
        name = label(author_hash(await ForgettingStore(self.archive).secret(), KEY))
        done = [(one.account, one.action, one.subject) for one in await store.actions(10)]
        self.assertEqual(done, [("ann", "forget", name), ("cy", "block", name), ("cy", "hide", name)])
        self.assert_gone()

    async def test_everywhere_is_also_at_events_to_come(self) -> None:
        await self.begin(own(1))
        await self.forget(EVERYWHERE)
        self.assertEqual(await self.items(), [])
        self.assertFalse(self.forgotten.admits("next-year", own(2)))

    async def test_only_the_node_that_leads_carries_it_out_and_only_what_it_serves(self) -> None:
        await self.begin(own(1))
        work = self.work(("another",))
        await work.ask(EVENT, KEY, "ann", "192.0.2.1")
        work.lead(True)
        self.launch(work.run())
        follower = self.work()
        self.launch(follower.run())
        await deferLater(reactor, 0.3)
        (request,) = await work.store.open()
        self.assertEqual((request.state, len(await self.items())), (WAITING, 1))
        self.assertFalse(follower.forgotten.admits(EVENT, own(2)))

    async def test_the_same_request_twice_is_one(self) -> None:
        await self.begin(own(1))
        work = self.work()
        first = await work.ask(EVENT, KEY, "ann", "192.0.2.1")
        self.assertEqual(await work.ask(EVENT, KEY, "ann", "192.0.2.1"), first)
        self.assertEqual(len(await work.store.open()), 1)

    async def test_who_dies_in_the_middle_is_followed_by_another(self) -> None:
        await self.begin(*(own(number) for number in range(1, 6)), quoting(6))
        await self.work().ask(EVENT, KEY, "ann", "192.0.2.1")
        for step in range(3):
            work = self.work()
            (request,) = await work.store.open()
            work._live_log = _Dying(self.log, step)  # type: ignore[assignment]
            await self.assertFailure(Deferred.fromCoroutine(work.carry_out(request)), LogUnavailable)
        await self.forget()
        (item,) = await self.items()
        self.assertEqual((item.id, item.quote), ("push:6", None))
        self.assert_gone()


class _Dying:
    """A log that goes away after so many appends."""

    def __init__(self, log: MemoryLog, appends: int) -> None:
        self._log = log
        self._appends = appends

    def append(self, *arguments: Any, **options: Any) -> Deferred[Any]:
        self._appends -= 1
        if self._appends < 0:
            return fail(LogUnavailable("gone"))
        return self._log.append(*arguments, **options)

    def head(self, event: str) -> Deferred[Any]:
        return fail(LogUnavailable("gone"))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)


class SQLiteForgettingTests(ForgettingSuite, ArchiveTestCase):
    pass


class PostgreSQLForgettingTests(ForgettingSuite, ArchiveTestCase):
    database_class = PostgreSQLDatabase
