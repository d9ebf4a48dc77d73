"""Signing in and out, with a database in memory and passwords compared at once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from argon2 import PasswordHasher
from twisted.internet.defer import CancelledError, Deferred, fail, maybeDeferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from afeed.core import sessions
from afeed.core.errors import ArchiveUnavailable
from afeed.core.sessions import Session
from afeed.core.throttle import FREE, LEAST_S, NONE, Attempts, attempt
from afeed.organisers.desk import OUTCOMES, Desk, MustWait, NotSignedIn, TooLong
from afeed.organisers.verifier import MOST_WAITING, Busy, InThread, Verifier
from afeed.settings import Organiser, Secret

PASSWORD = "four gulls on a pier"
#: As cheap as the configuration would never take it.
HASHER = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
HASH = HASHER.hash(PASSWORD)


class MemorySignIns:
    """Does what :class:`afeed.archive.sign_ins.SignIns` does."""

    def __init__(self) -> None:
        self.sessions: dict[bytes, Session] = {}
        self.attempts: dict[bytes, Attempts] = {}

    def session(self, id_hash: bytes) -> Deferred[Session | None]:
        return succeed(self.sessions.get(id_hash))

    def begin(self, session: Session, instead_of: bytes | None, forgive: bytes, oldest: int) -> Deferred[None]:
        self.sessions = {key: one for key, one in self.sessions.items() if one.used_at >= oldest}
        if instead_of is not None:
            self.sessions.pop(instead_of, None)
        self.sessions[session.id_hash] = session
        self.attempts.pop(forgive, None)
        return succeed(None)

    def touch(self, id_hash: bytes, now: int) -> Deferred[None]:
        self.sessions[id_hash] = self.sessions[id_hash]._replace(used_at=now)
        return succeed(None)

    def end(self, id_hash: bytes) -> Deferred[None]:
        self.sessions.pop(id_hash, None)
        return succeed(None)

    def attempt(self, key: bytes, now: int, forget: int) -> Deferred[int]:
        wait, self.attempts[key] = attempt(self.attempts.get(key, NONE), now)
        return succeed(wait)


def at_once(function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
    return maybeDeferred(function, *arguments)


class DeskTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.now = 1_800_000_000.0
        self.kept = MemorySignIns()
        self.counted: list[str] = []
        self.desk = self.make("ann", "ben")

    def make(self, *names: str, hash: str = HASH, in_thread: InThread = at_once) -> Desk:
        organisers = [Organiser(name=name, password_hash=Secret(hash)) for name in names]
        kept: Any = self.kept
        return Desk(organisers, kept, in_thread, lambda: self.now, self.counted.append)

    def sign_in(
        self, name: str = "ann", password: str = PASSWORD, address: str = "192.0.2.7", cookie: str | None = None
    ) -> Any:
        work = self.desk.sign_in(name, password, address, cookie)
        return self.successResultOf(Deferred.fromCoroutine(work))

    def refused(self, expected: type[Exception], *arguments: Any, **named: Any) -> Any:
        defaults = {"name": "ann", "password": "wrong horse", "address": "192.0.2.7", "cookie": None, **named}
        work = Deferred.fromCoroutine(self.desk.sign_in(**defaults))
        return self.failureResultOf(work, expected).value

    def who(self, cookie: str | None) -> str | None:
        guest = self.successResultOf(Deferred.fromCoroutine(self.desk.who(cookie)))
        return None if guest is None else guest.account

    def test_who_has_the_password_is_signed_in(self) -> None:
        guest = self.sign_in(" ANN ")
        self.assertEqual(guest.account, "ann")
        self.assertEqual(self.who(guest.session_id), "ann")
        self.assertNotIn(guest.session_id, repr(guest))
        self.assertEqual(self.counted, ["done"])

    def test_nobody_else_is(self) -> None:
        self.refused(NotSignedIn)
        self.refused(NotSignedIn, name="zoe", password=PASSWORD)
        for cookie in (None, "", "x" * 43, "ann", sessions.new_id()):
            self.assertIsNone(self.who(cookie))

    def test_only_a_hash_of_the_id_is_kept(self) -> None:
        guest = self.sign_in()
        self.assertNotIn(guest.session_id, repr(self.kept.sessions))
        self.assertEqual(list(self.kept.sessions), [sessions.fingerprint(guest.session_id)])

    def test_http_36_signing_in_gives_a_new_id_and_ends_the_old_one(self) -> None:
        planted = sessions.new_id()
        guest = self.sign_in(cookie=planted)
        self.assertNotEqual(guest.session_id, planted)
        self.assertIsNone(self.who(planted))
        again = self.sign_in(cookie=guest.session_id)
        self.assertNotEqual(again.session_id, guest.session_id)
        self.assertIsNone(self.who(guest.session_id))

    def test_signing_out_ends_it_and_no_other(self) -> None:
        here, there = self.sign_in(), self.sign_in()
        self.successResultOf(Deferred.fromCoroutine(self.desk.sign_out(here)))
        self.assertIsNone(self.who(here.session_id))
        self.assertEqual(self.who(there.session_id), "ann")

    def test_a_session_ends_when_it_is_not_used_and_in_any_case(self) -> None:
        cookie = self.sign_in().session_id
        began = self.now
        while self.now - began + sessions.IDLE_S / 2 < sessions.ABSOLUTE_S:
            self.now += sessions.IDLE_S / 2
            self.assertEqual(self.who(cookie), "ann")
        self.now = began + sessions.ABSOLUTE_S
        self.assertIsNone(self.who(cookie))
        other = self.sign_in("ben").session_id
        self.now += sessions.IDLE_S
        self.assertIsNone(self.who(other))

    def test_a_new_password_or_no_account_ends_what_there_was(self) -> None:
        cookie = self.sign_in().session_id
        self.desk = self.make("ann", hash=HASHER.hash(PASSWORD))
        self.assertIsNone(self.who(cookie))
        self.desk = self.make("ben")
        self.assertIsNone(self.who(cookie))

    def test_http_38_guessing_waits_whether_there_is_such_an_account_or_not(self) -> None:
        for name in ("ann", "zoe"):
            for _ in range(FREE):
                self.refused(NotSignedIn, name=name)
            self.assertEqual(self.refused(MustWait, name=name).seconds, LEAST_S)
            # Not even the right password is looked at, or the wait would tell nothing.
            self.assertEqual(self.refused(MustWait, name=name, password=PASSWORD).seconds, LEAST_S)
        self.assertEqual(self.counted, ([*["wrong"] * FREE, "throttled", "throttled"]) * 2)

    def test_who_does_not_wait_troubles_the_database_once(self) -> None:
        for _ in range(FREE):
            self.refused(NotSignedIn)
        asked: list[object] = []
        attempt = self.kept.attempt

        def counting(key: bytes, now: int, forget: int) -> Deferred[int]:
            asked.append(key)
            return attempt(key, now, forget)

        self.kept.attempt = counting  # type: ignore[method-assign]
        waits = []
        for _ in range(LEAST_S):
            waits.append(self.refused(MustWait).seconds)
            self.now += 1
        self.assertEqual((waits, len(asked)), ([5, 4, 3, 2, 1], 1))
        self.sign_in()
        self.assertEqual(len(asked), 2)

    def test_the_owner_is_not_locked_out(self) -> None:
        signed_in = self.sign_in().session_id
        expired = self.sign_in().session_id
        for _ in range(FREE):
            self.refused(NotSignedIn)
        self.refused(MustWait)
        self.assertEqual(self.who(signed_in), "ann")
        self.sign_in(address="198.51.100.1")
        # A browser that was signed in before, at the very address of who guesses.
        self.now += 1
        self.assertEqual(self.sign_in(cookie=expired).account, "ann")
        self.refused(MustWait, cookie=self.sign_in("ben").session_id)

    def test_every_attempt_is_counted_by_what_became_of_it(self) -> None:
        def raising(error: Exception) -> InThread:
            return lambda function, *arguments: fail(error)

        never: Deferred[Any] = Deferred()
        self.refused(TooLong, password="x" * 2000)
        for expected, in_thread in (
            (ArchiveUnavailable, raising(ArchiveUnavailable("away"))),
            (RuntimeError, raising(RuntimeError("a defect"))),
        ):
            self.desk = self.make("ann", in_thread=in_thread)
            self.refused(expected)
        self.desk = self.make("ann", in_thread=lambda function, *arguments: never)
        work = Deferred.fromCoroutine(self.desk.sign_in("ann", PASSWORD, "192.0.2.7", None))
        work.cancel()
        self.failureResultOf(work, CancelledError)
        self.desk.forged()
        self.assertEqual(self.counted, ["too_long", "unavailable", "failed", "left", "forged"])
        self.assertLessEqual(set(self.counted), set(OUTCOMES))

    def test_a_crowd_of_strangers_does_not_keep_the_owner_out(self) -> None:
        cookie = self.sign_in().session_id
        running: list[tuple[Deferred[Any], Any]] = []

        def in_thread(function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
            done: Deferred[Any] = Deferred()
            running.append((done, lambda: done.callback(function(*arguments))))
            return done

        self.desk = self.make("ann", in_thread=in_thread)
        crowd = [
            Deferred.fromCoroutine(self.desk.sign_in("ann", "wrong horse", f"198.51.100.{number}", None))
            for number in range(1 + MOST_WAITING)
        ]
        counted = dict(self.kept.attempts)
        for _ in range(FREE + 1):
            self.refused(Busy, address="192.0.2.8")
        # Who was sent away did not fail, and the database has not heard of it.
        self.assertEqual(self.kept.attempts, counted)
        # A browser that leaves gives no place away while its password is still to be compared.
        crowd[0].cancel()
        crowd[-1].cancel()
        self.refused(Busy, address="192.0.2.8")
        owner = Deferred.fromCoroutine(self.desk.sign_in("ann", PASSWORD, "192.0.2.7", cookie))
        for _ in range(2):
            self.assertNoResult(owner)
            running.pop(0)[1]()
        self.assertEqual(self.successResultOf(owner).account, "ann")
        while running:
            running.pop(0)[1]()
        for left in (crowd[0], crowd[-1]):
            self.failureResultOf(left, CancelledError)
        for waited in crowd[1:-1]:
            self.failureResultOf(waited, NotSignedIn)
        self.assertEqual(self.counted.count("busy"), FREE + 2)
        self.assertEqual(self.counted.count("wrong"), len(crowd) - 2)
        self.desk = self.make("ann")
        self.assertEqual(self.sign_in(address="192.0.2.8").account, "ann")

    def test_a_wait_ends(self) -> None:
        for _ in range(FREE):
            self.refused(NotSignedIn)
        self.now += LEAST_S
        self.sign_in()
        self.refused(NotSignedIn)

    def test_http_39_what_is_too_long_is_not_hashed(self) -> None:
        verified: list[object] = []
        self.desk._verifier.verify = lambda *given: verified.append(given)  # type: ignore
        self.refused(TooLong, password="x" * 1_000_000)
        self.refused(TooLong, name="x" * 65)
        self.assertEqual(verified, [])
        self.assertEqual(self.kept.attempts, {})


class VerifierTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.running: list[tuple[Deferred[Any], str]] = []

        def start(function: object, encoded: str, password: str) -> Deferred[Any]:
            waiting: Deferred[Any] = Deferred()
            self.running.append((waiting, encoded))
            return waiting

        self.verifier = Verifier({"ann": HASH}, start)

    def verify(self, password: str, account: str = "ann", known: bool = False) -> Deferred[bool]:
        return self.verifier.verify(account, password, known=known)

    def test_one_is_compared_at_a_time(self) -> None:
        first, second = self.verify("1"), self.verify("2")
        self.assertEqual(len(self.running), 1)
        self.running[0][0].callback(True)
        self.assertTrue(self.successResultOf(first))
        self.assertEqual(len(self.running), 2)
        self.running[1][0].callback(False)
        self.assertFalse(self.successResultOf(second))

    def test_a_name_that_nobody_has_costs_the_same_and_never_matches(self) -> None:
        found = self.verify("1", "zoe")
        encoded = self.running[0][1]
        self.assertEqual(encoded.rsplit("$", 2)[0], HASH.rsplit("$", 2)[0])
        self.assertNotEqual(encoded, HASH)
        self.running[0][0].callback(True)
        self.assertFalse(self.successResultOf(found))

    def test_a_crowd_is_sent_away_at_once(self) -> None:
        with ExitStack() as places:
            for known in (False, True):
                for _ in range(1 + MOST_WAITING):
                    places.enter_context(self.verifier.place(known=known))
                with self.assertRaises(Busy):
                    places.enter_context(self.verifier.place(known=known))
        with self.verifier.place(known=False), self.verifier.place(known=True):
            pass

    def test_who_is_known_waits_for_one_stranger_at_most(self) -> None:
        strangers = [self.verify("1") for _ in range(4)]
        known = [self.verify("2", known=True) for _ in range(2)]
        for turn, one in enumerate((strangers[0], *known, *strangers[1:])):
            self.assertNoResult(one)
            self.running[turn][0].callback(True)
            self.assertTrue(self.successResultOf(one))

    def test_who_leaves_does_not_let_another_in_before_time(self) -> None:
        left = self.verify("1")
        self.verify("2")
        left.cancel()
        self.failureResultOf(left)
        self.assertEqual(len(self.running), 1)
        self.running[0][0].callback(True)
        self.assertEqual(len(self.running), 2)
