"""The table of the stream connection, and what an X error says."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.backoff import Fault
from afeed.core.problems import reason
from afeed.core.stream import TABLE, Outcome, State, drawn, follow, outcome_of_status

DRAWN = """\
IDLE       WANTED        -> SYNCING
SYNCING    SYNCED        -> CONNECTING
SYNCING    UNWANTED      -> IDLE
SYNCING    NO_RULES      -> WAITING (refused)
SYNCING    NETWORK_ERROR -> WAITING (network)
SYNCING    HTTP_ERROR    -> WAITING (http)
SYNCING    RATE_LIMITED  -> WAITING (rate)
SYNCING    REFUSED       -> WAITING (refused)
CONNECTING OPENED        -> STREAMING
CONNECTING NO_RULES      -> WAITING (http)
CONNECTING NETWORK_ERROR -> WAITING (network)
CONNECTING HTTP_ERROR    -> WAITING (http)
CONNECTING RATE_LIMITED  -> WAITING (rate)
CONNECTING REFUSED       -> WAITING (refused)
STREAMING  DROPPED       -> WAITING (drop)
STREAMING  BARREN        -> WAITING (http)
STREAMING  NETWORK_ERROR -> WAITING (network)
STREAMING  UNWANTED      -> SYNCING
WAITING    DUE           -> CONNECTING
WAITING    DUE_UNSYNCED  -> SYNCING
WAITING    UNWANTED      -> IDLE"""


class TableTests(SynchronousTestCase):
    def test_the_whole_table(self) -> None:
        self.assertEqual(drawn(), DRAWN)

    def test_every_state_can_be_reached_and_left(self) -> None:
        reached = {move.state for moves in TABLE.values() for move in moves.values()}
        self.assertEqual(reached, set(State))
        self.assertEqual(set(TABLE), set(State))

    def test_a_wait_has_a_ladder_and_nothing_else_has(self) -> None:
        for moves in TABLE.values():
            for move in moves.values():
                self.assertEqual(move.state is State.WAITING, move.fault is not None)

    def test_no_circle_without_a_wait_or_a_change_of_what_is_wanted(self) -> None:
        """A failure never leads back to where it happened without passing through WAITING."""
        failures = set(Outcome) - {
            Outcome.WANTED,
            Outcome.UNWANTED,
            Outcome.SYNCED,
            Outcome.OPENED,
            Outcome.DUE,
            Outcome.DUE_UNSYNCED,
        }
        for moves in TABLE.values():
            for outcome in failures & set(moves):
                self.assertIs(moves[outcome].state, State.WAITING)

    def test_what_cannot_happen_is_an_error(self) -> None:
        self.assertRaises(KeyError, follow, State.IDLE, Outcome.OPENED)
        self.assertEqual(follow(State.STREAMING, Outcome.DROPPED).fault, Fault.DROP)


class StatusTests(SynchronousTestCase):
    def test_every_documented_status(self) -> None:
        expected = {
            Outcome.OPENED: (200, 201),
            Outcome.NO_RULES: (409,),
            Outcome.RATE_LIMITED: (420, 429),
            Outcome.REFUSED: (400, 401, 402, 403, 404, 406, 410, 413, 416, 422),
            Outcome.HTTP_ERROR: (408, 425, 500, 502, 503, 504, 599),
        }
        for outcome, statuses in expected.items():
            for status in statuses:
                self.assertIs(outcome_of_status(status), outcome, status)


class ReasonTests(SynchronousTestCase):
    def test_problem_document(self) -> None:
        body = b'{"title":"ConnectionException","detail":"Too many.","connection_issue":"TooManyConnections"}'
        self.assertEqual(reason(body), "ConnectionException: Too many.: TooManyConnections")

    def test_list_of_errors_and_the_old_form(self) -> None:
        self.assertEqual(reason(b'{"errors":[{"message":"Bad token","code":89}]}'), "Bad token")
        self.assertEqual(reason(b'{"code":32,"message":"No"}'), "No")
        self.assertEqual(reason(b'{"title":"X","details":["a","b",3]}'), "X: a: b")

    def test_anything_else_says_nothing(self) -> None:
        for body in (b"", b"<html>", b"[]", b'"x"', b"\xff", b'{"title":5,"errors":[7]}', b"[" * 100_000):
            self.assertEqual(reason(body), "", body[:20])

    def test_neither_line_breaks_nor_length_get_through(self) -> None:
        text = reason(b'{"title":"a\\nFAKE log line\\u001b[31m","detail":"%b"}' % (b"x" * 5000))
        self.assertLessEqual(len(text), 300)
        self.assertTrue(text.isprintable(), text)
