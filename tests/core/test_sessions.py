"""What a browser has, and how long it is good for."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.sessions import (
    ABSOLUTE_S,
    IDLE_S,
    Session,
    fingerprint,
    form_token,
    is_form_token,
    is_good,
    is_id,
    mark,
    new_id,
)

NOW = 1_800_000_000


class IdTests(SynchronousTestCase):
    def test_an_id_is_random_and_recognised(self) -> None:
        made = {new_id() for _ in range(100)}
        self.assertEqual(len(made), 100)
        self.assertTrue(all(map(is_id, made)))
        for other in ("", "x" * 42, "x" * 44, "x" * 42 + "\n", "x" * 42 + "="):
            self.assertFalse(is_id(other), other)

    def test_what_is_kept_and_what_forms_carry_is_not_the_id(self) -> None:
        one, other = new_id(), new_id()
        self.assertNotIn(one.encode(), fingerprint(one))
        self.assertNotIn(one, form_token(one))
        self.assertNotIn(fingerprint(one).hex(), form_token(one))
        self.assertNotEqual(mark(one, "hide x"), mark(other, "hide x"))
        self.assertNotEqual(mark(one, "hide x"), mark(one, "hide y"))

    def test_the_token_of_a_form_is_never_the_same_and_always_the_sessions(self) -> None:
        one, other = new_id(), new_id()
        tokens = {form_token(one) for _ in range(20)}
        self.assertEqual(len({token[32:] for token in tokens}), 20)
        for token in tokens:
            self.assertTrue(is_form_token(one, token))
            self.assertFalse(is_form_token(other, token))
        token = tokens.pop()
        for wrong in ("", "é", "\ud800" + token, token[:-1], token + "0", token.upper(), "0" * 32 + token[32:]):
            self.assertFalse(is_form_token(one, wrong), wrong)


class LifeTests(SynchronousTestCase):
    def good(self, idle: int = 0, age: int = 0, credential: bytes = b"c") -> bool:
        return is_good(Session(b"h", "ann", b"c", NOW - max(age, idle), NOW - idle), credential, NOW)

    def test_it_ends_when_it_is_not_used(self) -> None:
        self.assertTrue(self.good(idle=IDLE_S - 1))
        self.assertFalse(self.good(idle=IDLE_S))

    def test_it_ends_however_much_it_is_used(self) -> None:
        self.assertTrue(self.good(age=ABSOLUTE_S - 1))
        self.assertFalse(self.good(age=ABSOLUTE_S))

    def test_it_ends_with_its_password(self) -> None:
        self.assertFalse(self.good(credential=b"d"))
