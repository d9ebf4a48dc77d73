"""What is kept from the screen: by the configuration, by organisers, at every node."""

from __future__ import annotations

import itertools
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from afeed.archive.moderation import Blocked
from afeed.core.draft import Held, Posted, Removed
from afeed.core.errors import ArchiveUnavailable, LogUnavailable
from afeed.core.filters import Filters
from afeed.core.moderation import author_key
from afeed.organisers import filtering as module
from afeed.organisers.blocks import Blocks
from afeed.organisers.filtering import Filtering, Rules
from afeed.organisers.moderation import LEARN_S, LOOK_S, Actor, NotThere
from tests.fakes import MemoryLog, a_post, an_item
from tests.organisers.memory import MemoryFilterStore, MemoryModerationStore
from tests.web.samples import make_event

ANN = Actor("ann", "192.0.2.7")
NOON = 1_800_000_000.0
MUTED = Filters(muted=("bad",))


class RulesTests(SynchronousTestCase):
    def setUp(self) -> None:
        event = make_event("e", filters=Filters(mode="hold", hold_s=30, muted=("bad",)))
        self.rules = Rules([event, make_event("other")], lambda: NOON)

    def test_a_removal_is_never_held(self) -> None:
        self.assertIsNone(self.rules.holds("e", Removed("push:1")))

    def test_what_is_held_says_why_and_until_when(self) -> None:
        self.assertEqual(
            self.rules.holds("e", a_post(1)), Held(an_item(1), "1", "hold", "2027-01-15T08:00:30.000Z")
        )
        self.assertEqual(self.rules.holds("e", a_post(1, "bad")), Held(an_item(1, "bad"), "1", "muted:bad"))
        self.assertIsNone(self.rules.holds("other", a_post(1, "bad")))

    def test_what_comes_together_is_shown_in_its_order(self) -> None:
        passing = itertools.count()
        self.rules._now = lambda: NOON + next(passing) / 100_000
        times = [held.until for n in range(500) if (held := self.rules.holds("e", a_post(n)))]
        self.assertEqual(times[:2], ["2027-01-15T08:00:30.000Z", "2027-01-15T08:00:30.001Z"])
        self.assertEqual(times[:300], sorted(set(times[:300]), key=str))
        self.assertLessEqual(max(filter(None, times)), "2027-01-15T08:00:30.310Z")

    def test_what_cannot_be_judged_waits_for_somebody(self) -> None:
        self.patch(module, "judge", lambda *given: 1 / 0)
        self.assertEqual(self.rules.holds("e", a_post(1)), Held(an_item(1), "1", "defect"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class FilteringTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.log = MemoryLog(["e"])
        self.moderation = MemoryModerationStore()
        self.store = MemoryFilterStore(self.moderation)
        self.blocks = Blocks()
        self.node = self.a_node()

    def a_node(self) -> Filtering:
        """Another node is what has the same stores."""
        store: Any = self.store
        moderation: Any = self.moderation
        rules = Rules([make_event("e", filters=MUTED)], lambda: NOON + self.clock.seconds())
        found = Filtering(
            rules, self.blocks, store, moderation, self.log, self.clock, lambda: NOON + self.clock.seconds()
        )
        self.addCleanup(found.stop)
        return found

    def do(self, work: Any) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def acts(self) -> list[tuple[str, str | None]]:
        return [(action.action, action.subject) for action in self.moderation.noted]

    def hold(self, *posts: Posted) -> None:
        held = [Held(post.item, post.version, "muted:bad") for post in posts]
        self.successResultOf(self.log.hold("e", held))

    def test_what_is_changed_applies_at_once_here_and_within_two_seconds_elsewhere(self) -> None:
        other = self.a_node()
        other.start()
        self.do(self.node.change("e", Filters(mode="approve"), ANN))
        self.assertEqual(self.node.rules.at("e").mode, "approve")
        self.assertEqual(other.rules.at("e"), MUTED)
        self.clock.advance(LOOK_S)
        self.assertEqual(other.rules.at("e").mode, "approve")
        changed = other.rules.change_of("e")
        assert changed is not None
        self.assertEqual((changed.account, changed.at), ("ann", "2027-01-15T08:00:00.000Z"))
        self.do(self.node.reset("e", ANN))
        self.clock.advance(LOOK_S)
        for node in (self.node, other):
            self.assertEqual((node.rules.at("e"), node.rules.change_of("e")), (MUTED, None))
        self.assertEqual(self.acts(), [("filters", "approve"), ("unfilter", "everything")])

    def test_a_node_knows_before_anything_comes_in(self) -> None:
        self.do(self.node.change("e", Filters(mode="approve"), ANN))
        later = self.a_node()
        self.do(later.learn())
        self.assertEqual(later.rules.at("e").mode, "approve")

    def test_the_start_does_not_wait_long_for_it(self) -> None:
        silent: Deferred[int] = Deferred()
        self.moderation.count = lambda: silent  # type: ignore
        learning = Deferred.fromCoroutine(self.node.learn())
        self.clock.advance(LEARN_S)
        self.successResultOf(learning)
        self.assertEqual(self.node.rules.at("e"), MUTED)

    def test_without_the_database_what_is_known_applies_and_it_is_looked_up_later(self) -> None:
        self.do(self.node.change("e", Filters(mode="approve"), ANN))
        later = self.a_node()
        self.moderation.fault = ArchiveUnavailable("away")
        self.do(later.learn())
        later.start()
        self.failureResultOf(Deferred.fromCoroutine(self.node.reset("e", ANN)), ArchiveUnavailable)
        self.assertEqual(self.node.rules.at("e").mode, "approve")
        self.clock.advance(LOOK_S)
        self.assertEqual(later.rules.at("e"), MUTED)
        self.moderation.fault = None
        self.clock.advance(LOOK_S)
        self.assertEqual(later.rules.at("e").mode, "approve")

    def test_what_is_shown_and_refused_is_on_record(self) -> None:
        self.hold(a_post(1, "bad"), a_post(2, "bad"), a_post(3, "bad"))
        self.do(self.node.refuse("e", ["push:1"], ANN))
        self.assertEqual(self.do(self.node.show("e", ["push:3", "push:9", "push:2"], ANN)), 2)
        self.assertEqual(self.acts(), [("refuse", "push:1"), ("show", "push:3"), ("show", "push:2")])
        self.assertEqual([change.id for change in self.log.events["e"].changes], ["push:3", "push:2"])
        # One click, all the same.
        self.do(self.node.show("e", ["push:1"], ANN))
        self.assertEqual(self.log.events["e"].changes[-1].id, "push:1")

    def test_what_somebody_else_has_shown_is_not_there_any_more(self) -> None:
        self.failureResultOf(Deferred.fromCoroutine(self.node.show("e", ["push:1"], ANN)), NotThere)
        self.assertEqual(self.acts(), [])

    def test_a_log_that_is_away_is_said_to_be(self) -> None:
        self.log.fault = LogUnavailable("away")
        for work in (self.node.show("e", ["push:1"], ANN), self.node.refuse("e", ["push:1"], ANN)):
            self.failureResultOf(Deferred.fromCoroutine(work), LogUnavailable)
        self.assertEqual(self.acts(), [])

    def test_what_blocked_authors_have_waiting_is_stopped(self) -> None:
        count = module.BATCH * 2 + 50
        self.hold(*(Posted(an_item(n, handle="ben" if n % 3 else "ann"), "1") for n in range(count)))
        self.node.start()
        key = author_key("push", an_item(1, handle="ben").author)
        assert key is not None
        self.blocks.know([Blocked("e", key, "Ben", "")])
        self.clock.advance(LOOK_S)
        left = {one.item.author.handle for one in self.successResultOf(self.log.held("e", count))}
        stopped = self.successResultOf(self.log.held("e", count, stopped=True))
        self.assertEqual((left, len(stopped)), ({"ann"}, sum(n % 3 > 0 for n in range(count))))

    def test_a_defect_is_told_and_it_goes_on_looking(self) -> None:
        self.store.changed = lambda: 1 / 0  # type: ignore
        self.node.start()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        del self.store.changed
        self.do(self.a_node().change("e", Filters(mode="approve"), ANN))
        self.clock.advance(LOOK_S)
        self.assertEqual(self.node.rules.at("e").mode, "approve")
