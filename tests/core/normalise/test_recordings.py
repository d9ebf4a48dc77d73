"""Every recording of upstream data there is goes through its reader."""

from __future__ import annotations

import json
from html.parser import HTMLParser

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.draft import Posted
from afeed.core.normalise import x
from afeed.core.normalise.text import sanitise
from afeed.core.normalise.x_post import snowflake_time
from tests.core.normalise import corpus, recordings
from tests.core.normalise.fixtures import item_of, line, message_v2, post_v1, post_v2


class Elements(HTMLParser):
    """Collects what elements and attributes some HTML has."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.attributes: set[tuple[str, str]] = set()
        self.targets: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes |= {(tag, name) for name, _ in attrs}
        self.targets += [value or "" for name, value in attrs if name == "href"]


#: Why a whole message or page of the recordings brings no post: it never held one.
EXPLAINED = {"unsupported", "no-date", "not posts", "not photos"}
MENDED = {"no-author", "no-original"}


def outcomes() -> list[recordings.Outcome]:
    """Those of the recordings, and that of composed lines, which are always there."""
    lines = [
        message_v2(post_v2("See https://example.org &amp; <b> #aea")),
        line(post_v1("Hello @ann")),
        line({"limit": {}}),
    ]
    return [recordings.collect("composed", map(recordings.read_line, lines)), *recordings.outcomes()]


class RecordingTests(SynchronousTestCase):
    def test_every_recording_goes_through_and_what_is_missing_is_explained(self) -> None:
        self.assertEqual(len(outcomes()[0].drafts), 2)
        for outcome in outcomes():
            with self.subTest(file=outcome.file):
                surprising = [
                    reason
                    for reason in outcome.reasons
                    if reason not in EXPLAINED | MENDED
                    and not reason.startswith(("control:", "failure ", "error:"))
                ]
                self.assertEqual(surprising, [])

    def test_their_html_is_harmless_and_stays_as_it_is_when_sanitised_again(self) -> None:
        drafts = [draft for outcome in outcomes() for draft in outcome.drafts]
        items = [draft.item for draft in drafts if isinstance(draft, Posted)]
        for html in {item.html for item in items} | {
            item.quote.html for item in items if item.quote is not None
        }:
            self.assertEqual(sanitise(html), html)
            self.assertLessEqual(Elements(html).elements, {"p", "br", "a", "span"})

    def test_the_time_in_an_id_is_the_time_that_was_recorded(self) -> None:
        composed = [{"id_str": "1900000000000000001", "timestamp_ms": "1741830274949"}]
        recorded = [
            post
            for path in corpus.FOLDER.glob("twitter-v1/stream-insight-*")
            for body in corpus.lines(path)
            if "timestamp_ms" in (post := json.loads(body))
        ]
        for post in [*composed, *recorded]:
            item = item_of(
                x.read_message(line(post_v1(created_at=None, timestamp_ms=post["timestamp_ms"]))).drafts
            )
            self.assertEqual(snowflake_time(post["id_str"]), item.created_at)

    def test_a_row_of_columns_is_read_like_a_post(self) -> None:
        row = {
            "status_id": "1900000000000000001",
            "user_id": "77",
            "screen_name": "ann",
            "created_at": 1795280405,
            "lang": "en",
            "text": "RT @bo: See https://t.co/Ab1",
            "retweet_status_id": "1899",
            "retweet_text": "See https://t.co/Ab1",
            "retweet_created_at": 1795280400,
            "retweet_user_id": "88",
            "retweet_screen_name": "bo",
            "retweet_name": "Bo",
        }
        item = item_of(x.read_message(corpus.from_rtweet(row)).drafts)
        self.assertEqual((item.id, item.author.name, item.text), ("x:1899", "Bo", "See https://t.co/Ab1"))
        assert item.shared_by is not None
        self.assertEqual(item.shared_by.name, "ann")
