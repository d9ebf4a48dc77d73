"""What holds for any input at all."""

from __future__ import annotations

import json

from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from afeed.core.draft import Posted, prepare
from afeed.core.errors import BadInput
from afeed.core.normalise import flickr, push, replay, x
from afeed.core.normalise.finder import find
from afeed.core.normalise.text import Span, plain_to_html, render, sanitise, unescape_x
from tests.core.normalise.fixtures import photo, post_v1, post_v2
from tests.core.normalise.test_recordings import Elements
from tests.properties import given, settings

bounded = settings(max_examples=150)

_PIECES = (
    "#aea",
    "@ann",
    "https://",
    "t.co/x",
    "e.org",
    "&amp;",
    "&lt;",
    "<a href='",
    "<script>",
    "\u202e",
    "\u2067",
    "\u2069",
    "\x00",
    "\n",
    "\r\n",
    " ",
    "RT @bo: ",
    "javascript:",
    '"',
    "\u0301",
    "\u200d",
    "\ud800",
    "👩‍🚀",
    "(",
    ")",
    "/",
    "?",
    ".",
)

#: Text in which what the code looks for is frequent.
texts = st.lists(
    st.one_of(
        st.text(max_size=8),
        st.sampled_from(_PIECES),
    ),
    max_size=12,
).map("".join)

#: Members that the readers know.
_NAMES = """
id id_str text full_text data errors type title entities urls hashtags mentions media start end
indices url expanded_url tag username author_id user users includes tweets posts media_key
media_keys attachments variants content_type created_at referenced_tweets retweeted_status
quoted_status extended_tweet delete status limit warning disconnect matching_rules meta photos
photo stat owner dateupload url_m width_m license description _content item at author html
note_tweet edit_history_tweet_ids name screen_name timestamp_ms lang reply_to video_info sizes
"""
names = st.sampled_from(_NAMES.split())
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-3, max_value=12),
    st.floats(allow_nan=False, allow_infinity=False),
    texts,
    st.sampled_from(
        [
            "1900",
            "quoted",
            "retweeted",
            "2026-11-21T17:00:05Z",
            "https://e.org/",
            "video/mp4",
            "item.posted",
            "x:1",
        ]
    ),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.one_of(names, texts), inner, max_size=6)
    ),
    max_leaves=25,
)


def encoded(value: object) -> bytes:
    return json.dumps(value).encode()


def mutated(whole: dict[str, object]) -> st.SearchStrategy[bytes]:
    """A sound object with some members replaced by anything."""
    return st.dictionaries(names, values, max_size=4).map(lambda some: encoded({**whole, **some}))


bodies = st.one_of(
    st.binary(max_size=200),
    values.map(encoded),
    mutated(post_v1()),
    mutated({"data": post_v2(), "includes": {}}),
    st.dictionaries(names, values, max_size=5).map(
        lambda some: encoded(
            {"data": {**post_v2(), **some}, "includes": some, "errors": some.get("errors", [])}
        )
    ),
    st.dictionaries(names, values, max_size=5).map(
        lambda some: encoded({"photos": {"photo": [{**photo(), **some}, some], **some}, "stat": "ok"})
    ),
)


class NeverRaises(SynchronousTestCase):
    @bounded
    @given(bodies)
    def test_any_line_of_x_is_read(self, body: bytes) -> None:
        for draft in x.read_message(body).drafts:
            prepare(draft)

    @bounded
    @given(bodies)
    def test_any_page_of_x_is_read_or_refused(self, body: bytes) -> None:
        try:
            page = x.read_page(body)
        except BadInput:
            return
        for draft in page.drafts:
            prepare(draft)

    @bounded
    @given(bodies)
    def test_any_page_of_flickr_is_read_or_refused(self, body: bytes) -> None:
        try:
            page = flickr.read_page(body)
        except (BadInput, flickr.Failure):
            return
        for draft in page.drafts:
            prepare(draft)

    @bounded
    @given(bodies, st.sampled_from(["", "application/json", "application/x-ndjson", "text/plain; charset=x"]))
    def test_any_push_is_read_or_refused(self, body: bytes, content_type: str) -> None:
        try:
            drafts = push.read_push(body, content_type, "2026-11-21T17:00:05Z")
        except BadInput:
            return
        for draft in drafts:
            prepare(draft)

    @bounded
    @given(st.lists(bodies, max_size=5))
    def test_any_recording_is_read(self, lines: list[bytes]) -> None:
        recording = replay.read_recording(lines)
        times = [entry.at for entry in recording.entries]
        self.assertEqual(times, sorted(times))
        for entry in recording.entries:
            prepare(replay.shifted(entry.draft, 1795280405.0, 1))


class HarmlessHtml(SynchronousTestCase):
    def check(self, html: str) -> None:
        found = Elements(html)
        self.assertLessEqual(found.elements, {"p", "br", "a", "span"})
        self.assertLessEqual(found.attributes, {("a", "href"), ("a", "rel")})
        for target in found.targets:
            self.assertRegex(target.lower(), r"\A(https?://|mailto:)")
        html.encode("utf-8")
        self.assertNotIn("\0", html)
        self.assertEqual(sanitise(html), html)
        for control in "\u202a\u202b\u202c\u202d\u202e":
            self.assertNotIn(control, html)

    @bounded
    @given(texts)
    def test_of_plain_text(self, text: str) -> None:
        self.check(plain_to_html(text))

    @bounded
    @given(texts)
    def test_of_other_html(self, html: str) -> None:
        self.check(sanitise(html))

    spans = st.builds(
        Span,
        st.integers(-2, 40),
        st.integers(-2, 40),
        st.one_of(st.none(), texts, texts.map("https://e.org/".__add__)),
        st.one_of(st.none(), texts),
        st.one_of(st.none(), texts),
    )

    @bounded
    @given(texts, st.lists(spans, max_size=5))
    def test_of_text_with_any_entities(self, text: str, spans: list[Span]) -> None:
        markup = render(text, spans, unescape_x)
        self.check(markup.html)
        markup.text.encode("utf-8")

    @bounded
    @given(bodies)
    def test_of_any_post(self, body: bytes) -> None:
        for draft in x.read_message(body).drafts:
            if isinstance(draft, Posted):
                self.check(draft.item.html)


class FinderProperties(SynchronousTestCase):
    @bounded
    @given(texts)
    def test_what_is_found_is_in_the_text_and_in_order(self, text: str) -> None:
        end = 0
        for found in find(text):
            self.assertLessEqual(end, found.start)
            self.assertLess(found.start, found.end)
            self.assertTrue(text[found.start : found.end].endswith(found.value))
            end = found.end
