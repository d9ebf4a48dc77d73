"""Restoring a live log from its witnesses: the I/O around :mod:`afeed.core.recovery`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from random import Random
from typing import Any, NamedTuple, Protocol

from twisted.internet.defer import CancelledError, Deferred, DeferredList, maybeDeferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from afeed.core.change import Change
from afeed.core.cursor import Ancestor
from afeed.core.draft import Record
from afeed.core.errors import LogUnavailable
from afeed.core.recovery import Line, Plan, inherit, left_behind, plan, record_of
from afeed.interfaces import IWitness, Testimony
from afeed.livelog.taken import Moved

#: How many seconds a witness has to answer.
TESTIMONY_SECONDS = 2.0

#: How many seconds it has to hand over a page of changes.
READ_SECONDS = 10.0

#: How often a log that others change meanwhile is looked at.
ATTEMPTS = 10

#: How many changes are asked of a witness at a time.
PAGE = 1000

_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"

_log = Logger()


def _read_nothing(after: int, limit: int) -> Deferred[list[Change]]:
    return succeed([])


#: What a witness says that remembers nothing.
NOTHING = Testimony("", (), 1, 0, _read_nothing)


def new_epoch(rng: Random) -> str:
    """A word that no other incarnation of a log has."""
    return "".join(rng.choices(_ALPHABET, k=8))


class Restorable(Protocol):
    """What :func:`settle` needs of a log.  ``handle`` is the log's own business; everything that writes may
    raise :class:`~afeed.livelog.taken.Moved`."""

    def line(self, event: str) -> Awaitable[Line | None]:
        """The log's own line, None when it knows nothing of the event."""
        ...

    def stage(self, event: str, own: Line | None, plan: Plan) -> Awaitable[Any]:
        """Where the refills go: into the event's log if ``plan.tail_after`` is None and there is one, else into
        one that nobody sees yet.  From here to the end of :func:`settle` appends to the event wait."""
        ...

    def restore(self, handle: Any, changes: Sequence[Change], keep_above: int) -> Callable[[], Awaitable[None]]:
        """Prepare to add ``changes`` with their numbers and keys, bodies only above ``keep_above``; it is done
        when what this returns is called."""
        ...

    def publish(
        self, event: str, handle: Any, own: Line | None, epoch: str, plan: Plan | None
    ) -> Awaitable[None]:
        """Begin ``epoch`` with what was restored, or (``plan`` and ``handle`` None) with what is there."""
        ...

    def offer(self, event: str, records: Sequence[tuple[Record, str]]) -> Awaitable[None]:
        """Record what is new among ``records``, each with its time, like an append."""
        ...


class Outcome(NamedTuple):
    """``unheard``: how many witnesses could not say what they remember; ``changed``: a new epoch began, or
    changes were added."""

    unheard: int
    changed: bool


class Heard(NamedTuple):
    """What the witnesses of an event remember: ``said`` has those that could say so, the archive first, and
    ``silent`` counts the others."""

    said: tuple[tuple[Line, Testimony], ...]
    silent: int


async def hear(
    events: Iterable[str],
    archive: Sequence[IWitness],
    memories: Sequence[IWitness],
    reactor: IReactorTime,
) -> dict[str, Heard]:
    """Ask what is remembered of every one of ``events``: ``archive`` holds the witness whose numbers stand, if
    there is one, and ``memories`` those that hold what a node has seen.

    All questions are asked at once, so that one that does not answer in time is waited for once and not for
    every event.
    """
    answers = {}
    for event in events:
        asked: list[Deferred[Testimony | None]] = []
        for witness in (*archive, *memories):
            asked.append(maybeDeferred(witness.testimony, event).addTimeout(TESTIMONY_SECONDS, reactor))
        answers[event] = DeferredList(asked, consumeErrors=True)
    try:
        return {event: _heard(event, await answer, len(archive)) for event, answer in answers.items()}
    except CancelledError:
        for answer in answers.values():
            answer.cancel()
        raise


def _heard(event: str, answers: list[tuple[bool, Any]], archives: int) -> Heard:
    said = []
    for number, (success, told) in enumerate(answers):
        if success:
            found = told or NOTHING
            line = Line(found.epoch, found.ancestors, found.head, found.oldest, number >= archives)
            said.append((line, found))
        elif told.check(CancelledError):
            told.raiseException()
        else:
            _log.debug("No testimony for {event}: {error}", event=event, error=told.value)
    return Heard(tuple(said), len(answers) - len(said))


async def settle(
    log: Restorable,
    event: str,
    witnesses: Heard,
    *,
    reactor: IReactorTime,
    rng: Random,
    window: int,
    doubtful: Callable[[], bool],
    announce: Callable[[str], None],
    because: str = "its server is another than before",
) -> Outcome:
    """Bring the log of ``event`` to where it can take appends.

    An absent log is begun; one that holds less than ``witnesses`` remember is filled from them, in a new epoch;
    and when ``doubtful()`` (``because`` says why) a new epoch begins even if nothing is known to be missing.
    ``announce`` is called with a sentence for the operator about what was done.
    """
    heard, unheard = list(witnesses.said), witnesses.silent
    for _ in range(ATTEMPTS):
        own = await log.line(event)
        decided = plan(own, [line for line, _ in heard])
        if decided is None and own is not None and not doubtful():
            return Outcome(unheard, await _salvage(log, event, own, heard, reactor))
        epoch = new_epoch(rng)
        try:
            if decided is None:
                await log.publish(event, None, own, epoch, None)
            else:
                _log.info(
                    "The live log of {event} is being filled up to {head} from what the archive and living "
                    "nodes remember; until then the event is not served. A million changes take a minute or "
                    "two.",
                    event=event,
                    head=decided.head,
                )
                handle = await log.stage(event, own, decided)
                silent = await _refill(
                    log, handle, decided, [found for _, found in heard], reactor, decided.head - window
                )
                if silent is not None:
                    del heard[silent]
                    unheard += 1
                    continue
                await log.publish(event, handle, own, epoch, decided)
        except Moved:
            continue
        if own is not None or decided is not None:
            announce(_story(event, epoch, own, decided, because))
        return Outcome(unheard, True)
    raise LogUnavailable(f"the live log of {event} changes too fast to be looked at")


async def _salvage(
    log: Restorable,
    event: str,
    own: Line,
    heard: Sequence[tuple[Line, Testimony]],
    reactor: IReactorTime,
) -> bool:
    """Offer again what a node still remembers of an epoch that others have ended without hearing it; returns
    whether there was anything."""
    found = False
    for line, testimony in heard:
        after = left_behind(own, line)
        while after is not None and after < line.head:
            changes = await testimony.read(after, PAGE).addTimeout(READ_SECONDS, reactor)
            records = [(record_of(change), change.at) for change in changes]
            await log.offer(event, [(record, at) for record, at in records if record is not None])
            after = changes[-1].seq if changes else None
            found = True
    return found


def _story(event: str, epoch: str, own: Line | None, plan: Plan | None, because: str) -> str:
    held = own.head if own is not None else 0
    if plan is None:
        return (
            f"The live log of {event} begins epoch {epoch}, because {because}; nobody knows of more than the "
            f"{held} changes that are there."
        )
    tail = (
        "" if plan.tail_after is None else f"; its own from {plan.tail_after + 1} on follow under new numbers"
    )
    return (
        f"The live log of {event} held {held} changes and was filled up to {plan.head} from what the archive "
        f"and living nodes remember{tail}. It begins epoch {epoch}."
    )


async def _refill(
    log: Restorable,
    handle: Any,
    plan: Plan,
    heard: Sequence[Testimony],
    reactor: IReactorTime,
    keep_above: int,
) -> int | None:
    """Carry out ``plan``; returns the number of the witness that failed on the way, None when none did."""
    for refill in plan.refills:
        witness, after = heard[refill.witness], refill.after
        reading = _page(witness, after, refill.upto, reactor)
        restoring: Deferred[None] = succeed(None)
        try:
            while after < refill.upto:
                try:
                    changes = await reading
                except CancelledError:
                    raise
                except Exception as error:
                    _log.warn("A witness of the live log went away while it was asked: {error}", error=error)
                    return refill.witness
                if not changes:
                    _log.error("A witness of the live log has nothing above {after}, as it said", after=after)
                    return refill.witness
                # Three at work: the witness reads a page, this prepares one, and the log adds another.
                after = changes[-1].seq
                reading = _page(witness, after, refill.upto, reactor)
                restore = log.restore(handle, changes, keep_above)
                await restoring
                restoring = Deferred.fromCoroutine(_call(restore))
            await restoring
        finally:
            for begun in (reading, restoring):
                begun.addErrback(lambda _: None)
                begun.cancel()
    return None


def _page(witness: Testimony, after: int, upto: int, reactor: IReactorTime) -> Deferred[list[Change]]:
    """The changes of ``witness`` above ``after`` that one step restores; none from ``upto`` on."""
    if after >= upto:
        return succeed([])
    return witness.read(after, min(PAGE, upto - after)).addTimeout(READ_SECONDS, reactor)


async def _call(step: Callable[[], Awaitable[None]]) -> None:
    await step()


def renewed(own: Line) -> tuple[Ancestor, ...]:
    """The ancestors of an epoch that begins with everything ``own`` has."""
    return inherit((own, own.head))
