"""The commands of the Redis live log on one connection, as typed calls."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import attrs
import msgspec
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime

from afeed.core.change import Change
from afeed.core.cursor import Ancestor
from afeed.core.draft import Record
from afeed.core.errors import LogUnavailable
from afeed.core.recovery import Line, keys_of
from afeed.interfaces import Position
from afeed.livelog import redis_lua, redis_lua_held, redis_lua_recovery
from afeed.livelog.redis_address import RedisAddress
from afeed.livelog.redis_lua_parts import Script

#: How many seconds a command may take before its connection is given up.
COMMAND_SECONDS = 2.5

#: How much one reply of stored changes may hold, in bytes.
READ_BYTES = 4 * 1024 * 1024

#: How many changes are dropped in one step, so that nobody waits for long behind it.
TRIM_COUNT = 5000

LEASE_KEY = "afeed:lease"

_ancestors = msgspec.json.Decoder(tuple[Ancestor, ...])


class ServerError(LogUnavailable):
    """Redis answered with an error; its first word is Redis's own code, such as ``OOM`` or ``READONLY``."""


class Vanished(LogUnavailable):
    """The log is not there, or its server is another than before: it has to be looked at again."""


class Wire(Protocol):
    """A connection to Redis: fires with bytes, an int, None or a list of them; fails with
    :class:`ServerError` or :class:`~afeed.core.errors.LogUnavailable`."""

    def send(self, *command: str | bytes | int) -> Deferred[Any]: ...

    def abort(self) -> None: ...


@attrs.frozen
class Keys:
    """The names of one event's keys."""

    slug: str

    @property
    def prefix(self) -> str:
        return f"afeed:{{{self.slug}}}:"

    @property
    def meta(self) -> str:
        return self.prefix + "meta"

    @property
    def positions(self) -> str:
        return self.prefix + "positions"

    @property
    def staging(self) -> str:
        return self.prefix + "staging"

    @property
    def held(self) -> str:
        return self.prefix + "held"

    @property
    def channel(self) -> str:
        return self.prefix + "head"


class State(NamedTuple):
    """Where an event stands; ``held`` counts the items that it holds, ``held_bytes`` what of ``bytes`` is
    theirs, ``run`` is the server that took its last append."""

    epoch: str
    base: int
    head: int
    bytes: int
    held: int
    held_bytes: int
    run: str
    ancestors: tuple[Ancestor, ...]

    @property
    def line(self) -> Line:
        return Line(self.epoch, self.ancestors, self.head, self.base + 1)


class Batch(NamedTuple):
    """One caller's append."""

    epoch: str | None
    lease: str | None
    position: Position | None
    at: str
    records: Sequence[Record]


class Appended(NamedTuple):
    """What became of a group of batches: its new changes are numbered ``first + 1`` to ``head``; ``outcomes``
    has a word and, after ``ok``, pairs of seq and kind for every batch (see :mod:`afeed.livelog.redis_lua`)."""

    epoch: str
    first: int
    head: int
    bytes: int
    outcomes: list[tuple[str, list[tuple[int, str]]]]


class Page(NamedTuple):
    """Part of a log; ``changes`` may end before what was asked for where they are large."""

    epoch: str
    head: int
    first: int
    changes: list[Change]


#: The number of a version as scripts compare it.
order_bytes = struct.Struct(">Q").pack

#: A change on its way back into a log: seq, kind, keys, order and the length of the body that follows.
_restored = struct.Struct(">Qc16s16sQI").pack


def _keys(record: Record) -> tuple[bytes, bytes, bytes, bytes]:
    return record.kind.encode("ascii"), record.id_key, record.version_key, order_bytes(record.order)


def pack(changes: Sequence[Change], keep_above: int) -> bytes:
    """``changes`` as they are, for :meth:`Commands.restore`; of those up to ``keep_above`` only the keys."""
    parts: list[bytes] = []
    for change in changes:
        keys = keys_of(change)
        body = change.stored if change.seq > keep_above else b""
        if keys is None:
            parts.append(_restored(change.seq, b"-", b"", b"", 0, len(body)))
        else:
            kind, id_key, version_key, order = keys
            parts.append(_restored(change.seq, kind[:1].encode(), id_key, version_key, order, len(body)))
        parts.append(body)
    return b"".join(parts)


def pack_fields(fields: Iterable[bytes]) -> bytes:
    """``fields`` one after the other, each after its length."""
    return b"".join([struct.pack(">I", len(field)) + field for field in fields])


class Commands:
    """``run`` is the server's ``run_id``."""

    def __init__(self, wire: Wire, reactor: IReactorTime, run: str) -> None:
        self.wire = wire
        self._reactor = reactor
        self.run = run

    async def send(self, *command: str | bytes | int) -> Any:
        """One command; a connection that does not answer in time is given up."""
        return await self._in_time(self.wire.send(*command))

    async def log_in(self, address: RedisAddress) -> None:
        """Whatever ``address`` wants before the first command; raises :class:`ServerError` when that is not
        accepted."""
        if address.password is not None:
            who = [address.username] if address.username is not None else []
            await self.send("AUTH", *who, address.password)
        if address.db:
            await self.send("SELECT", address.db)

    async def _in_time(self, answer: Deferred[Any]) -> Any:
        try:
            return await answer.addTimeout(COMMAND_SECONDS, self._reactor)
        except DeferredTimeout:
            self.wire.abort()
            raise LogUnavailable(f"Redis did not answer within {COMMAND_SECONDS:g} s") from None

    async def call(self, script: Script, keys: Sequence[str], *arguments: str | bytes | int) -> bytes:
        """Run ``script``, loaded or not."""
        try:
            reply = await self.send("EVALSHA", script.sha, len(keys), *keys, *arguments)
        except ServerError as error:
            if not str(error).startswith("NOSCRIPT"):
                raise
            reply = await self.send("EVAL", script.source, len(keys), *keys, *arguments)
        return bytes(reply)

    async def teach(self) -> None:
        """Load all scripts, at once."""
        loading = [
            self.wire.send("SCRIPT", "LOAD", script.source)
            for script in (*redis_lua.ALL, *redis_lua_held.ALL, *redis_lua_recovery.ALL)
        ]
        for success, result in await self._in_time(DeferredList(loading, consumeErrors=True)):
            if not success:
                result.raiseException()

    async def states(self, events: Sequence[str]) -> list[State | None]:
        """Where each event stands; None for one that Redis does not know."""
        reply = await self.call(redis_lua.STATE, [Keys(event).meta for event in events])
        states: list[State | None] = []
        for line in reply.decode("ascii").split("\n"):
            words = line.split(" ", 7)
            if len(words) < 8:
                states.append(None)
                continue
            epoch, base, head, size, held, held_bytes, run, ancestors = words
            place = (int(base), int(head), int(size), int(held), int(held_bytes))
            states.append(State(epoch, *place, run, _ancestors.decode(ancestors)))
        return states

    async def append(
        self, event: str, batches: Sequence[Batch], max_bytes: int, meta: str | None = None
    ) -> Appended:
        """Record ``batches`` in one step, each of them whole or not at all; fails with :class:`Vanished` when
        nothing was even tried."""
        keys = Keys(event)
        reply = await self.call(
            redis_lua.APPEND,
            [meta or keys.meta, keys.positions, LEASE_KEY, keys.channel],
            self.run,
            max_bytes,
            *map(_batch, batches),
        )
        lines = reply.decode("ascii").split("\n")
        if lines[0] == "gone":
            raise Vanished(f"it has lost changes of {event}, which are put back now")
        if lines[0] == "run":
            raise Vanished(f"another node restores the live log of {event} at the moment")
        epoch, first, head, size = lines[0].split(" ")
        outcomes = []
        for line in lines[1:]:
            word, *results = line.split(" ")
            outcomes.append((word, [(int(result[:-1]), result[-1]) for result in results]))
        return Appended(epoch, int(first), int(head), int(size), outcomes)

    async def page(self, event: str, after: int, limit: int) -> Page:
        """Changes above ``after``, up to ``limit`` of them or some megabytes."""
        reply = await self.call(redis_lua.READ, [Keys(event).meta], after, limit, READ_BYTES)
        if not reply:
            raise Vanished(f"Redis does not hold the live log of {event} any more")
        header, _, bodies = reply.partition(b"\n")
        epoch, _, head, first, *lengths = header.decode("ascii").split(" ")
        changes, start = [], 0
        for seq, length in enumerate(map(int, lengths), int(first)):
            changes.append(Change.decode(seq, bodies[start : start + length]))
            start += length
        return Page(epoch, int(head), int(first), changes)

    async def read(self, event: str, after: int, limit: int) -> Page:
        """Exactly the changes above ``after``, up to ``limit`` of them."""
        page = await self.page(event, after, limit)
        changes = page.changes
        while changes and len(changes) < limit and changes[-1].seq < page.head:
            more = await self.page(event, changes[-1].seq, limit - len(changes))
            if more.epoch != page.epoch or more.first != changes[-1].seq + 1:
                break
            changes.extend(more.changes)
        return page

    async def trim(self, event: str, upto: int, window: int) -> int:
        """Returns how many bytes are left."""
        while True:
            reply = await self.call(redis_lua.TRIM, [Keys(event).meta], upto, window, TRIM_COUNT)
            if reply == b"gone":
                raise Vanished(f"Redis does not hold the live log of {event} any more")
            size, more = map(int, reply.split())
            if not more:
                return size

    async def remind(self, event: str, positions: Mapping[str, str]) -> None:
        """Store ``positions`` of sources where there is none."""
        for source, value in positions.items():
            await self.send("HSETNX", Keys(event).positions, source, value)

    async def positions(self, event: str) -> dict[str, str]:
        """Those of all sources."""
        reply = await self.send("HGETALL", Keys(event).positions)
        words = [bytes(word).decode("utf-8") for word in reply]
        return dict(zip(words[::2], words[1::2], strict=True))

    async def position(self, event: str, source: str) -> str | None:
        reply = await self.send("HGET", Keys(event).positions, source)
        return None if reply is None else bytes(reply).decode("utf-8")

    # Recovery; each returns False when somebody else was quicker.

    async def close(self, event: str, epoch: str, head: int) -> bool:
        """Refuse appends from now on, unless the log is not as expected."""
        return await self.call(redis_lua_recovery.CLOSE, [Keys(event).meta], epoch, head) == b"ok"

    async def stage(self, event: str, prefix: str) -> None:
        """Begin a log that nobody sees yet, under keys that begin with ``prefix``."""
        await self.call(redis_lua_recovery.STAGE, [Keys(event).staging], prefix, self.run)

    async def restore(self, meta: str, epoch: str, packed: bytes, keep_above: int) -> bool:
        """Add the changes in ``packed`` (:func:`pack`) to the log whose meta key is ``meta``."""
        return await self.call(redis_lua_recovery.RESTORE, [meta], epoch, keep_above, packed) == b"ok"

    async def publish(
        self, event: str, expected: str | None, epoch: str, ancestors: tuple[Ancestor, ...], staged: str | None
    ) -> bool:
        """Begin ``epoch`` if the present one is ``expected`` (None: there is none); ``staged`` is the prefix of
        the log that takes the place of the present one."""
        keys = Keys(event)
        reply = await self.call(
            redis_lua_recovery.PUBLISH,
            [keys.meta, keys.staging, keys.channel],
            expected or "",
            epoch,
            msgspec.json.encode(ancestors),
            self.run,
            f"{keys.prefix}{epoch}:",
            staged or "",
        )
        return reply == b"ok"


def maybe(value: str | None) -> bytes:
    """``value`` as scripts tell it from none."""
    return b"" if value is None else b"=" + value.encode("utf-8")


def _batch(batch: Batch) -> bytes:
    source, value = batch.position if batch.position is not None else (None, "")
    fields = [maybe(batch.epoch), maybe(batch.lease), maybe(source), value.encode(), batch.at.encode()]
    for record in batch.records:
        fields.extend(_keys(record))
        fields.append(record.tail)
    return pack_fields(fields)
