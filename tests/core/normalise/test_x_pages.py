"""Pages of X's search, API v2 and 1.1."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.draft import Posted
from afeed.core.errors import BadInput
from afeed.core.normalise.x import Page, read_page
from tests.core.normalise.fixtures import POST_ID, post_v1, post_v2, user_v2


def page(value: Any) -> Page:
    return read_page(json.dumps(value).encode())


def ids(found: Page) -> list[str]:
    return [draft.item.id for draft in found.drafts if isinstance(draft, Posted)]


class PageTests(SynchronousTestCase):
    def test_recent_search(self) -> None:
        newer, older = (
            post_v2(id="12", edit_history_tweet_ids=["11", "12"]),
            post_v2(id="10", edit_history_tweet_ids=["10"]),
        )
        meta = {"newest_id": "12", "oldest_id": "10", "result_count": 2, "next_token": "b26v"}
        found = page({"data": [newer, older], "includes": {"users": [user_v2()]}, "meta": meta})
        self.assertEqual(ids(found), ["x:11", "x:10"])
        self.assertEqual((found.newest_id, found.oldest_id, found.next_token), ("12", "10", "b26v"))
        self.assertEqual((found.dropped, found.errors, found.warnings), ((), (), ()))

    def test_an_empty_page(self) -> None:
        self.assertEqual(page({"meta": {"result_count": 0}}), Page())

    def test_posts_that_could_not_be_delivered_are_told(self) -> None:
        problem = {"title": "Not Found Error", "detail": "Could not find tweet with ids: [9].", "value": "9"}
        found = page({"data": [post_v2()], "includes": {"users": [user_v2()]}, "errors": [problem]})
        self.assertEqual(found.errors, ("Not Found Error: Could not find tweet with ids: [9].",))
        self.assertEqual((found.newest_id, found.oldest_id), (POST_ID, POST_ID))

    def test_a_problem_instead_of_a_page(self) -> None:
        for problem in (
            {"title": "Unauthorized", "type": "about:blank", "status": 401, "detail": "Unauthorized"},
            {"errors": [{"title": "Unauthorized"}]},
        ):
            self.assertEqual(page(problem), Page(errors=("Unauthorized",)))

    def test_what_is_no_post_is_dropped_alone(self) -> None:
        found = page({"data": [{"id": "1", "username": "ann"}, 7, post_v2()]})
        self.assertEqual((len(found.drafts), found.dropped), (1, ("unsupported", "malformed")))

    def test_pages_of_api_1_1(self) -> None:
        posts = [post_v1(id=12, id_str="12"), post_v1(id=9, id_str="9")]
        for body, following in (
            ({"statuses": posts, "search_metadata": {"next_results": "?max_id=8"}}, "?max_id=8"),
            ({"results": posts, "next": "abc", "requestParameters": {}}, "abc"),
            (posts, None),
        ):
            found = page(body)
            self.assertEqual((ids(found), found.newest_id, found.oldest_id), (["x:12", "x:9"], "12", "9"))
            self.assertEqual(found.next_token, following)

    def test_a_single_post(self) -> None:
        self.assertEqual(ids(page(post_v1())), [f"x:{POST_ID}"])
        self.assertEqual(ids(page({"data": post_v2()})), [f"x:{POST_ID}"])

    def test_anything_else_is_refused(self) -> None:
        for body in (b"<html>captive portal</html>", b"", b"7", b'{"hello":"world"}', b'"text"', b"null"):
            with self.subTest(body=body):
                self.assertRaises(BadInput, read_page, body)
