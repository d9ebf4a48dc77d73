"""An organiser says under which talk a post belongs."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from afeed.archive.filings import Correction
from afeed.archive.moderation import Action
from afeed.core.change import FILED
from afeed.core.errors import LogUnavailable
from afeed.core.schedule.model import Room, Schedule, Talk
from afeed.organisers.filing import Filers
from afeed.web.admin_filing import FilePages
from afeed.web.fragments import Fragments
from tests.filing.support import FakeProgramme
from tests.web.admin_house import AdminHouse, Browser

NEWEST = "/admin/events/e"
TALKS = tuple(
    Talk(
        guid=id,
        id=id,
        title=title,
        start=datetime(2026, 11, 21, hour, tzinfo=UTC),
        end=datetime(2026, 11, 21, hour + 1, tzinfo=UTC),
        room="main",
        is_break=id == "lunch",
    )
    for id, title, hour in (("lamps", "<Lamps>", 9), ("lunch", "Lunch", 12), ("boats", "Boats", 14))
)
SCHEDULE = Schedule(timezone="UTC", rooms=(Room(id="main", name="Main"),), talks=TALKS)


class FakeRegister:
    """Tells the log at once."""

    def __init__(self, house: AdminHouse) -> None:
        self.house = house
        self.known: dict[tuple[str, str], Correction] = {}

    async def decide(self, correction: Correction) -> None:
        from afeed.core.draft import Filed

        self.known[correction.event, correction.id] = correction
        await self.house.log.append(
            correction.event, None, [Filed(correction.id, correction.talk, f"organiser:{correction.number}")]
        )

    def decided(self, event: str, item_id: str) -> Correction | None:
        return self.known.get((event, item_id))


class FakeStore:
    """Decisions and orders, with who gave them."""

    def __init__(self) -> None:
        self.decisions: list[tuple[str, str, str | None, Action]] = []
        self.orders: list[tuple[str, Action | None]] = []

    def correct(self, event: str, item_id: str, talk: str | None, action: Action) -> Deferred[int]:
        self.decisions.append((event, item_id, talk, action))
        return succeed(len(self.decisions))

    def ask(self, event: str, at: str, action: Action | None = None) -> Deferred[int]:
        self.orders.append((event, action))
        return succeed(len(self.orders))


class FilingHouse(AdminHouse):
    """A house in which posts are filed."""

    def file_pages(self, fragments: Fragments) -> FilePages:
        self.filings = FakeStore()
        self.programme = FakeProgramme("e", SCHEDULE)
        programmes: Any = {"e": self.programme}
        store: Any = self.filings
        register: Any = FakeRegister(self)
        filers = Filers(programmes, store, register, self.moderation, lambda: self.now)
        return FilePages(filers, lambda event: fragments)


class FilingPagesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = FilingHouse()
        self.addCleanup(self.house.stop)
        self.browser = Browser(self.house)
        self.browser.sign_in()
        self.house.post(2)

    def place(self, number: int = 1) -> str:
        return f"{NEWEST}/file?subject=push:{number}&seq={number}"

    def file(self, talk: str, number: int = 1) -> Any:
        fields = {"subject": f"push:{number}", "seq": str(number), "talk": talk, "token": self.browser.token()}
        return self.browser.post(f"{NEWEST}/file", fields)

    def filed(self) -> list[tuple[str, str | None]]:
        changes = [change.filing() for change in self.house.log.events["e"].changes if change.type == FILED]
        return [(one.id, one.talk) for one in changes if one is not None]

    def test_each_post_leads_to_a_page_that_says_why_it_is_where_it_is(self) -> None:
        self.assertIn(f"{NEWEST}/file?subject=push%3A1", self.browser.get(NEWEST).body.decode())
        body = self.browser.get(self.place()).body.decode()
        self.assertIn("It is filed under no talk.", body)
        options = re.findall(r'<option value="([^"]*)"', body)
        self.assertEqual(options, ["", "lamps", "boats"])
        self.assertIn("&lt;Lamps&gt;", body)

    def test_a_post_is_filed_at_once_and_for_good_and_it_is_on_record_who_did_it(self) -> None:
        answer = self.file("boats")
        self.assertIn("The post is filed as you say", answer.body.decode())
        self.assertEqual(self.filed(), [("push:1", "boats")])
        ((event, item_id, talk, action),) = self.house.filings.decisions
        self.assertEqual((event, item_id, talk), ("e", "push:1", "boats"))
        self.assertEqual((action.account, action.action), ("ann", "file"))
        self.assertEqual(action.subject, "push:1 > boats")
        self.assertIn("An organiser has put it there.", self.browser.get(self.place()).body.decode())

    def test_under_no_talk(self) -> None:
        self.file("boats")
        self.file("")
        self.assertEqual(self.filed(), [("push:1", "boats"), ("push:1", None)])

    def test_what_makes_no_sense_is_not_done(self) -> None:
        for talk in ("lunch", "nowhere", "' OR 1"):
            self.assertEqual(self.file(talk).status, 400, talk)
        self.assertEqual(self.file("boats", 9).status, 409)
        self.assertEqual(self.browser.get(self.place(9)).status, 409)
        self.assertEqual(self.browser.get(f"{NEWEST}/file?seq=x").status, 400)
        self.assertEqual(self.filed(), [])

    def test_only_who_is_signed_in_may(self) -> None:
        stranger = Browser(self.house)
        self.assertEqual(stranger.get(self.place()).status, 303)
        sent = {"subject": "push:1", "seq": "1", "talk": "boats", "token": self.browser.token()}
        self.assertEqual(stranger.post(f"{NEWEST}/file", sent).status, 403)
        forged = {**sent, "token": "0" * 64}
        self.assertEqual(self.browser.post(f"{NEWEST}/file", forged).status, 403)
        self.assertEqual(self.filed(), [])

    def test_while_the_log_is_away_it_says_so(self) -> None:
        self.house.log.fault = LogUnavailable("away")
        self.assertEqual(self.file("boats").status, 503)

    def test_everything_can_be_filed_again(self) -> None:
        answer = self.browser.press(f"{NEWEST}/refile", subject="e")
        self.assertIn("Everything is being filed again", answer.body.decode())
        ((event, action),) = self.house.filings.orders
        assert action is not None
        self.assertEqual((event, action.account, action.action), ("e", "ann", "refile"))

    def test_without_a_schedule_nothing_is_offered(self) -> None:
        self.house.programme.schedule = None
        self.assertNotIn(f"{NEWEST}/file", self.browser.get(NEWEST).body.decode())
        self.assertEqual(self.browser.get(self.place()).status, 400)

    def test_where_nothing_is_filed_there_is_no_such_page(self) -> None:
        house = AdminHouse()
        self.addCleanup(house.stop)
        browser = Browser(house)
        browser.sign_in()
        self.assertEqual(browser.get(self.place()).status, 404)
