"""The life of one process: what is started in which order, and, more important, what is stopped in which."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn, Protocol

import attrs
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredList, TimeoutError, succeed
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import deferLater
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized
from twisted.python.failure import Failure

from afeed.archive.strainer import Strainer
from afeed.core.errors import (
    AfeedError,
    ArchiveUnusable,
    LogUnavailable,
    LogUnusable,
    RestoreUnfinished,
)
from afeed.core.health import Check
from afeed.filing.office import Office
from afeed.hub import Hub
from afeed.interfaces import IArchive, ILiveLog, IWitness
from afeed.leadership import Leadership
from afeed.organisers.filtering import Filtering
from afeed.organisers.moderation import Moderation
from afeed.pipeline import Intake
from afeed.privacy import Privacy
from afeed.services import RESTART_LEAST_S, RESTART_MOST_S, Supervised
from afeed.sources.push import Push
from afeed.transports.router import Routes
from afeed.transports.stage import Stages
from afeed.web.front import Front

#: How long the start waits for an archive before it goes on without; the strainer keeps trying.
ARCHIVE_PATIENCE_S = 2.0
#: A live log that is not there at the start is looked for this often at least, in seconds.
AWAY_MOST_S = 5.0
#: What the end may take: the log's last writes, word to other nodes, the archive's last rows, and all of it
#: together, in seconds.
FLUSH_S, RESIGN_S, DRAIN_S, STOP_S = 1.5, 0.5, 2.0, 4.2
#: A step whose turn comes after that gets so much nevertheless, to close what it holds.
LAST_S = 0.15
#: Viewers are asked to come back within this time after a planned stop, each at a moment of its own.
RETURN_MS = 3000

_log = Logger()


class Led(Protocol):
    """What runs on one of several nodes only."""

    def check(self) -> Check:
        """How it is, as of now."""
        ...


@attrs.define(kw_only=True)
class Parts:
    """Everything that runs, put together by :func:`afeed.tap.makeService`.

    ``preflight`` raises :class:`~afeed.core.errors.AfeedError` when data on disk is not to be touched;
    ``hold`` locks the data directory and returns what releases it; ``listen`` pairs each endpoint's
    description with what opens it; ``sources`` pairs each source with its supervisor, and ``leadership`` says
    whether they are to run here, as is whatever else only one node does; ``settle`` is called when everything
    has been started; ``moderation`` and ``filtering`` are None where nobody may sign in.
    """

    preflight: Callable[[], None]
    hold: Callable[[], Callable[[], None]]
    listen: Sequence[tuple[str, Callable[[], Deferred[IListeningPort]]]]
    log: ILiveLog
    archive: IArchive
    witnesses: Sequence[IWitness]
    hub: Hub
    strainer: Strainer
    strainer_runs: Supervised
    intake: Intake
    sources: Sequence[tuple[Led, Supervised]]
    leadership: Leadership
    push: Push
    stages: Stages
    routes: Routes
    front: Front
    settle: Callable[[], None]
    moderation: Moderation | None = None
    filtering: Filtering | None = None
    filing: Office | None = None
    privacy: Privacy | None = None


class Node(Service):
    """One ``twistd afeed``.  ``notify`` tells a service manager how it goes (see :mod:`afeed.systemd`);
    ``observer`` receives the log, None leaves that to whoever runs the service; ``refuse`` ends a program
    that cannot start with a status and a sentence."""

    name = "afeed"

    def __init__(
        self,
        parts: Parts,
        reactor: Any,
        notify: Callable[[str], None],
        observer: ILogObserver | None,
        refuse: Callable[[int, str], NoReturn],
    ) -> None:
        self._parts = parts
        self._refuse = refuse
        self._reactor = reactor
        self._notify = notify
        self._observer = observer
        self._ports: list[IListeningPort] = []
        self._release: Callable[[], None] = lambda: None
        self._starting: Deferred[None] = succeed(None)
        self._trouble: Check | None = None
        self._opened = self._stopping = False

    def setServiceParent(self, parent: Any) -> None:
        if self._observer is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self._observer)
        super().setServiceParent(parent)

    # -- starting

    def privilegedStartService(self) -> None:
        """Open the ports, which may need privileges that are shed afterwards; twistd exits with status 1 when
        one is taken."""
        super().privilegedStartService()
        self._opened = True
        for description, listen in self._parts.listen:
            refused: list[Failure] = []
            listen().addCallbacks(self._ports.append, refused.append)
            for failure in refused:  # raised here, because a Deferred would keep it to itself
                self._refuse(1, f"cannot listen on {description}: {failure.getErrorMessage()}")

    def startService(self) -> None:
        """Start, with whatever must be refused before anything runs: twistd exits with status 1 when the data
        directory is taken, 2 when the data is not this program's.

        Files are made here and not earlier, so that they belong to the user whom ``twistd --uid`` names.
        """
        super().startService()
        if not self._opened:  # twist, unlike twistd, has no privileged part
            self.privilegedStartService()
        try:
            self._release = self._parts.hold()
        except (AfeedError, OSError) as error:
            self._refuse(1, f"the data directory cannot be used: {error}")
        try:
            self._parts.preflight()
        except (LogUnusable, ArchiveUnusable) as error:
            self._refuse(2, str(error))
        except AfeedError as error:  # a lock that passes, say: whoever needs the file tries again
            _log.warn("The data could not be looked at before the start: {why}", why=str(error))
        self._starting = Deferred.fromCoroutine(self._start())
        self._starting.addErrback(self._start_failed)

    async def _start(self) -> None:
        parts = self._parts
        if parts.filing is not None:
            parts.filing.open()
        try:
            await parts.archive.start().addTimeout(ARCHIVE_PATIENCE_S, self._reactor)
        except RestoreUnfinished:
            # The log is still to be filled: whatever it took before that would be in the way.
            raise
        except (AfeedError, TimeoutError) as error:
            late = isinstance(error, TimeoutError)
            _log.warn(
                "The archive is not there yet ({why}); the feed starts without it and it is tried again",
                why=parts.archive.check().detail if late else str(error),
            )
        # As soon as the log is open pushes are taken.
        wanted = [one for one in (parts.moderation, parts.filtering, parts.privacy) if one is not None]
        for learning in [Deferred.fromCoroutine(one.learn()) for one in wanted]:
            await learning
        for step in (self._open_log, parts.hub.start, self._begin):
            await self._insist(step)
        parts.settle()
        self._notify("READY=1")
        _log.info("Serving {events}", events=", ".join(f"/{slug}" for slug in sorted(parts.hub.channels)))

    async def _insist(self, step: Callable[[], Deferred[None]]) -> None:
        """Take one step of the start, again and again until it succeeds; what cannot be mended by trying again
        is raised."""
        delay = RESTART_LEAST_S
        while True:
            try:
                await step()
            except (CancelledError, LogUnusable):
                raise
            except Exception as error:  # whatever it is, it may be over in a while
                why = f"{type(error).__name__}: {error}"
                sentence = "Starting failed ({why}). Nothing is served yet; it is tried again in {delay:g} s."
                report = _log.warn if isinstance(error, LogUnavailable) else _log.failure
                report(sentence, why=why, delay=delay)
                self._trouble = _start_check(f"The start failed ({why}) and is tried again.")
                # A log that is away may be back any moment, and health is to tell of that within ten seconds.
                most = AWAY_MOST_S if isinstance(error, LogUnavailable) else RESTART_MOST_S
            else:
                self._trouble = None
                return
            await deferLater(self._reactor, delay)
            delay = min(delay * 2, most)

    def _open_log(self) -> Deferred[None]:
        return self._parts.log.start(tuple(self._parts.hub.channels), self._parts.witnesses)

    def _begin(self) -> Deferred[None]:
        parts = self._parts
        parts.stages.start()
        parts.strainer.copy(False)
        parts.strainer_runs.start()
        if parts.moderation is not None:
            parts.moderation.start()
        if parts.filtering is not None:
            parts.filtering.start()
        if parts.filing is not None:
            parts.filing.start()
        if parts.privacy is not None:
            parts.privacy.start()
        parts.leadership.start(self._lead, self._rest, self._ending)
        return succeed(None)

    def _lead(self) -> None:
        """Of several nodes this one runs the sources and the strainer from now on."""
        self._parts.strainer.copy(True)
        if self._parts.privacy is not None:
            self._parts.privacy.lead(True)
        for _, supervisor in self._parts.sources:
            supervisor.start()

    def _rest(self) -> Deferred[None]:
        """Another node runs them.  Fires when they have stopped here."""
        self._parts.strainer.copy(False)
        if self._parts.privacy is not None:
            self._parts.privacy.lead(False)
        stops = [supervisor.stop() for _, supervisor in self._parts.sources]
        return DeferredList(stops).addCallback(lambda _: None)

    def _ending(self) -> list[str]:
        """The sources that were to stop and have not yet."""
        return [supervisor.name for _, supervisor in self._parts.sources if supervisor.ending]

    def _start_failed(self, failure: Failure) -> None:
        if failure.check(CancelledError):
            return
        why = failure.getErrorMessage()
        if failure.check(LogUnusable):
            _log.critical(
                "The live log cannot be used: {why}. Nothing is served until afeed is restarted.", why=why
            )
        elif failure.check(RestoreUnfinished):
            _log.critical("Nothing is served: {why}. Then restart afeed.", why=why)
        else:
            why = f"{type(failure.value).__name__}: {why}"
            _log.failure("Starting failed. Nothing is served until afeed is restarted.", failure)
        self._trouble = _start_check(f"The start failed ({why}); mend that and restart afeed.")

    # -- telling

    def ready(self) -> bool:
        """Whether every event can be served."""
        return not self._stopping and all(channel.ready for channel in self._parts.hub.channels.values())

    def checks(self) -> Iterable[Check]:
        """How every component is, as of now."""
        parts = self._parts
        if self._trouble is not None:
            yield self._trouble
        yield parts.log.check()
        yield parts.hub.check()
        yield parts.archive.check()
        yield parts.strainer_runs.broken() or parts.strainer.check()
        yield parts.leadership.check()
        if parts.filing is not None:
            yield from parts.filing.checks()
        if parts.privacy is not None:
            yield from parts.privacy.checks()
        for source, supervisor in parts.sources:
            if parts.leadership.leading:
                yield supervisor.broken() or source.check()
            else:
                yield _resting(supervisor.name, parts.leadership.leader)

    # -- stopping

    def stopService(self) -> Deferred[None]:
        """Fires when everything is closed, at most five seconds from now.

        In this order: refuse pushes, stop sources, flush the log, let another node run them, deliver, say
        goodbye, drain the strainer, close log and archive.  What the archive does not get in time it gets from
        the next node, or after the next start: the log still has it.
        """
        super().stopService()
        self._stopping = True
        self._end = self._reactor.seconds() + STOP_S
        self._notify("STOPPING=1")
        return Deferred.fromCoroutine(self._stop()).addErrback(self._stop_failed)

    async def _stop(self) -> None:
        parts = self._parts
        parts.push.close()
        self._starting.cancel()
        if parts.moderation is not None:
            self._attempt(parts.moderation.stop, "ending the moderation")
        if parts.filtering is not None:
            self._attempt(parts.filtering.stop, "looking at the filters no more")
        if parts.filing is not None:
            await self._at_most(parts.filing.stop(), FLUSH_S, "ending the filing")
        if parts.privacy is not None:
            await self._at_most(parts.privacy.stop(), FLUSH_S, "ending what is done about pictures")
        for port in self._ports:
            port.stopListening()
        led = parts.leadership.leading
        await self._at_most(parts.leadership.halt(), FLUSH_S, "stopping the sources of an earlier term")
        ends = [
            self._at_most(supervisor.stop(), FLUSH_S, f"stopping {supervisor.name}")
            for _, supervisor in parts.sources
        ]
        await DeferredList([Deferred.fromCoroutine(end) for end in ends])
        # An append without changes goes through the same queue as what was offered before, and the hub reads in
        # the turn in which that has been written: when it fires, everything was handed to the viewers.
        flushes = [
            self._at_most(parts.log.append(slug, None, []), FLUSH_S, f"flushing the log of {slug}")
            for slug in parts.hub.channels
        ]
        await DeferredList([Deferred.fromCoroutine(flush) for flush in flushes])
        await self._at_most(parts.leadership.resign(), RESIGN_S, "giving up the lease")
        self._attempt(parts.intake.close, "letting go of what the log did not take")
        self._attempt(lambda: parts.hub.stop(RETURN_MS), "sending the viewers away")
        self._attempt(parts.routes.stop, "sending away who comes now")
        self._attempt(parts.stages.stop, "stopping the pings")
        await self._at_most(parts.strainer_runs.stop(), FLUSH_S, "stopping the strainer")
        if led:
            drained = Deferred.fromCoroutine(parts.strainer.drain(DRAIN_S))
            await self._at_most(drained, DRAIN_S + 0.2, "the archive")
        self._attempt(parts.front.stop, "closing the connections")
        await self._at_most(parts.log.stop(), FLUSH_S, "closing the log")
        await self._at_most(parts.archive.stop(), FLUSH_S, "closing the archive")
        self._release()

    def _attempt(self, step: Callable[[], None], what: str) -> None:
        try:
            step()
        except Exception:  # as in _at_most
            _log.failure("{what} failed", what=what)

    async def _at_most(self, waiting: Deferred[Any], seconds: float, what: str) -> None:
        """Wait for one step, no longer than it may take and never much beyond the end of all of them."""
        seconds = max(LAST_S, min(seconds, self._end - self._reactor.seconds()))
        try:
            await waiting.addTimeout(seconds, self._reactor)
        except TimeoutError:
            _log.warn(
                "{what} took longer than {seconds:.1f} s; the end goes on without", what=what, seconds=seconds
            )
        except Exception:  # the end must be reached, whatever breaks on the way
            _log.failure("{what} failed", what=what)

    def _stop_failed(self, failure: Failure) -> None:
        _log.failure("stopping failed half-way", failure)
        self._release()


def _start_check(detail: str) -> Check:
    return Check(name="start", state="failed", detail=detail)


def _resting(source: str, leader: str | None) -> Check:
    where = f"{leader} runs it" if leader is not None else "it is not known yet which node runs it"
    return Check(name=source, state="ok", detail=f"It rests on this node; {where}.", data={"state": "resting"})
