"""What is told of a Redis server's health."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from afeed.core.errors import LogUnavailable
from afeed.livelog.redis_commands import Commands, ServerError
from afeed.livelog.redis_health import SLOW_SECONDS, RedisHealth, advice

INFO = b"run_id:r\r\naof_enabled:1\r\nrole:master\r\nmaxmemory_policy:noeviction\r\n"


class ScriptedWire:
    """Answers each command as told, after ``seconds``."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.seconds = 0.0
        self.answers: dict[str, Any] = {"SETRANGE": 0, "INFO": INFO, "EVALSHA": b"e 0 3 10 1 4 r []"}

    def send(self, *command: str | bytes | int) -> Deferred[Any]:
        answer = self.answers[str(command[0])]
        if self.seconds:
            later: Deferred[Any] = Deferred()
            self.clock.callLater(self.seconds, later.callback, answer)
            return later
        return fail(answer) if isinstance(answer, Exception) else succeed(answer)

    def abort(self) -> None:
        pass


class HealthTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.wire = ScriptedWire(self.clock)
        self.health = RedisHealth()
        self.told: list[str] = []
        self.commands = Commands(self.wire, self.clock, "r")
        globalLogPublisher.addObserver(self.note)
        self.addCleanup(globalLogPublisher.removeObserver, self.note)

    def note(self, event: LogEvent) -> None:
        if event["log_namespace"].startswith("afeed.livelog.redis_health"):
            self.told.append(event["log_format"].format(**event))

    def look(self) -> Deferred[Any]:
        looked = Deferred.fromCoroutine(self.health.look(self.commands, ["e"], self.clock))
        self.clock.advance(self.wire.seconds)
        return looked

    def test_a_look_tells_where_events_stand(self) -> None:
        (state,) = self.successResultOf(self.look())
        self.assertEqual((state.epoch, state.head, state.bytes), ("e", 3, 10))
        self.assertEqual((state.held, state.held_bytes), (1, 4))
        self.assertEqual(self.health.judge(None), ("ok", "Redis records."))
        self.assertEqual(self.told, [])

    def test_memory_that_is_used_up_is_told_although_nobody_appends(self) -> None:
        self.wire.answers["SETRANGE"] = ServerError("OOM command not allowed when used memory > 'maxmemory'.")
        self.successResultOf(self.look())
        self.successResultOf(self.look())
        state, detail = self.health.judge(None)
        self.assertEqual(state, "failed")
        self.assertIn("raise its maxmemory", detail)
        self.assertEqual(len(self.told), 1)
        self.assertIn("pushes get 503", self.told[0])
        self.wire.answers["SETRANGE"] = 0
        self.successResultOf(self.look())
        self.assertEqual(self.health.judge(None)[0], "ok")
        self.assertEqual(self.told[1:], ["Redis records again."])

    def test_a_policy_that_evicts_is_noticed_while_it_runs(self) -> None:
        self.wire.answers["INFO"] = INFO.replace(b"noeviction", b"allkeys-lru")
        failure = self.failureResultOf(self.look(), LogUnavailable)
        self.assertIn("noeviction", advice(failure.getErrorMessage()))

    def test_a_master_that_became_a_replica_is_noticed(self) -> None:
        self.wire.answers["SETRANGE"] = ServerError("READONLY You can't write against a read only replica.")
        self.wire.answers["INFO"] = INFO.replace(b"role:master", b"role:slave")
        self.failureResultOf(self.look(), LogUnavailable)

    def test_a_file_that_was_turned_off_is_told_once(self) -> None:
        self.wire.answers["INFO"] = INFO.replace(b"aof_enabled:1", b"aof_enabled:0")
        for _ in range(3):
            self.successResultOf(self.look())
        self.assertEqual(self.health.judge(None)[0], "degraded")
        self.assertEqual(len(self.told), 1)
        self.assertIn("appendonly yes", self.told[0])

    def test_a_lost_connection_is_the_callers_trouble(self) -> None:
        for command in ("SETRANGE", "INFO", "EVALSHA"):
            with self.subTest(command):
                self.wire = ScriptedWire(self.clock)
                self.commands = Commands(self.wire, self.clock, "r")
                self.wire.answers[command] = LogUnavailable("the connection was lost")
                self.failureResultOf(self.look(), LogUnavailable)
        self.assertEqual(self.health.judge(None)[0], "ok")

    def test_slow_answers_are_told_from_the_second_on(self) -> None:
        self.wire.seconds = SLOW_SECONDS * 2
        self.successResultOf(self.look())
        self.assertEqual(self.health.judge(None)[0], "ok")
        self.successResultOf(self.look())
        self.successResultOf(self.look())
        self.assertEqual(
            self.health.judge(None), ("degraded", "Redis takes 1.0 s for an answer, so posts come late.")
        )
        self.wire.seconds = 0
        self.successResultOf(self.look())
        self.assertEqual(self.health.judge(None)[0], "ok")
        self.assertEqual(len(self.told), 2)
        self.assertIn("SLOWLOG", self.told[0])

    def test_a_hint_channel_that_is_away_is_told(self) -> None:
        state, detail = self.health.judge("the connection was lost")
        self.assertEqual(state, "degraded")
        self.assertIn("up to a second late", detail)

    def test_every_trouble_that_is_known_has_advice(self) -> None:
        for trouble, word in (
            ("NOAUTH Authentication required", "live_log_password"),
            ("WRONGPASS invalid username-password pair or user is disabled", "live_log_password"),
            ("OOM command not allowed when used memory > 'maxmemory'", "maxmemory"),
            ("MISCONF Errors writing to the AOF file: No space left on device", "make room"),
            ("READONLY You can't write against a read only replica", "sentinels"),
            ("Connection was refused by other side: 111: Connection refused", "Start it"),
            ("Redis did not answer within 2.5 s", "hangs"),
            ("TLS failed: certificate verify failed", "SSL_CERT_FILE"),
            ("TLS failed: tlsv13 alert certificate required", "tls-auth-clients no"),
            ("the host in live_log is not one that the certificate of Redis names", "have one made"),
            ("TLS failed: wrong version number", "redis://"),
        ):
            self.assertIn(word, advice(trouble))
            self.assertTrue(advice(trouble).endswith(". "))
        self.assertEqual(advice("ERR something else"), "")
