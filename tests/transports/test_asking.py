"""What a query asks for."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.cursor import Cursor
from afeed.core.errors import BadCursor, BadInput
from afeed.transports.asking import DEFAULT_WAIT_S, MAX_WAIT_S, Asking, asked, asking


class AskingTests(SynchronousTestCase):
    def test_nothing_asks_from_the_head_with_the_usual_limits(self) -> None:
        self.assertEqual(asking({}), Asking(None, False, DEFAULT_WAIT_S, 200))
        self.assertEqual((DEFAULT_WAIT_S, MAX_WAIT_S), (25, 30))

    def test_everything_at_once(self) -> None:
        members = {"since": "k3f9:42", "wait": "7", "limit": "9", "render": "html", "other": "ignored"}
        self.assertEqual(asking(members), Asking(Cursor("k3f9", 42), True, 7, 9))

    def test_a_bare_number_is_a_position_of_the_present_epoch(self) -> None:
        self.assertEqual(asking({"since": "42"}).cursor, Cursor(None, 42))

    def test_last_event_id_wins(self) -> None:
        self.assertEqual(asking({"since": "k3f9:1"}, b"k3f9:2").cursor, Cursor("k3f9", 2))
        self.assertRaises(BadCursor, asking, {"since": "k3f9:1"}, b"")

    def test_numbers_are_clamped(self) -> None:
        found = [asking({"wait": wait}).wait for wait in ("999999", "-1", "0", "31", "9" * 24, "-" + "9" * 24)]
        self.assertEqual(found, [30, 0, 0, 30, 30, 0])
        found = [asking({"limit": limit}).limit for limit in ("0", "-1", "1000000000", "201")]
        self.assertEqual(found, [1, 1, 200, 200])

    def test_what_is_no_number_is_refused(self) -> None:
        for value in ("NaN", "1e9", "", "0x10", " 5", "5.0", "١٢", "--1"):
            self.assertRaises(BadInput, asking, {"wait": value})
            self.assertRaises(BadInput, asking, {"limit": value})

    def test_cursors_that_are_none(self) -> None:
        for value in (
            "",
            "-1",
            "1e9",
            str(2**64),
            "0x10",
            "١٢",
            "a:",
            ":1",
            "a:b:1",
            "A:1",
            "e\r\nx:1",
            "e\0:1",
        ):
            self.assertRaises(BadCursor, asking, {"since": value})
            self.assertRaises(BadCursor, asking, {}, value.encode())

    def test_render_is_html_or_nothing(self) -> None:
        self.assertRaises(BadInput, asking, {"render": "json"})


class QueryTests(SynchronousTestCase):
    def test_the_same_question_again(self) -> None:
        for _ in range(2):
            self.assertEqual(asked(b"since=k3f9:42&wait=7"), asking({"since": "k3f9:42", "wait": "7"}))
            self.assertEqual(asked(b"since=k3f9:42", b"k3f9:43").cursor, Cursor("k3f9", 43))
            self.assertRaises(BadCursor, asked, b"since=")
            self.assertRaises(BadInput, asked, b"wait=x")

    def test_a_long_question(self) -> None:
        self.assertEqual(asked(b"other=" + b"x" * 1000 + b"&wait=7").wait, 7)
