"""What comes in is filed as it comes, and filed better when more is known."""

from __future__ import annotations

from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.attribution.memory import Memory
from afeed.core.change import POSTED
from afeed.core.draft import Draft, Posted, Removed
from afeed.core.errors import LogUnavailable
from tests.fakes import MemoryLog
from tests.filing.support import CLEAR, EVENT, SCHEDULE, VAGUE, Office, filings, item, posted


class ClerkTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.log = MemoryLog([EVENT])
        self.office = Office(self.log, SCHEDULE)
        self.office.start()
        self.addCleanup(self.office.stop)

    def record(self, *drafts: Draft) -> None:
        """As a source's drafts are recorded at this node."""
        self.log.append(EVENT, None, [self.office.clerk.prepare(EVENT, draft) for draft in drafts])
        self.office.pass_(1.0)

    def talks(self) -> dict[str, str | None]:
        """Where the log's posts were put when they came."""
        items = [change.item() for change in self.log.events[EVENT].changes if change.type == POSTED]
        return {one.id: one.talk for one in items if one is not None}

    def test_an_item_has_its_talk_when_it_is_posted(self) -> None:
        self.record(Posted(item(1, CLEAR), "1"), Posted(item(2, VAGUE, author="cy"), "1"))
        self.assertEqual(self.talks(), {"x:1": "lamps", "x:2": None})
        self.assertEqual(filings(self.log), [])

    def test_drafts_without_an_item_and_other_events_are_left_alone(self) -> None:
        removed, other = Removed("x:1"), Posted(item(1, CLEAR), "1")
        self.assertIs(self.office.clerk.prepare(EVENT, removed), removed)
        self.assertIs(self.office.clerk.prepare("other", other), other)

    def test_a_reply_that_comes_before_its_parent_is_filed_when_that_comes(self) -> None:
        self.record(Posted(item(2, VAGUE, author="cy", reply_to="x:1"), "1"))
        self.record(Posted(item(1, CLEAR), "1"))
        self.assertEqual(self.talks(), {"x:2": None, "x:1": "lamps"})
        self.assertEqual(filings(self.log), [("x:2", "lamps")])
        self.office.pass_(10)
        self.assertEqual(filings(self.log), [("x:2", "lamps")])

    def test_a_reply_in_the_same_batch_as_its_parent_is_filed_at_once(self) -> None:
        self.record(Posted(item(1, CLEAR), "1"), Posted(item(2, VAGUE, author="cy", reply_to="x:1"), "1"))
        self.assertEqual(self.talks(), {"x:1": "lamps", "x:2": "lamps"})

    def test_without_a_schedule_nothing_waits_and_what_came_is_evidence_later(self) -> None:
        office = Office(self.log)
        office.start()
        self.addCleanup(office.stop)
        draft = Posted(item(1, CLEAR), "1")
        self.assertIs(office.clerk.prepare(EVENT, draft), draft)
        office.programme.use(SCHEDULE)
        office.pass_(1.0)
        filed = office.clerk.prepare(EVENT, Posted(item(2, CLEAR), "1"))
        assert isinstance(filed, Posted)
        self.assertEqual(filed.item.talk, "lamps")

    def test_a_defect_in_filing_costs_nobody_a_post(self) -> None:
        draft = Posted(item(1, CLEAR), "1")
        with mock.patch.object(Memory, "file", side_effect=RecursionError("deep")):
            self.assertIs(self.office.clerk.prepare(EVENT, draft), draft)
            self.assertIs(self.office.clerk.prepare(EVENT, draft), draft)
        self.assertEqual(len(self.flushLoggedErrors(RecursionError)), 1)

    def test_a_node_that_does_not_lead_learns_and_writes_nothing(self) -> None:
        self.office.lead.token = None
        posted(self.log, [item(1, CLEAR)])
        self.office.pass_(1.0)
        self.assertEqual(self.office.clerk.memories[EVENT].talk("x:1"), "lamps")
        self.assertEqual(filings(self.log), [])

    def test_an_item_that_came_in_where_there_was_no_schedule_is_filed_by_the_leader(self) -> None:
        posted(self.log, [item(1, CLEAR)])
        self.office.pass_(1.0)
        self.assertEqual(filings(self.log), [("x:1", "lamps")])

    def test_what_was_there_before_the_start_is_remembered(self) -> None:
        posted(
            self.log, [item(1, CLEAR, talk="lamps"), *(item(n, VAGUE, author=f"a{n}") for n in range(2, 300))]
        )
        office = Office(self.log, SCHEDULE)
        office.start()
        self.addCleanup(office.stop)
        office.pass_(3.0)
        self.assertEqual(len(office.clerk.memories[EVENT]), 299)
        filed = office.clerk.prepare(EVENT, Posted(item(500, VAGUE, author="cy", reply_to="x:1"), "1"))
        assert isinstance(filed, Posted)
        self.assertEqual(filed.item.talk, "lamps")

    def test_what_is_removed_is_forgotten(self) -> None:
        self.record(Posted(item(1, CLEAR), "1"))
        self.record(Removed("x:1"))
        self.assertFalse(self.office.clerk.memories[EVENT].knows("x:1"))

    def test_a_better_answer_waits_while_the_log_is_away(self) -> None:
        self.record(Posted(item(2, VAGUE, author="cy", reply_to="x:1"), "1"))
        self.log.append(EVENT, None, [self.office.clerk.prepare(EVENT, Posted(item(1, CLEAR), "1"))])
        self.log.fault = LogUnavailable("away")
        self.office.pass_(5.0)
        self.assertEqual(filings(self.log), [])
        self.log.fault = None
        self.office.pass_(5.0)
        self.assertEqual(filings(self.log), [("x:2", "lamps")])

    def test_a_new_schedule_of_another_node_is_heard_of(self) -> None:
        from afeed.core.draft import Rescheduled

        self.log.append(EVENT, None, [Rescheduled("1:x:0", "edition-2", ())])
        self.office.pass_(1.0)
        self.assertEqual(self.office.programme.hints, ["edition-2"])

    def test_a_new_epoch_ends_nothing(self) -> None:
        self.record(Posted(item(1, CLEAR), "1"))
        self.log.renew(EVENT, "e2", 1)
        self.office.pass_(2.0)
        self.record(Posted(item(2, VAGUE, author="cy", reply_to="x:1"), "1"))
        self.assertEqual(self.talks()["x:2"], "lamps")
