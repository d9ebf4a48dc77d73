"""Changes by polling, long or plain: one answer, made once for all who wait at the same position."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from afeed.channel import Channel
from afeed.core import framing
from afeed.core.cursor import Gap, Resume
from afeed.core.errors import ArchiveUnavailable, LogUnavailable
from afeed.core.http import Header, response_head
from afeed.core.wheel import Wheel
from afeed.interfaces import ISubscriber
from afeed.transports.asking import Asking
from afeed.web.exchange import Exchange

_HEADERS: tuple[Header, ...] = (
    (b"Content-Type", b"application/json; charset=utf-8"),
    (b"Cache-Control", b"public, max-age=1"),
    (b"X-Content-Type-Options", b"nosniff"),
)
RETRY: Header = (b"Retry-After", b"5")
#: The longest that a poll waits, in seconds, while nothing new can be shown: whoever asks hears soon that this
#: is over, also where a cache or another node answers.
STALLED_WAIT_S = 4
#: Ready answers are kept until they take this much together.
_READY_BYTES = 4 * 1024 * 1024

_log = Logger()

#: (after, limit, rich): what makes two polls the same question.
Question = tuple[int, int, bool]


class _Ready:
    """Complete answers of ``channel``, made once for all who ask the same within a second."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._as_of: tuple[object, ...] = ()
        self._bytes = 0
        self._responses: dict[tuple[Question, tuple[Header, ...]], bytes] = {}

    def response(
        self, question: Question, extra: tuple[Header, ...], common: tuple[Header, ...]
    ) -> bytes | None:
        """The answer with these headers besides its own, on a connection that goes on; None when the changes
        are older than the window."""
        channel = self._channel
        as_of = (channel.epoch, channel.head, channel.stalled, common)
        if as_of != self._as_of or self._bytes > _READY_BYTES:
            self._responses.clear()
            self._as_of, self._bytes = as_of, 0
        found = self._responses.get((question, extra))
        if found is None:
            body = channel.updates(question[0], question[1], None, question[2])
            if body is None:
                return None
            head = response_head(200, (*_HEADERS, *extra, *common), len(body), False)
            found = self._responses[question, extra] = head + body
            self._bytes += len(found)
        return found


@implementer(ISubscriber)
class Polls:
    """The polls of one channel, those that wait included.  ``delivered(changes, viewers)`` is told when those
    who waited were answered; ``spread`` chooses when, within the milliseconds given, one who is sent away comes
    back."""

    def __init__(
        self,
        channel: Channel,
        clock: IReactorTime,
        spread: Callable[[int], int],
        delivered: Callable[[int, int], None],
    ) -> None:
        self._channel = channel
        self._clock = clock
        self._spread = spread
        self._delivered = delivered
        self._parked: dict[Question, dict[Exchange, tuple[Header, ...]]] = {}
        self._question_of: dict[Exchange, Question] = {}
        self._deadlines: Wheel[Exchange] = Wheel()
        self._ready = _Ready(channel)
        channel.subscribers.append(self)

    def __len__(self) -> int:
        return len(self._question_of)

    def handle(self, exchange: Exchange, asked: Asking, extra: tuple[Header, ...]) -> None:
        """Answer at once if there is anything to say, else when there is or the time is over."""
        channel = self._channel
        if asked.cursor is None:
            found: Resume | None = Resume(channel.newest_after(asked.limit, asked.rich), None)
            wait = 0
        else:
            found = channel.locate(asked.cursor)
            wait = self._wait(exchange, asked)
        if found is None or found.seq < channel.first - 1:
            self._from_history(exchange, asked, found, extra)
        else:
            self._reply(exchange, asked, found, wait, extra)

    def _reply(
        self, exchange: Exchange, asked: Asking, found: Resume, wait: int, extra: tuple[Header, ...]
    ) -> None:
        if wait and found.seq == self._channel.head and found.gap is None:
            self._park(exchange, (found.seq, asked.limit, asked.rich), wait, extra)
        else:
            self._answer(exchange, found.seq, asked.limit, found.gap, asked.rich, extra)

    def _wait(self, exchange: Exchange, asked: Asking) -> int:
        """How long the answer may wait, in seconds.  Who sends nothing more may have left."""
        if exchange.method != b"GET" or exchange.connection.heard_all:
            return 0
        return min(asked.wait, STALLED_WAIT_S) if self._channel.stalled else asked.wait

    def _answer(
        self, exchange: Exchange, after: int, limit: int, gap: Gap | None, rich: bool, extra: tuple[Header, ...]
    ) -> None:
        connection = exchange.connection
        if gap is None and exchange.method == b"GET" and not connection.closing:
            response = self._ready.response((after, limit, rich), extra, connection.common)
            assert response is not None
            exchange.respond_ready(response)
            return
        body = self._channel.updates(after, limit, gap, rich)
        assert body is not None
        exchange.respond(200, (*_HEADERS, *extra), body)

    def _from_history(
        self, exchange: Exchange, asked: Asking, found: Resume | None, extra: tuple[Header, ...]
    ) -> None:
        work: Deferred[None] = Deferred.fromCoroutine(self._history(exchange, asked, found, extra))
        exchange.gone = work.cancel
        work.addErrback(self._no_history, exchange, extra)

    async def _history(
        self, exchange: Exchange, asked: Asking, found: Resume | None, extra: tuple[Header, ...]
    ) -> None:
        channel = self._channel
        if found is None:
            assert asked.cursor is not None
            found = await channel.seek(asked.cursor)
        after = found.seq
        if after >= channel.first - 1:
            self._reply(exchange, asked, found, self._wait(exchange, asked), extra)
            return
        bodies = await channel.history(after, asked.limit, asked.rich)
        last = after + len(bodies)
        more = last < channel.head
        body = framing.updates(channel.cursor_at(last), bodies, found.gap, more, channel.stalled)
        exchange.respond(200, (*_HEADERS, *extra), body)

    def _no_history(self, failure: Failure, exchange: Exchange, extra: tuple[Header, ...]) -> None:
        if failure.check(CancelledError):
            return
        if failure.check(LogUnavailable):
            detail = "the live log is away, so nobody can tell whether you miss anything"
            exchange.error(503, "log_unavailable", detail, (RETRY, *extra))
            return
        if not failure.check(ArchiveUnavailable):
            _log.failure("answering a poll of {event} failed", failure, event=self._channel.event)
        detail = "what you miss is in the archive, which is away"
        exchange.error(503, "archive_unavailable", detail, (RETRY, *extra))

    # -- waiting

    def _park(self, exchange: Exchange, question: Question, wait: int, extra: tuple[Header, ...]) -> None:
        self._parked.setdefault(question, {})[exchange] = extra
        self._question_of[exchange] = question
        # A deadline is noticed up to two seconds late, by the wheel's slots and the sweep between them, and
        # ``wait`` is the longest that a client is prepared to wait.
        self._deadlines.set(exchange, self._clock.seconds() + max(0, wait - 2))
        exchange.gone = lambda: self._unpark(exchange)
        exchange.hurry = lambda: self._time_is_over(exchange)

    def _unpark(self, exchange: Exchange) -> tuple[Header, ...]:
        question = self._question_of.pop(exchange)
        waiting = self._parked[question]
        extra = waiting.pop(exchange)
        if not waiting:
            del self._parked[question]
        self._deadlines.discard(exchange)
        exchange.gone = exchange.hurry = None
        return extra

    def changed(self, first: int, last: int) -> None:
        """See :class:`~afeed.interfaces.ISubscriber`."""
        answered = len(self._question_of)
        if answered:
            self._answer_all()
            self._delivered(last - first + 1, answered)

    def stalled(self) -> None:
        """See :class:`~afeed.interfaces.ISubscriber`.  Everybody who waits is answered, which tells them."""
        self._answer_all()

    def _answer_all(self) -> None:
        broken: list[Failure] = []
        for question in tuple(self._parked):
            for exchange in tuple(self._parked.get(question, ())):
                if exchange in self._question_of:
                    self._answer_parked(exchange, question, broken)
        self._tell_of(broken)

    def _tell_of(self, broken: list[Failure]) -> None:
        for failure in broken[:1]:  # they break all alike
            _log.failure(
                "{event}: answering {count} polls failed", failure, event=self._channel.event, count=len(broken)
            )

    def _answer_parked(self, exchange: Exchange, question: Question, broken: list[Failure]) -> None:
        """Answer one who waits; whatever goes wrong with it is added to ``broken`` and ends there."""
        extra = self._unpark(exchange)
        try:
            connection = exchange.connection
            closing = connection.closing
            response = None if closing else self._ready.response(question, extra, connection.common)
            if response is None:
                self._answer_again(exchange, *question, extra)
            else:
                exchange.respond_ready(response)
        except Exception:
            broken.append(Failure())
            self._give_up(exchange, extra)

    def _give_up(self, exchange: Exchange, extra: tuple[Header, ...]) -> None:
        """Say that something went wrong, or, where not even that can be written, end the connection."""
        try:
            exchange.error(500, "internal", "this should not have happened; it has been logged", extra)
        except Exception:  # the first failure is the one to be told
            exchange.connection.transport.abortConnection()

    def _answer_again(
        self, exchange: Exchange, after: int, limit: int, rich: bool, extra: tuple[Header, ...]
    ) -> None:
        """The slow way, for a position that is no longer in the window or a connection that is to be
        closed."""
        found = Resume(after, None)
        if after < self._channel.first - 1:
            self._from_history(exchange, Asking(None, rich, 0, limit), found, extra)
        else:
            self._answer(exchange, after, limit, None, rich, extra)

    def tick(self) -> None:
        """Once a second: answer those whose time is over."""
        broken: list[Failure] = []
        for exchange in self._deadlines.expired(self._clock.seconds()):
            self._answer_parked(exchange, self._question_of[exchange], broken)
        self._tell_of(broken)

    def _time_is_over(self, exchange: Exchange) -> None:
        after, limit, rich = self._question_of[exchange]
        self._answer(exchange, after, limit, None, rich, self._unpark(exchange))

    def ended(self, retry_ms: int) -> None:
        """See :class:`~afeed.interfaces.ISubscriber`.  Everybody is answered 503 and told when to ask again;
        nobody has missed anything yet, and who asks at the same position learns of a new epoch."""
        for exchange, (after, _, _) in tuple(self._question_of.items()):
            extra = self._unpark(exchange)
            seconds = max(1, -(-self._spread(retry_ms) // 1000))
            retry: Header = (b"Retry-After", b"%d" % seconds)
            exchange.error(503, "restarting", f"come back at position {after}", (retry, *extra))
