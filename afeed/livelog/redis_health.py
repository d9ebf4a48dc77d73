"""What is known of a Redis server's health, and what an operator may do about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from afeed.livelog.redis_commands import Commands, ServerError, State
from afeed.livelog.redis_server import Server, examine

#: Two answers in a row that took longer than this, in seconds, are worth telling.
SLOW_SECONDS = 0.5

#: What part of a trouble says what to do about it; the first that is found counts.
_ADVICE = (
    (
        ("NOAUTH", "WRONGPASS", "invalid password", "without any password"),
        "Redis wants another password than the one in live_log_password_env or live_log_password_file: give "
        "Redis that one back, or correct afeed's and restart it",
    ),
    (("NOPERM",), "Allow the Redis user all commands, and the keys and channels that begin with afeed:"),
    (("OOM",), "Redis is out of memory: raise its maxmemory, or free some"),
    (("MISCONF",), "Redis cannot write to its disk: make room there; its own log says more"),
    (("NOREPLICAS",), "Redis misses replicas that it is told to have (min-replicas-to-write): start them"),
    (
        ("READONLY", "is a replica"),
        "Another server is the master now: name that one in live_log, or the sentinels that know it",
    ),
    (("evict",), "The command is CONFIG SET maxmemory-policy noeviction; put it into redis.conf as well"),
    (("loading",), "Redis needs some time after a restart; nothing is to be done"),
    (
        ("certificate required",),
        "Redis wants a certificate from its clients, and afeed has none: set tls-auth-clients no in Redis",
    ),
    (("certificate of Redis names",), "Name a host that it does name, or have one made for this one"),
    (
        ("certificate verify failed",),
        "The certificate of Redis has to be valid now and signed by an authority that this machine trusts; a "
        "private one is added with update-ca-certificates, or in the file that SSL_CERT_FILE names",
    ),
    (("TLS failed",), "See whether that port speaks TLS; if not, live_log has to begin with redis://"),
    (("refused", "no sentinel"), "Start it, or correct live_log"),
    (
        ("did not answer", "no connection within"),
        "See whether it hangs, whether the network is whole and, with rediss://, whether that port speaks TLS",
    ),
)


def advice(trouble: str) -> str:
    """What the operator may do about ``trouble``, a sentence with a blank after it; "" where nobody knows."""
    for signs, sentence in _ADVICE:
        if any(sign in trouble for sign in signs):
            return f"{sentence}. "
    return ""


class RedisHealth:
    """What the last look at the server found; ``refusal`` is why it does not record, None while it does."""

    _log = Logger()

    def __init__(self) -> None:
        self.refusal: str | None = None
        self._warning: str | None = None
        self._slow = 0
        self._seconds = 0.0

    async def look(self, commands: Commands, events: Sequence[str], clock: IReactorTime) -> list[State | None]:
        """Look at everything at once: where ``events`` stand, whether the server records, whether it may still
        be used.  Raises :class:`~afeed.core.errors.LogUnavailable` when it may not."""
        began = clock.seconds()
        # Of no effect, so that it costs no write; but refused as a write would be.
        probing = Deferred.fromCoroutine(commands.send("SETRANGE", "afeed:probe", 0, ""))
        asking = Deferred.fromCoroutine(commands.send("INFO"))
        looking = Deferred.fromCoroutine(commands.states(events))
        answers = await DeferredList([probing, asking, looking], consumeErrors=True)
        self._note_seconds(clock.seconds() - began)
        for (_, answer), read in zip(answers, (self._probed, self._examined, None), strict=True):
            if read is not None:
                read(answer)
            elif isinstance(answer, Failure):
                answer.raiseException()
        states: list[State | None] = answers[2][1]
        return states

    def _probed(self, answer: object) -> None:
        if isinstance(answer, Failure):
            if answer.check(ServerError) is None:
                answer.raiseException()
            self.note_write(answer.getErrorMessage())
        else:
            self.note_write(None)

    def _examined(self, answer: bytes | Failure) -> None:
        if isinstance(answer, Failure):
            answer.raiseException()
        else:
            self.note_server(examine(answer))

    def note_server(self, server: Server) -> None:
        if server.warning is not None and server.warning != self._warning:
            self._log.warn("{sentence}.", sentence=server.warning)
        self._warning = server.warning

    def note_write(self, trouble: str | None) -> None:
        """Why a write was refused; None for one that was not."""
        if trouble is not None:
            trouble = trouble.rstrip(" .")
        if trouble is not None and trouble != self.refusal:
            self._log.error(
                "Redis refuses to record: {trouble}. {advice}Until it records again pushes get 503, sources "
                "hold what they have, and pages show what there is.",
                trouble=trouble,
                advice=advice(trouble),
            )
        elif trouble is None and self.refusal is not None:
            self._log.info("Redis records again.")
        self.refusal = trouble

    def _note_seconds(self, seconds: float) -> None:
        was_slow = self._slow >= 2
        self._seconds = seconds
        self._slow = self._slow + 1 if seconds > SLOW_SECONDS else 0
        if self._slow == 2:
            self._log.warn(
                "Redis takes {seconds:.1f} s for an answer, so posts come late. See what it is busy with "
                "(SLOWLOG, INFO), and whether the network or its disk is slow.",
                seconds=seconds,
            )
        elif was_slow and not self._slow:
            self._log.info("Redis answers in time again.")

    def judge(self, hints: str | None) -> tuple[Literal["ok", "degraded", "failed"], str]:
        """State and detail of a server that can be reached; ``hints`` is the trouble with the hint channel."""
        if self.refusal is not None:
            return "failed", f"Redis refuses to record: {self.refusal}. {advice(self.refusal)}".rstrip()
        if self._slow >= 2:
            return "degraded", f"Redis takes {self._seconds:.1f} s for an answer, so posts come late."
        if self._warning is not None:
            return "degraded", self._warning + "."
        if hints is not None:
            return "degraded", f"The hint channel cannot be used: {hints}. Posts come up to a second late."
        return "ok", "Redis records."
