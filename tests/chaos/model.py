"""What a viewer may be told next, given what it was told so far: the promises to viewers, without any I/O.

A :class:`Reader` stands for one viewer's position.  It is shown every message that the viewer got, with what
was asked for (:class:`Asked`), and counts in a :class:`Tally` whatever the protocol does not allow:

=============  ==============================================================================================
``lost``       a change was passed over
``repeated``   a change came that the viewer had
``reordered``  a change came after a later one
``silent``     a position moved without the changes, or without a gap that says so
``untold``     an answer or a greeting ends before what its node had told somebody before it was asked
``leaked``     a removed item's content came from a node that had told of the removal before it was asked
``gaps``       a gap was told; a run in which nothing is really lost allows none
``altered``    a change said something else than the log does, and was not redacted since
``hidden``     a change came redacted, but nothing in the log removes it
=============  ==============================================================================================

The last two are found by :meth:`Tally.compare`, at the end.  All viewers get the same bytes, so a message is
taken apart once (:class:`Library`), and then costs a few comparisons for each viewer.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

#: Messages taken apart that are remembered; what was said in them is remembered for good.
REMEMBERED = 20_000
#: Faults that are described, of each kind.
DESCRIBED = 3

_CHANGE = re.compile(
    rb'\{"seq":(\d+),"at":"[^"]{24}","type":"([a-z.]+)"(?:.*?"(?:item":\{"id|id)":("(?:[^"\\]|\\.)*"))?', re.S
)
_FRAGMENT = b',"fragment":'
_WITH_CONTENT = (b"item.posted", b"item.edited")


class _Envelope(msgspec.Struct):
    """Any message, and the answer to a poll."""

    type: str = "updates"
    cursor: str | None = None
    changes: list[msgspec.Raw] = []
    gap: dict[str, Any] | None = None
    more: bool = False
    reason: str | None = None


_decode = msgspec.json.Decoder(_Envelope).decode


class Statement(NamedTuple):
    """A change as somebody was told it: ``said`` stands for all of its bytes but the fragment."""

    seq: int
    type: bytes
    item_id: bytes | None
    said: int

    @classmethod
    def read(cls, raw: bytes) -> Statement:
        """From a change's JSON; raises :class:`ValueError` for what is none."""
        found = _CHANGE.match(raw)
        if found is None:
            raise ValueError(f"not a change: {raw[:200]!r}")
        body, fragment, _ = raw.rpartition(_FRAGMENT)
        return cls(int(found[1]), found[2], found[3], hash(body + b"}" if fragment else raw))


class Message:
    """A message taken apart.

    :ivar seqs: the numbers of its changes; :ivar whole: whether these follow each other and end at its cursor.
    :ivar shown: the ids of the items whose content is in it; :ivar removed: those it says are removed.
    """

    __slots__ = ("epoch", "first", "gap", "kind", "more", "removed", "seq", "seqs", "shown", "stale", "whole")

    def __init__(self, envelope: _Envelope, statements: Sequence[Statement]) -> None:
        self.kind = envelope.type
        epoch, _, seq = (envelope.cursor or "").partition(":")
        self.epoch = epoch
        self.seq = int(seq) if seq else None
        self.seqs = tuple(one.seq for one in statements)
        self.first = self.seqs[0] if statements else None
        self.whole = bool(statements) and self.seqs == tuple(range(self.seqs[0], (self.seq or 0) + 1))
        self.shown = {one.item_id for one in statements if one.type in _WITH_CONTENT}
        self.removed = [one.item_id for one in statements if one.type == b"item.removed"]
        self.gap = envelope.gap if envelope.type == "updates" else envelope.reason
        self.more = envelope.more
        #: By node: the number of its removals at which this was looked at, and the moment since which no answer
        #: may contain this message (None: it still may).
        self.stale: dict[int, tuple[int, int | None]] = {}


class Node:
    """What is known of a node from its own words: the last seq that it told anybody, and the moment at which
    each removal was first told."""

    __slots__ = ("head", "number", "removed")

    def __init__(self, number: int) -> None:
        self.number = number
        self.head = 0
        self.removed: dict[bytes | None, int] = {}

    def stale_since(self, message: Message) -> int | None:
        """The moment at which this node began to know better than ``message``."""
        known = message.stale.get(self.number)
        if known is None or known[0] != len(self.removed):
            moments = [self.removed[id_] for id_ in message.shown if id_ in self.removed]
            known = message.stale[self.number] = (len(self.removed), min(moments, default=None))
        return known[1]


class Asked(NamedTuple):
    """A connection or a poll: at which ``moment`` it was asked for, of whom, from which position (None: from
    the head), and the last seq that the node was known to have told by then."""

    moment: int
    node: Node
    seq: int | None
    head: int


class Tally:
    """What all readers counted, and what was said to any of them.

    ``moment`` counts messages: it is the time of this model.  A message that was taken before something was
    asked for had been sent before.
    """

    def __init__(self) -> None:
        self.moment = 0
        self.deliveries = 0
        self.faults: Counter[str] = Counter()
        self.details: list[str] = []
        self.statements: set[Statement] = set()

    def fault(self, kind: str, what: str, count: int = 1) -> None:
        """Count something that must not be."""
        if not self.faults[kind] or self.faults[kind] < DESCRIBED:
            self.details.append(f"{kind}: {what}")
        self.faults[kind] += count

    def asked(self, node: Node, seq: int | None) -> Asked:
        """Something is asked for now."""
        return Asked(self.moment, node, seq, node.head)

    def compare(self, log: Iterable[Statement]) -> None:
        """Find what was told otherwise than the log, in its last state, allows."""
        last = {one.seq: one for one in log}
        removals = {one.item_id: one.seq for one in last.values() if one.type == b"item.removed"}
        for one in sorted(self.statements, key=lambda one: (one.seq, one.said)):
            truth = last.get(one.seq)
            if truth == one:
                continue
            removal = removals.get(one.item_id, 0) if one.item_id is not None else 0
            if truth is not None and truth.type == b"redacted" and one.type in _WITH_CONTENT:
                if removal <= one.seq:
                    self.fault("altered", f"{one.seq} was told, and redacted without a removal")
            elif one.type == b"redacted" and truth is not None:
                self.fault("hidden", f"{one.seq} was told as redacted; the log has it as {truth.type.decode()}")
            else:
                self.fault("altered", f"{one.seq} was told otherwise than the log has it")


class Library:
    """Takes messages apart, each only once."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._known: dict[tuple[int, int], Message] = {}

    def message(self, body: bytes) -> Message:
        """The message whose JSON is ``body``; raises :class:`ValueError` for what is none."""
        key = (hash(body), len(body))
        found = self._known.get(key)
        if found is None:
            envelope = _decode(body)
            statements = [Statement.read(bytes(raw)) for raw in envelope.changes]
            self._tally.statements.update(statements)
            found = self._known[key] = Message(envelope, statements)
            if len(self._known) > REMEMBERED:
                del self._known[next(iter(self._known))]
        return found


class Reader:
    """One viewer: ``epoch`` and ``seq`` are its cursor, "I have everything up to and including seq"; ``seq`` is
    None before it has one."""

    __slots__ = ("_due", "_passed", "_tally", "epoch", "name", "seq")

    def __init__(self, name: str, tally: Tally, seq: int | None = None) -> None:
        self.name = name
        self.epoch = ""
        self.seq = seq
        self._tally = tally
        #: The position that a gap has to explain before anything else comes.
        self._due: int | None = None
        #: Changes that were passed over: one that comes later after all was not lost but out of order.
        self._passed: set[int] = set()

    @property
    def cursor(self) -> str | None:
        """What to ask with next."""
        if self.seq is None:
            return None
        return f"{self.epoch}:{self.seq}" if self.epoch else str(self.seq)

    def take(self, message: Message, asked: Asked) -> None:
        """The viewer got ``message`` in answer to ``asked``."""
        tally = self._tally
        tally.moment += 1
        _TAKES.get(message.kind, Reader._ignore)(self, message, asked)
        node = asked.node
        if message.seq is not None and message.seq > node.head and self._due is None:
            node.head = message.seq
        for item_id in message.removed:
            node.removed.setdefault(item_id, tally.moment)

    def _ignore(self, message: Message, asked: Asked) -> None:
        """A client passes over messages it does not know, and ``bye``."""

    def _greeted(self, message: Message, asked: Asked) -> None:
        if asked.seq is None:
            self._from_head(message, asked)
        elif message.seq != asked.seq:
            self._due = asked.seq
        self.epoch, self.seq = message.epoch, message.seq

    def _from_head(self, message: Message, asked: Asked) -> None:
        if message.seq is None or message.seq < asked.head:
            self._tally.fault(
                "untold", f"{self.name} was told that {message.seq} is the head, after {asked.head}"
            )

    def _gap(self, message: Message, asked: Asked) -> None:
        self._due = None
        self._tally.fault("gaps", f"{self.name}: {message.gap}")
        self.epoch, self.seq = message.epoch, message.seq

    def _ping(self, message: Message, asked: Asked) -> None:
        self._explained()
        if message.seq != self.seq or message.epoch != self.epoch:
            self._tally.fault("silent", f"{self.name} has {self.cursor}, a ping says {message.seq}")

    def _updates(self, message: Message, asked: Asked) -> None:
        if message.gap is not None:
            self._tally.fault("gaps", f"{self.name}: {message.gap}")
            self.seq = message.seq - len(message.seqs) if message.seq is not None else None
        if asked.seq is None:  # the newest changes, of which the first may have any number
            self._from_head(message, asked)
            self.seq = message.first - 1 if message.first is not None else message.seq
        self.epoch = message.epoch
        if message.seqs:
            self._changes(message, asked)
        elif message.seq != self.seq:
            self._tally.fault("silent", f"{self.name} has {self.seq}, an empty answer says {message.seq}")
        if not message.more and (message.seq or 0) < asked.head:
            self._tally.fault(
                "untold", f"{self.name} was told that there is no more than {message.seq}, after {asked.head}"
            )

    def _changes(self, message: Message, asked: Asked) -> None:
        tally = self._tally
        self._explained()
        if not (message.whole and message.first == (self.seq or 0) + 1 and message.epoch == self.epoch):
            self._irregular(message)
        self.seq = message.seq
        tally.deliveries += len(message.seqs)
        since = asked.node.stale_since(message)
        if since is not None and since <= asked.moment:
            known = asked.node.removed
            ids = sorted(id_.decode() for id_ in message.shown if id_ is not None and id_ in known)
            tally.fault(
                "leaked",
                f"{self.name} was given {', '.join(ids)} in {message.first} to {message.seq}, "
                f"asked for at moment {asked.moment}; it was told as removed at {since}",
            )

    def _explained(self) -> None:
        if self._due is not None:
            self._tally.fault("silent", f"{self.name} asked from {self._due} and was greeted at {self.seq}")
            self._due = None

    def _irregular(self, message: Message) -> None:
        """Say what exactly is wrong with the numbers of ``message``."""
        tally = self._tally
        if message.epoch != self.epoch:
            tally.fault("silent", f"{self.name}: epoch {self.epoch} became {message.epoch} without a greeting")
        have = self.seq or 0
        for seq in message.seqs:
            if seq in self._passed:
                self._passed.discard(seq)
                tally.faults["lost"] -= 1
                tally.fault("reordered", f"{self.name} was given {seq} after {have}")
            elif seq <= have:
                tally.fault("repeated", f"{self.name} was given {seq} again at {have}")
            else:
                if seq > have + 1:
                    self._passed.update(range(have + 1, seq))
                    tally.fault("lost", f"{self.name} was given {seq} after {have}", seq - have - 1)
                have = seq
        if message.seq != have:
            tally.fault("silent", f"{self.name} has {have}, the message's cursor says {message.seq}")


_TAKES = {
    "hello": Reader._greeted,
    "gap": Reader._gap,
    "ping": Reader._ping,
    "changes": Reader._changes,
    "updates": Reader._updates,
}
