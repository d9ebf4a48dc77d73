"""Targets: what upstreams and other programs send, and the items that become of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import ExitStack
from functools import lru_cache
from random import Random

import msgspec

from afeed.core.backfill import Ledger
from afeed.core.change import POSTED, Change, compose, timestamp
from afeed.core.draft import Draft, Posted, prepare
from afeed.core.errors import BadInput
from afeed.core.item import Author, Item, decode_item, encode_item
from afeed.core.ledger import PollLedger
from afeed.core.lines import LineReader
from afeed.core.normalise import flickr, push, replay, x
from afeed.core.normalise.limits import MAX_ITEM_BYTES, MAX_REASON_CHARS
from afeed.core.normalise.text import html_to_text, mixed_to_html, plain_to_html, sanitise
from afeed.core.playing import parse_place
from afeed.web.fragments import Fragments
from tests.fuzz import samples
from tests.fuzz.engine import Check, Target

_NOW = "2026-11-21T17:00:05Z"
_NOW_S = 1795280405.0

#: The only tags that are ever let through, as the sanitiser writes them.
_ALLOWED = re.compile(
    r"<(?:/?p|/?span|br|/a|a(?: href=\"(?:https?://|mailto:)[^\"<>]*\")?"
    r" rel=\"nofollow noopener noreferrer ugc\")>",
    re.IGNORECASE,
)
_UNSTORABLE = re.compile("[\0-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")
_OVERRIDE = re.compile("[\u202a-\u202e]")
_TIME = re.compile(r"(?:19[7-9]|20\d|21\d)\d-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-5]\dZ\Z", re.ASCII)
_WEB = re.compile(r"https?://", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>")
_ATTRIBUTE = re.compile(r"([\w-]+)=\"([^\"]*)\"")
_ADDRESS = re.compile(r"(?:https?://|mailto:|/)", re.IGNORECASE)


@lru_cache(maxsize=1000)
def harmless(html: str) -> None:
    """``html`` holds the allowed markup alone, and sanitising it once more changes nothing."""
    assert "<" not in _ALLOWED.sub("", html), html
    assert not _OVERRIDE.search(html), html
    assert sanitise(html) == html, html


def inert(html: str) -> None:
    """Nothing in ``html``, whose attributes stand in double quotes, could run in a page."""
    for tag in _TAG.findall(html):
        assert not tag.lower().startswith(("<script", "<style", "<iframe", "<object")), tag
        for name, value in _ATTRIBUTE.findall(tag):
            assert not name.lower().startswith("on"), tag
            if name.lower() in ("href", "src", "poster"):
                assert not value or _ADDRESS.match(value), tag


def sound(item: Item, local: bool = False) -> None:
    """What holds for every item, whatever it was made of; ``local``: pictures may be of this site."""
    encoded = encode_item(item)
    assert len(encoded) <= MAX_ITEM_BYTES, len(encoded)
    assert decode_item(encoded) == item
    assert type(item.id) is str and ":" in item.id, item.id
    for words in (item.id, item.text, item.author.name):
        assert not _UNSTORABLE.search(words), words
    assert item.author.name, item
    assert _TIME.match(item.created_at), item.created_at
    harmless(item.html)
    if item.quote is not None:
        harmless(item.quote.html)
    links = [item.url, *_links(item.author), *_links(item.shared_by)]
    links += [url for medium in item.media for url in (medium.url, medium.thumb_url)]
    for url in links:
        assert url is None or _WEB.match(url) or (local and url[:1] == "/" and url[:2] != "//"), url


def _links(author: Author | None) -> Sequence[str | None]:
    return (author.url, author.avatar) if author is not None else ()


def recorded(drafts: Iterable[Draft], local: bool = False) -> int:
    """Every draft can be recorded and read back; how many there are."""
    count = 0
    for draft in drafts:
        count += 1
        record = prepare(draft)
        change = Change.decode(count, compose(record, POSTED, timestamp(_NOW_S)))
        if isinstance(draft, Posted):
            sound(draft.item, local)
            assert change.item() == draft.item and change.id == draft.item.id
            assert change.version == draft.version
        msgspec.json.decode(change.json)
    return count


# -- X


def _lines(stack: ExitStack) -> Check:
    def check(case: bytes) -> Hashable:
        most = 16 + len(case) % 80
        whole, pieces = LineReader(most), LineReader(most)
        expected = whole.feed(case)
        found: list[bytes] = []
        rng = Random(len(case))
        at = 0
        while at < len(case):
            step = 1 + int(rng.random() ** 3 * 40)
            found += pieces.feed(case[at : at + step])
            assert len(pieces._held) <= most + 4, len(pieces._held)
            at += step
        assert found == expected, (found, expected)
        counts = (whole.keepalives, whole.oversize, whole.malformed)
        assert counts == (pieces.keepalives, pieces.oversize, pieces.malformed)
        assert all(len(message) <= most + 2 for message in found)
        return (len(expected), *counts) if len(expected) < 6 else counts

    return check


def _message(stack: ExitStack) -> Check:
    def check(case: bytes) -> Hashable:
        message = x.read_message(case)
        count = recorded(message.drafts)
        assert message.newest_id is None or message.newest_id.isalnum(), message.newest_id
        for tag in message.tags:
            assert type(tag) is str and tag
        control = message.control
        if control is not None:
            assert 0 < len(control.reason) <= MAX_REASON_CHARS and len(control.reason.splitlines()) == 1
        kind = control.kind if control is not None else None
        return count, kind, message.dropped[:2], message.warnings[:3], len(message.tags) > 0

    return check


def _page(stack: ExitStack) -> Check:
    def check(case: bytes) -> Hashable:
        try:
            page = x.read_page(case)
        except BadInput as refusal:
            return str(refusal)
        count = recorded(page.drafts)
        for text in (page.newest_id, page.oldest_id, page.next_token):
            assert text is None or (type(text) is str and text)
        return (
            min(count, 5),
            page.dropped[:2],
            page.warnings[:2],
            page.errors[:1] != (),
            page.next_token is None,
        )

    return check


# -- others


def _flickr(stack: ExitStack) -> Check:
    def check(case: bytes) -> Hashable:
        try:
            page = flickr.read_page(case)
        except BadInput as refusal:
            return str(refusal)
        except flickr.Failure as failure:
            assert "\n" not in failure.message
            return "failure", failure.retry
        count = recorded(page.drafts)
        assert 0 <= page.pages <= 100 and 0 <= page.total <= flickr.MAX_RESULTS and page.page >= 1
        return min(count, 5), page.dropped[:3]

    return check


_KINDS = ("application/json", "application/x-ndjson", 'application/json; charset="utf-8"', "", "text/plain")
_NUMBER = re.compile(r"\d+")


def _push(stack: ExitStack) -> Check:
    def check(case: bytes) -> Hashable:
        kind = _KINDS[len(case) % len(_KINDS)]
        try:
            posted = push.read_push(case, kind, _NOW)
        except BadInput as refusal:
            reason = str(refusal)
            assert "\n" not in reason, reason
            return _NUMBER.sub("", reason)[:60]
        assert 0 < len(posted) <= push.MAX_ITEMS
        again = push.read_push(case, kind, "2026-11-22T00:00:00Z")
        assert [draft.version for draft in again] == [draft.version for draft in posted]
        return min(recorded(posted), 3), len(posted[0].item.media), posted[0].item.lang is None

    return check


def _replay(stack: ExitStack) -> Check:
    def check(case: bytes) -> Hashable:
        lines = case.splitlines()
        recording = replay.read_recording(lines)
        times = [entry.at for entry in recording.entries]
        assert times == sorted(times) and (not times or times[0] == 0.0)
        assert len(recording.entries) + len(recording.dropped) <= len(lines)
        recorded((entry.draft for entry in recording.entries), local=True)
        for lap in (0, 3):
            recorded((replay.shifted(entry.draft, _NOW_S, lap) for entry in recording.entries[:3]), local=True)
        return min(len(recording.entries), 4), tuple(sorted({word for _, word in recording.dropped}))

    return check


_WAYS = (sanitise, plain_to_html, mixed_to_html)


def _html(stack: ExitStack) -> Check:
    def check(case: bytes) -> Hashable:
        text = case.decode("utf-8", "surrogatepass" if len(case) % 2 else "replace") if _decodes(case) else ""
        made = _WAYS[len(case) % 3](text)
        harmless(made)
        html_to_text(text).encode("utf-8")
        return len(made) > len(text), made.count("<a") % 4, made.count("<p") % 4, "&" in made

    return check


def _decodes(case: bytes) -> bool:
    try:
        case.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return len(case) % 2 == 0
    return True


def _fragment(stack: ExitStack) -> Check:
    fragments = Fragments()
    # What it says when an item cannot be shown as it should be is a defect here.
    render: Callable[[Item], str] = fragments._render

    def check(case: bytes) -> Hashable:
        try:
            drafts = push.read_push(case, "application/json", _NOW)
        except BadInput:
            return "refused"
        html = ""
        for draft in drafts[:2]:
            html = render(draft.item)
            assert html.startswith("<article ") and html.endswith("</article>"), html[:200]
            assert html.count("<article") == html.count("</article>") == 1
            inert(html)
        return tuple(mark in html for mark in ("<video", "<img", "<details", 'dir="', "<a ", "lang="))

    return check


def _stored(stack: ExitStack) -> Check:
    """Positions come back from a log that others can write to."""

    def check(case: bytes) -> Hashable:
        text = case.decode("utf-8", "replace")
        place = parse_place(text)
        assert place.lap >= 0 and place.played >= 0 and parse_place(str(place)) == place
        ledger = Ledger.restored("x", text, _NOW_S)
        assert ledger.live_at <= _NOW_S
        again = Ledger.restored("x", ledger.position("1"), _NOW_S)
        assert again.position("1") == ledger.position("1")
        ledger.search(_NOW_S)
        ledger.regained(_NOW_S, _NOW_S)
        return len(ledger.spans), ledger.live_at == _NOW_S, place != (0, 0), _polled(text)

    def _polled(text: str) -> bool:
        def restored(stored: str) -> PollLedger:
            return PollLedger.restored("flickr", stored, _NOW_S, starts=_NOW_S - 86400, told_s=780)

        ledger = restored(text)
        assert _NOW_S - 86400 <= ledger.live_at <= _NOW_S
        ledger.found([_NOW_S])
        assert restored(ledger.position("1")).position("1") == ledger.position("1")
        ledger.outage(_NOW_S)
        return ledger.answered(_NOW_S) is not None

    return check


_MEMBERS = re.compile(rb"[A-Za-z_]{2,}")


def _words(many: Sequence[bytes]) -> tuple[bytes, ...]:
    """The words of samples, which are mostly names of members."""
    return tuple(sorted({word for sample in many for word in _MEMBERS.findall(sample) if len(word) < 30}))


UPSTREAM = (
    Target("lines", "the framing of a stream", samples.stream, _lines, (b"12\r\n", b"5\n", b"\r\n\r\n")),
    Target(
        "x-message",
        "a line of X's stream, v1.1 and v2",
        samples.x_lines,
        _message,
        _words(samples.x_lines()),
        True,
    ),
    Target("x-page", "a page of X's search", samples.x_pages, _page, _words(samples.x_pages()), True),
    Target("flickr", "a page of photos", samples.flickr_pages, _flickr, _words(samples.flickr_pages()), True),
    Target("push", "items that programs publish", samples.pushes, _push, _words(samples.pushes()), True),
    Target("replay", "lines of a recording", samples.recordings, _replay, _words(samples.recordings()), True),
    Target("html", "markup and plain text", samples.texts, _html, samples.MARKUP),
    Target("fragment", "items as HTML", samples.pushes, _fragment, _words(samples.pushes()), True),
    Target("stored", "positions in the log", samples.positions, _stored, (b"open", b"live_at", b"true"), True),
)
