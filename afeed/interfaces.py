"""The arrows between the components.

``upstream -> ISource -> normalise -> ISink -> ILiveLog -> hub -> ISubscriber -> browser``, and ``ILiveLog ->
strainer -> IArchive``. A component knows the arrow it sends along and never the neighbour at its other
end.  Where a method returns a Deferred the docstring says when it fires; cancelling one that has not fired
abandons the wait, never half of a write.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import msgspec
from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from afeed.core.change import Change
from afeed.core.cursor import Ancestor
from afeed.core.draft import Draft, Held, SourceGap
from afeed.core.health import Check
from afeed.core.item import Item
from afeed.core.outages import Outage


class Position(NamedTuple):
    """How far a source has read upstream: ``source`` is its name, ``value`` its own business (at most 1 KB of
    text)."""

    source: str
    value: str


class Recorded(NamedTuple):
    """What became of one draft: the seq it has, and whether this append gave it that."""

    seq: int
    new: bool


class HeldItem(NamedTuple):
    """What a log holds back of an item (:class:`~afeed.core.draft.Held`), since the RFC 3339 time ``at``;
    ``stopped`` when an organiser said no."""

    item: Item
    version: str
    reason: str
    until: str | None
    at: str
    stopped: bool


class Slice(NamedTuple):
    """Part of a log: ``first_seq`` numbers ``changes[0]`` (or would); above ``after + 1`` where older ones
    were trimmed."""

    epoch: str
    first_seq: int
    changes: list[Change]


class Head(NamedTuple):
    """The end of a log: the last seq written, 0 for an empty one."""

    epoch: str
    seq: int


class Lineage(NamedTuple):
    """The present epoch and what it shares with earlier ones, nearest first; ``shared`` is already the least
    along the way."""

    epoch: str
    ancestors: tuple[Ancestor, ...]


class Testimony(NamedTuple):
    """What a witness remembers of an event: changes up to ``head`` of ``epoch`` (its lineage at that time in
    ``ancestors``), which ``read(after, limit)`` gives in order, like :meth:`IArchive.read`; ``oldest`` is the
    first of them."""

    epoch: str
    ancestors: tuple[Ancestor, ...]
    oldest: int
    head: int
    read: Callable[[int, int], Deferred[list[Change]]]


class PageItem(msgspec.Struct, frozen=True):
    """An item in its present state, at the seq under which it was first posted."""

    seq: int
    item: Item


class ISink(Interface):
    """Where sources put what they found."""

    def offer(
        event: str, drafts: Sequence[Draft], position: Position | None = None
    ) -> Deferred[list[Recorded]]:
        """Record ``drafts`` in the live log of ``event``, the source's ``position`` with them.

        Fires when they are durable.  While the log is away or full it waits and tries again, so a source that
        waits for this Deferred is slowed down and loses nothing.  A draft that cannot be recorded because of a
        defect is logged, counted as dropped (``defect``) and has seq 0.  Fails with
        :class:`~afeed.core.errors.LeaseLost` when another node runs the sources, and with
        :class:`~twisted.internet.defer.CancelledError` when it is cancelled: what was not durable by then is
        offered again after a restart, from the stored position.
        """

    def dropped(event: str, source: str, reason: str, count: int = 1) -> None:
        """Count what a source could not use.  ``reason`` is one of few short words (``malformed``,
        ``oversize``, ...)."""


class ILead(Interface):
    """What the intake knows of the node's part among several."""

    token = Attribute("The token of this node's term, None while it has none.")

    def doubted(token: str) -> Deferred[bool]:
        """The log refused something that was to be recorded under ``token``.  Fires with whether the term goes
        on all the same, as far as is known, and it may be tried again; if not, the sources are being
        stopped."""


class ISource(Interface):
    """Brings items in."""

    name = Attribute("Names the source in health, logs and stored positions: ``x``, ``flickr:<slug>``, ...")

    def run(sink: ISink) -> Awaitable[None]:
        """Feed ``sink`` until cancelled.

        Upstream faults are handled within, with back-off; an exception that leaves is a defect, and the
        supervisor starts ``run`` again after a delay.  Cancelling closes every connection.
        """

    def check() -> Check:
        """How it is, as of now: last byte, last item, last error, when the next attempt is due."""


class IWitness(Interface):
    """Remembers changes apart from the live log (the archive does, and the hub of a living node), so that a
    log which lost something can be filled again."""

    def testimony(event: str) -> Deferred[Testimony | None]:
        """Fires with what is remembered of ``event``, None for nothing; fails when it cannot be known right
        now."""


class ILease(Interface):
    """Says which of several nodes runs the sources and the strainer.  A *token* is the name of a node and a
    random word, with a space between; every term has one of its own.

    Every Deferred may fail with :class:`~afeed.core.errors.LogUnavailable`, within a few seconds.  Whether the
    step was taken is then unknown; all of them may be repeated.
    """

    shared = Attribute(
        "Whether another node that would run the sources has been heard of since the start of this one: a node "
        "that is alone keeps them while nobody can be asked."
    )

    def take(token: str, seconds: float, known: str | None, patient: bool) -> Deferred[str]:
        """Begin a term of at least ``seconds`` unless somebody else's runs.  Fires with the token of the term
        that runs now: ``token`` if this succeeded.

        ``known`` is the token of the last term that the caller has heard of.  If the log has forgotten it
        (together with everything else), or the caller is ``patient`` (it has not heard of the log for a while,
        and the holder need not have either), that term gets ``seconds`` more instead, so that a fault of the
        log's own does not end it.
        """

    def renew(token: str, seconds: float) -> Deferred[bool]:
        """Have the term go on for at least ``seconds`` more.  Fires with False when another has begun or this
        one was released; a term that only ran out goes on, for then nobody else has written."""

    def release(token: str) -> Deferred[None]:
        """End the term, if it runs, so that another can begin at once."""


class ILiveLog(Interface):
    """The append-only, numbered sequence of changes of every event.

    Every method that returns a Deferred may fail with :class:`~afeed.core.errors.LogUnavailable`; none waits
    longer than a few seconds before it does.
    """

    lease = Attribute("The :class:`ILease` of the nodes that share this log.")

    def start(events: Sequence[str], witnesses: Sequence[IWitness]) -> Deferred[None]:
        """Open the log.  Fires when it is usable or, for a log on another machine that cannot be reached, when
        it is known that it is not: then it goes on trying by itself.  A log that has lost what the witnesses
        still hold begins a new epoch, filled from them, before it takes the first append.  The first of the
        witnesses is the archive, whose numbers stand; the others are the memories of nodes."""

    def stop() -> Deferred[None]:
        """Fires when everything accepted is durable and all is closed."""

    def append(
        event: str,
        epoch: str | None,
        drafts: Sequence[Draft],
        *,
        lease: str | None = None,
        position: Position | None = None,
    ) -> Deferred[list[Recorded]]:
        """Record ``drafts`` in order and in one step, and ``position`` with them.

        Fires when they are durable, with one :class:`Recorded` each.  Idempotent on id and version: a
        repetition has the old seq and is not new.  A removal redacts all earlier changes of its id in the same
        step and suppresses later ones (they get the removal's seq).  What is held of an item goes in the step
        in which it is removed, or posted in a version that is not older.  ``epoch`` None accepts the present
        one, any other must be it (:class:`~afeed.core.errors.EpochChanged`). Fails with
        :class:`~afeed.core.errors.LogFull` beyond ``max_log_bytes``, :class:`~afeed.core.errors.LeaseLost`
        when ``lease`` is given and not the token of the last term begun (:class:`ILease`); then nothing was
        recorded.
        """

    def hold(event: str, held: Sequence[Held], *, lease: str | None = None) -> Deferred[list[bool]]:
        """Keep items back, beside the log: without a number, and in nothing that is read or told of.

        Fires when they are durable, with whether each is new.  Idempotent on id and version; a newer version
        takes the place (and ``at``) of the one that is held, an older one is not new, and neither is a version
        that was recorded, or an id that was removed.  What was stopped stays so in the same version; a newer
        one waits for somebody's word, without ``until``.  Fails like :meth:`append`, and with
        :class:`ValueError` when an ``until`` is no time.
        """

    def held(
        event: str, limit: int, after: str | None = None, stopped: bool = False
    ) -> Deferred[list[HeldItem]]:
        """Fires with up to ``limit`` items that wait (or that were ``stopped``), the one that was held first in
        front; ``after`` is the id of the last of the page before: if that is not held any more, they are those
        from the beginning on."""

    def release(event: str, ids: Sequence[str], *, lease: str | None = None) -> Deferred[list[Recorded]]:
        """Record what is held of these ids, stopped or not, in order and in one step with its end there.

        Fires when that is durable, with one :class:`Recorded` each: seq 0, not new, for what is not held (any
        more), so that of several who release the same one is told of the number.  Fails like :meth:`append`.
        """

    def stop_held(event: str, ids: Sequence[str]) -> Deferred[None]:
        """An organiser says no to these ids, if they are held: they are kept, but not due any more.  Fires when
        that is durable."""

    def due(event: str, at: str, limit: int) -> Deferred[list[str]]:
        """Fires with up to ``limit`` ids whose ``until`` is ``at`` or before and that were not stopped, longest
        due in front.  Cheap when nothing is held."""

    def read(event: str, after: int, limit: int) -> Deferred[Slice]:
        """Fires with up to ``limit`` changes above ``after``."""

    def head(event: str) -> Deferred[Head]:
        """Fires with the present epoch and the last seq."""

    def refresh(event: str) -> Deferred[None]:
        """Fires when all that the log had at the time of the call, by whichever node, can be read here and
        those who watch were told of it."""

    def lineage(event: str) -> Deferred[Lineage]:
        """Fires with the present epoch and its ancestors."""

    def position(event: str, source: str) -> Deferred[str | None]:
        """Fires with the value last stored for ``source``, None when there is none."""

    def trim(event: str, upto: int) -> Deferred[None]:
        """Forget changes up to and including ``upto``, of those more than ``window`` behind the
        head.  Numbers, keys and positions stay."""

    def scrub() -> Deferred[bool]:
        """Fires with whether what was removed is gone from the files of the log, too, as far as it can see to
        that; False where it is being worked on, or somebody who reads them was in the way: try again."""

    def watch(callback: Callable[[str], None]) -> None:
        """Call ``callback(event)`` soon after something was appended to it by any node, or its epoch
        changed.  A hint: it may come late or twice, and after a lost connection not at all."""

    def check() -> Check:
        """How it is, as far as is known now: no disk and nobody else is asked, so that it can be called at any
        time."""


class IArchive(Interface):
    """The SQL database.  Every Deferred may fail with :class:`~afeed.core.errors.ArchiveUnavailable`."""

    def start() -> Deferred[None]:
        """Connect and migrate.  Fires when usable; fails with :class:`~afeed.core.errors.ArchiveTooNew` or,
        for a database that cannot be used, :class:`~afeed.core.errors.ArchiveUnavailable` (call again
        later)."""

    def stop() -> Deferred[None]:
        """Fires when all is closed."""

    def position(event: str, *, to_write: bool = False) -> Deferred[Head | None]:
        """Fires with the last position copied, None when there is none.  Whoever wants it ``to_write`` waits,
        after a write that failed, until writing works again; it fails where that does not."""

    def store(event: str, lineage: Lineage, after: int, changes: Sequence[Change]) -> Deferred[None]:
        """Copy ``changes``, the first of them numbered ``after + 1``, and advance the position from ``after``
        in the same transaction.  An epoch other than the one stored is accepted if its lineage shares
        everything up to ``after`` with the stored one.  Fails with :class:`~afeed.core.errors.ArchiveConflict`
        and changes nothing if the position is another."""

    def skip(event: str, lineage: Lineage, after: int, upto: int) -> Deferred[None]:
        """Put on record that the changes from ``after + 1`` to ``upto`` are in neither the log nor the archive,
        and advance the position past them, under the conditions of :meth:`store`."""

    def read(event: str, after: int, limit: int) -> Deferred[list[Change]]:
        """Fires with up to ``limit`` changes above ``after``, in order; numbers jump where changes were
        skipped."""

    def extent(event: str) -> Deferred[tuple[int, int]]:
        """Fires with the first and last seq of what is held without a hole up to the position; ``(1, 0)`` for
        none."""

    def items(
        event: str, limit: int, before: int | None = None, prompt: bool = False
    ) -> Deferred[list[PageItem]]:
        """Fires with the newest visible items in their present state, newest first, of those first posted
        below ``before``; if ``prompt``, without those that were fetched late
        (:func:`afeed.core.present.is_late`)."""

    def gaps(event: str) -> Deferred[list[tuple[int, SourceGap]]]:
        """Fires with the outages of the event's sources as the log last spoke of them, each with the seq of
        that change, in the order in which they began."""

    def check() -> Check:
        """How it is, as of now."""


class ISubscriber(Interface):
    """Hears of every new change of an event, in order, in the turn in which the hub learns of it."""

    def changed(first: int, last: int) -> None:
        """The changes ``first`` to ``last``, inclusive, were just added to the channel's window."""

    def stalled() -> None:
        """The channel's ``stalled`` has just changed: new changes can no longer be taken or shown, or can be
        again."""

    def ended(retry_ms: int) -> None:
        """The channel began a new epoch or closes: say goodbye; nothing more will come.  Clients may come back
        after ``retry_ms`` milliseconds, which the subscriber spreads among them."""


class FeedPage(NamedTuple):
    """What a page shows of an event at one moment: ``items`` newest first, the head ``cursor`` they belong to,
    and ``older``, the ``before`` that pages back from here (None on the last page).

    ``gaps`` are the outages between them, latest first; one whose ``seq`` is that of an item stands above it.
    ``stalled`` says that new changes cannot be taken or shown for now.
    """

    items: list[PageItem]
    cursor: str
    older: int | None
    gaps: Sequence[Outage] = ()
    stalled: bool = False


class IFeed(Interface):
    """What the pages know of the feed."""

    def page(event: str, limit: int, before: int | None = None, prompt: bool = False) -> Deferred[FeedPage]:
        """Fires with the newest ``limit`` visible items first posted below ``before``; ``prompt`` leaves out
        those that were fetched late, after an outage.  Fails with
        :class:`~afeed.core.errors.ArchiveUnavailable` where only the archive could tell and does not answer."""
