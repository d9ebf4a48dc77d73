"""Posts that were deleted at X, where the stream says nothing about it, go."""

from __future__ import annotations

from random import Random
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed

from afeed.core.draft import Removed
from afeed.core.errors import ArchiveUnavailable
from afeed.settings import Secret, XAccount
from afeed.sources.x import XStream
from afeed.sources.xlookup import LOOKUP_S
from tests.sources.xcase import TOKEN, XCase


class LookupTests(XCase):
    def setUp(self) -> None:
        self.shown: dict[str, list[str]] = {}
        super().setUp()

    def make(self, http: Any) -> XStream:
        account = XAccount(bearer_token=Secret(TOKEN), api_url="http://api.example/")
        return XStream(account, lambda: self.wanted, http, self.clock, self.now, Random(1), shown=self.showing)

    def showing(self, slug: str) -> Deferred[list[str]]:
        removed = self.removed()
        return succeed([id_ for id_ in self.shown.get(slug, []) if (slug, f"x:{id_}") not in removed])

    def published(self, count: int, slug: str = "aea") -> list[str]:
        """Publish and show so many posts; their ids, newest first."""
        ids = [self.post(f"{number} #{slug}") for number in range(count)][::-1]
        self.shown[slug] = ids
        return ids

    def lookups(self) -> int:
        return sum(path == "/2/tweets" for _, path in self.x.requests)

    def removed(self) -> list[tuple[str, str]]:
        return [
            (slug, draft.id)
            for slug, drafts, _ in self.sink.offers
            for draft in drafts
            if type(draft) is Removed
        ]

    def test_a_deleted_post_and_one_that_is_hidden_are_removed(self) -> None:
        self.start()
        ids = self.published(20)
        self.x.delete(ids[4])
        self.x.hide(ids[9])
        self.advance(LOOKUP_S + 1)
        self.assertEqual(self.removed(), [("aea", f"x:{ids[4]}"), ("aea", f"x:{ids[9]}")])

    def test_an_edited_post_is_still_there(self) -> None:
        self.start()
        (first,) = self.published(1)
        self.post("better #aea", edits=first)
        self.advance(LOOKUP_S + 1)
        self.assertEqual((self.lookups(), self.removed()), (1, []))

    def test_a_batch_a_minute_and_every_event_in_turn(self) -> None:
        self.wanted = {"aea": "#aea", "conf": "#conf"}
        self.start()
        self.published(250)
        (other,) = self.published(1, "conf")
        self.x.delete(other)
        self.advance(LOOKUP_S * 4 + 5)
        self.assertEqual(self.lookups(), 4)
        self.assertEqual(self.removed(), [("conf", f"x:{other}")])
        self.x.delete(self.shown["aea"][0])
        self.advance(LOOKUP_S)
        self.assertEqual(self.removed()[1:], [("aea", f"x:{self.shown['aea'][0]}")])

    def test_nothing_shown_asks_nothing(self) -> None:
        self.start()
        self.advance(600)
        self.assertEqual(self.lookups(), 0)

    def test_faults_remove_nothing_and_the_stream_goes_on(self) -> None:
        for fault in ("unavailable", "reset", "html", "unauthorized", "redirect", "rate-limited"):
            self.start()
            ids = self.published(3)
            self.x.delete(ids[0])
            self.x.fault(fault, on="lookup")
            self.advance(LOOKUP_S + 5)
            self.assertEqual((self.lookups(), self.removed()), (1, []), fault)
            self.assertEqual(self.state(), "ok")
            self.advance(1000, step=1)
            self.assertEqual(self.removed(), [("aea", f"x:{ids[0]}")], fault)
            self.stop()
            self.setUp()

    def test_an_empty_answer_removes_nothing(self) -> None:
        self.start()
        self.published(3)
        self.x.refuse(200, {}, on="lookup", times=5)
        self.x.refuse(
            200, {"errors": [{"title": "Internal Error"}, {"type": 7, "value": []}]}, on="lookup", times=5
        )
        self.advance(LOOKUP_S * 10 + 5)
        self.assertEqual((self.lookups(), self.removed()), (10, []))

    def test_a_rate_limit_is_respected(self) -> None:
        self.start()
        self.published(3)
        self.x.fault("rate-limited", on="lookup", reset_in=700)
        self.advance(700, step=1)
        self.assertEqual(self.lookups(), 1)
        self.advance(5)
        self.assertEqual(self.lookups(), 2)

    def test_while_what_is_shown_is_not_known_nothing_is_asked(self) -> None:
        self.showing = lambda slug: fail(ArchiveUnavailable("away"))  # type: ignore[method-assign]
        self.stream = self.make(self.http)
        self.start()
        self.advance(300)
        self.assertEqual(self.lookups(), 0)
        self.post("#aea")
        self.assertEqual(self.sink.texts(), ["#aea"])
