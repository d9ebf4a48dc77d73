"""Recordings that are played again."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.draft import Posted, Removed, SourceGap
from afeed.core.item import Item, encode_item
from afeed.core.normalise.replay import Entry, read_recording, shifted


def item(item_id: str = "x:1", **members: Any) -> dict[str, Any]:
    made = Item(id=item_id, source="x", text="a", html="<p>a</p>", created_at="2026-11-21T17:00:00Z")
    value: dict[str, Any] = json.loads(encode_item(made))
    return {**value, **members}


def posted(at: str, value: dict[str, Any], kind: str = "item.posted") -> bytes:
    return json.dumps({"seq": 1, "at": at, "type": kind, "item": value}).encode()


def bare(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode()


class ReadTests(SynchronousTestCase):
    def test_changes_play_at_their_times_and_items_when_they_were_written(self) -> None:
        recording = read_recording(
            [
                posted("2026-11-21T17:00:10.500Z", item("x:2", created_at="2026-11-21T17:00:09Z")),
                bare(item("x:1", created_at="2026-11-21T17:00:00Z")),
                b'{"at":"2026-11-21T17:00:20.000Z","type":"item.removed","id":"x:2"}\r\n',
                b"\n",
            ]
        )
        first, second, third = recording.entries
        self.assertEqual((first.at, first.created), (0.0, 0.0))
        self.assertEqual((second.at, second.created), (10.5, 9.0))
        self.assertEqual(third, Entry(20.0, Removed("x:2"), 20.0))
        assert isinstance(second.draft, Posted)
        self.assertEqual(second.draft.item.id, "x:2")
        self.assertEqual((recording.duration, recording.dropped), (20.0, ()))

    def test_edits_are_versions_in_the_order_of_time(self) -> None:
        recording = read_recording(
            [
                posted("2026-11-21T17:00:09.000Z", item(text="c"), "item.edited"),
                posted("2026-11-21T17:00:01.000Z", item(text="a")),
                posted("2026-11-21T17:00:05.000Z", item(text="b"), "item.edited"),
                posted("2026-11-21T17:00:06.000Z", item(text="b"), "item.edited"),
            ]
        )
        drafts = [entry.draft for entry in recording.entries]
        self.assertEqual(
            [(draft.item.text, draft.version) for draft in drafts if isinstance(draft, Posted)],
            [("a", "1"), ("b", "2"), ("c", "3")],
        )
        self.assertEqual(recording.dropped, ((4, "duplicate"),))

    def test_what_cannot_be_used_is_told_by_line(self) -> None:
        recording = read_recording(
            [
                b"{",
                b"[]",
                b'{"seq":3,"at":"2026-11-21T17:00:00.000Z","type":"redacted"}',
                b'{"at":"2026-11-21T17:00:00.000Z","type":"source.gap","source":"x"}',
                b'{"at":"2026-11-21T17:00:00.000Z","type":"question.asked"}',
                bare(item(created_at="yesterday")),
                bare(item(text=7)),
                bare(item("no-source")),
                b'{"type":"item.removed","id":"x:1"}',
                b'{"at":"2026-11-21T17:00:00.000Z","type":"item.removed"}',
                bare(item(text="x" * 70_000)),
                b"x" * 2_000_000,
            ]
        )
        self.assertEqual(
            recording.dropped,
            (
                (1, "malformed"),
                (2, "malformed"),
                (3, "redacted"),
                (4, "unsupported"),
                (5, "unsupported"),
                (6, "no-date"),
                (7, "malformed"),
                (8, "malformed"),
                (9, "malformed"),
                (10, "malformed"),
                (11, "oversize"),
                (12, "oversize"),
            ),
        )
        self.assertEqual((recording.entries, recording.duration), ((), 0.0))

    def test_times_from_the_ends_of_the_calendar_are_none(self) -> None:
        for given in ("9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z"):
            recording = read_recording([bare(item(created_at=given)), posted(given, item())])
            self.assertEqual([why for _, why in recording.dropped], ["no-date"], given)
            self.assertEqual([(entry.at, entry.created) for entry in recording.entries], [(0.0, 0.0)])

    def test_a_time_has_one_form_however_it_was_written(self) -> None:
        for given in ("2026-11-21T18:00:05+01:00", "2026-11-21t17:00:05.25Z", "20261121T170005Z"):
            (entry,) = read_recording([bare(item(created_at=given))]).entries
            assert isinstance(entry.draft, Posted)
            self.assertEqual(entry.draft.item.created_at, "2026-11-21T17:00:05Z", given)

    def test_a_picture_taken_at_no_time_keeps_no_time(self) -> None:
        for given, kept in (
            ("2026-11-21T16:58:30Z", "2026-11-21T16:58:30Z"),
            ("2026-11-21T16:58:30", "2026-11-21T16:58:30"),
            ("2026-11", "2026-11"),
            ("2026", "2026"),
            ("9999-12-31T23:59:59Z", None),
            ("0001-01-01T00:00:00", None),
            ("yesterday", None),
        ):
            medium = {"type": "photo", "url": "https://example.org/1.jpg", "taken_at": given}
            (entry,) = read_recording([bare(item(media=[medium]))]).entries
            assert isinstance(entry.draft, Posted)
            self.assertEqual(entry.draft.item.media[0].taken_at, kept)

    def test_a_recording_is_no_way_around_the_sanitiser(self) -> None:
        media = [
            {"type": "photo", "url": "/static/demo/stage.svg"},
            {"type": "photo", "url": "https://example.org/1.jpg", "thumb_url": "javascript:x"},
            {"type": "photo", "url": "//evil.example/x"},
        ]
        value = item(html="<p onclick=x>a</p><script>y</script>", url="javascript:x", media=media)
        (entry,) = read_recording([bare(value)]).entries
        assert isinstance(entry.draft, Posted)
        found = entry.draft.item
        self.assertEqual((found.html, found.url), ("<p>a</p>", None))
        self.assertEqual(
            [medium.url for medium in found.media], ["/static/demo/stage.svg", "https://example.org/1.jpg"]
        )
        self.assertIsNone(found.media[1].thumb_url)


class ShiftTests(SynchronousTestCase):
    def test_the_first_lap_keeps_the_ids_and_moves_the_time(self) -> None:
        (entry,) = read_recording([bare(item(reply_to="x:0"))]).entries
        draft = shifted(entry.draft, 1795280405.9, 0)
        assert isinstance(draft, Posted)
        self.assertEqual((draft.item.id, draft.item.reply_to), ("x:1", "x:0"))
        self.assertEqual((draft.item.created_at, draft.version), ("2026-11-21T17:00:05Z", "1"))

    def test_each_later_lap_has_ids_of_its_own(self) -> None:
        (entry,) = read_recording([bare(item(reply_to="x:0"))]).entries
        draft = shifted(entry.draft, 0.0, 2)
        assert isinstance(draft, Posted)
        self.assertEqual((draft.item.id, draft.item.reply_to), ("x:1~2", "x:0~2"))
        self.assertEqual(shifted(Removed("x:1"), 0.0, 2), Removed("x:1~2"))

    def test_an_edit_agrees_with_its_post_at_any_speed(self) -> None:
        recording = read_recording(
            [
                posted("2026-11-21T17:00:01.000Z", item(text="a")),
                posted("2026-11-21T17:01:00.000Z", item(text="b"), "item.edited"),
            ]
        )
        times = set()
        for entry in recording.entries:
            draft = shifted(entry.draft, 1795280405 + entry.created / 10, 0)
            assert isinstance(draft, Posted)
            times.add(draft.item.created_at)
        self.assertEqual(len(times), 1)

    def test_a_gap_stays_as_it_is(self) -> None:
        gap = SourceGap(source="x", from_="a", to=None, state="open", fetched=0, reason="r")
        self.assertIs(shifted(gap, 0.0, 3), gap)
