"""``afeed restore``: what :mod:`afeed.command.backup` wrote, back into empty stores."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from twisted.internet.task import deferLater

from afeed.archive import kept
from afeed.archive.bulk import PAGE, filling, finish, standing
from afeed.archive.store import SqlArchive
from afeed.command.background import Background
from afeed.command.backup_file import lines
from afeed.command.belongings import Belongings
from afeed.command.logs import reading
from afeed.command.program import Command, Console, Environment, Refused, add_config
from afeed.command.stores import live_log, log_to
from afeed.config import load_store
from afeed.core.backup import Beginning, Closing, HeldBack, Row, parse
from afeed.core.change import Change, timestamp
from afeed.core.draft import Held, Removed
from afeed.core.errors import BadBackup
from afeed.interfaces import ILiveLog, Position
from afeed.livelog.lock import hold
from afeed.settings import Store, hide_password

#: How long the live log may take, once it is open, to hear of the archive, in seconds; and how often it is
#: looked at.
PATIENCE_S = 60.0
LOOK_S = 0.2

_DESCRIPTION = """\
Puts a backup back: all changes into the archive, from which the live log is filled
under a new epoch, what was held back, which waits again, and the positions of
sources, which then fetch what was posted since.  Viewers go on where they were; what
they saw after the backup was made, and is not in it, they are told of as a gap.

afeed must not run, and the stores that the configuration names must be empty: move
old ones away first.  They need not be of the kinds from which the backup was made.
What root makes here, folders included, belongs to the owner of the folder it is in.

The backup is read through before anything is touched.  If this command is killed,
or fails, give it the same backup again: it goes on, and until it has ended afeed
refuses to start on what it left.

  systemctl stop afeed
  afeed restore --config /etc/afeed/afeed.toml /var/backups/afeed.jsonl.gz
  systemctl start afeed
"""


class _Summary(NamedTuple):
    """What a backup has; ``hidden`` are the ids of hidden items by event."""

    beginnings: list[Beginning]
    closing: Closing
    hidden: dict[str, list[str]]

    @property
    def positions(self) -> list[tuple[str, str, str]]:
        return [
            (begun.event, source, value)
            for begun in self.beginnings
            for source, value in sorted(begun.positions.items())
        ]


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    parser.add_argument("backup", metavar="BACKUP", type=Path, help="what `afeed backup` wrote")


def _run(asked: argparse.Namespace, console: Console, environment: Environment) -> None:
    store = load_store(asked.config, environment.environ)
    summary = _look_through(asked.backup, console)
    belongings = Belongings(store)

    def release() -> None:
        """Nothing is held yet."""

    try:
        # Whoever works in the folder would be surprised by what happens to its stores.
        release = hold(store.data_dir)
        log_to(console)
        with Background() as background:
            if _make_sure(store, summary, background):
                console.remark("An earlier restore of this backup had filled the archive already; going on.")
            else:
                _fill_archive(store, asked.backup, summary, console, timestamp(environment.now()))
            console.remark("The archive has everything; filling the live log from it.")
            epochs, held = background.call(
                lambda reactor: _fill_log(store, asked.backup, summary, reactor, environment.now)
            )
        finish(store.archive)
    finally:
        try:
            belongings.hand_over(console.remark)
        finally:
            release()
    total = sum(summary.closing.changes.values())
    of = "one event" if len(summary.beginnings) == 1 else f"{len(summary.beginnings)} events"
    console.result(
        f"Restored {total:,} changes of {of}. Start afeed.",
        {
            "restored": str(asked.backup),
            "changes": total,
            "rows": summary.closing.rows,
            "events": {
                begun.event: {
                    "head": begun.head,
                    "changes": summary.closing.changes[begun.event],
                    "held": held[begun.event],
                    "epoch": epochs[begun.event],
                    "parent": begun.epoch,
                    "sources": sorted(begun.positions),
                }
                for begun in summary.beginnings
            },
        },
    )


def _look_through(path: Path, console: Console) -> _Summary:
    """Read the whole backup, to know that it is sound."""
    beginnings: list[Beginning] = []
    closing: Closing | None = None
    hidden: dict[str, list[str]] = {}
    count = 0
    for part in parse(lines(path)):
        if isinstance(part, Change):
            count += 1
            if count % PAGE == 0:
                console.progress("checking the backup", count)
        elif isinstance(part, Beginning):
            beginnings.append(part)
        elif isinstance(part, Row):
            found = kept.hidden(part)
            if found is not None:
                hidden.setdefault(found[0], []).append(found[1])
        elif isinstance(part, Closing):
            closing = part
    if closing is None:
        raise BadBackup(f"{path} is not whole")
    return _Summary(beginnings, closing, hidden)


def _make_sure(store: Store, summary: _Summary, background: Background) -> bool:
    """Whether an earlier restore of this backup has filled the archive; raises :class:`Refused` when anything
    is in the way."""
    found = standing(store.archive)
    archive = hide_password(store.archive)
    if found.filled not in (None, summary.closing.sha256):
        raise Refused(
            f"the archive {archive} has been filled from another backup by a restore that did not come to its "
            "end. Give that backup again, or empty the archive and the live log"
        )
    with reading(store, background) as log:
        nodes, heads = log.nodes(), log.events()
    if nodes:
        raise Refused(
            f"{nodes} node{'s are' if nodes != 1 else ' is'} connected to the live log in "
            f"{hide_password(store.live_log)}: stop afeed everywhere first"
        )
    if found.filled is not None:
        return True
    full = [f"{count:,} changes of {event}" for event, count in sorted(found.contents.items())]
    if full:
        raise Refused(
            f"the archive {archive} is not empty, it has {' and '.join(full)}. A restore adds to nothing: move "
            "it away, or name another in the configuration"
        )
    full = [f"{count:,} rows in {table}" for table, count in sorted(found.kept.items())]
    if full:
        raise Refused(
            f"organisers have worked with the archive {archive} already, it has {' and '.join(full)}. A "
            "restore adds to nothing: move it away, or name another in the configuration"
        )
    full = [f"{head:,} changes of {event}" for event, head in sorted(heads.items()) if head]
    if full:
        place = store.data_dir if store.live_log == "embedded" else hide_password(store.live_log)
        raise Refused(
            f"the live log in {place} is not empty, it has {' and '.join(full)}. A restore adds to nothing: "
            "move it away, or name another in the configuration"
        )
    return False


def _fill_archive(store: Store, path: Path, summary: _Summary, console: Console, at: str) -> None:
    """All of it in one transaction: there is no half."""
    event, count = "", 0
    page: list[Change] = []
    with filling(store.archive, summary.closing.sha256, at) as archive:
        for part in parse(lines(path)):
            if isinstance(part, Change):
                page.append(part)
                if len(page) < PAGE:
                    continue
            if page:
                archive.add(event, page)
                count += len(page)
                page = []
                console.progress("into the archive", count)
            if isinstance(part, Beginning):
                event = part.event
                archive.begin(part)
            elif isinstance(part, Row):
                archive.keep(part)
            elif isinstance(part, Closing) and part != summary.closing:
                raise BadBackup(f"{path} was changed while it was read")


async def _fill_log(
    store: Store, path: Path, summary: _Summary, reactor: Any, now: Callable[[], float]
) -> tuple[dict[str, str], dict[str, int]]:
    """Have the live log filled from the archive, and give it the positions of sources and what it held back.
    The epoch of each event, and how many items it holds."""
    archive = SqlArchive(store.archive, reactor, now, restoring=True)
    log = live_log(store, reactor, now)
    events = [begun.event for begun in summary.beginnings]
    try:
        await archive.start()
        await log.start(events, [archive])
        try:
            await _filled(log, summary.beginnings, reactor)
            for event, source, value in summary.positions:
                await log.append(event, None, [], position=Position(source, value))
            held = await _hold(log, path, events)
            for event in events:
                await _hide(log, event, summary.hidden.get(event, []))
            return {event: (await log.lineage(event)).epoch for event in events}, held
        finally:
            await log.stop()
    finally:
        await archive.stop()


async def _hide(log: ILiveLog, event: str, ids: Sequence[str]) -> None:
    """Remove what organisers hid: the log was copied before it was asked what that is."""
    for start in range(0, len(ids), PAGE):
        await log.append(event, None, [Removed(id_) for id_ in ids[start : start + PAGE]])


async def _hold(log: ILiveLog, path: Path, events: Sequence[str]) -> dict[str, int]:
    """Hold back what was held back; how many items that is in each event."""
    counts = dict.fromkeys(events, 0)
    event = ""
    for part in parse(lines(path)):
        if isinstance(part, Beginning):
            event = part.event
        elif isinstance(part, HeldBack):
            held = Held(part.item, part.version, part.reason, part.until)
            await log.hold(event, [held])
            if part.stopped:
                await log.stop_held(event, [part.held])
            counts[event] += 1
    return counts


async def _filled(log: ILiveLog, beginnings: Sequence[Beginning], reactor: Any) -> None:
    """Wait until the log has what the archive has; it asks again by itself while that does not answer."""
    deadline = reactor.seconds() + PATIENCE_S
    for begun in beginnings:
        while (await log.head(begun.event)).seq < begun.head:
            if reactor.seconds() > deadline:
                raise Refused(
                    f"the archive has everything, but the live log of {begun.event} could not be filled from "
                    f"it ({log.check().detail}). Give the same backup again once that is mended"
                )
            await deferLater(reactor, LOOK_S)


COMMAND = Command(
    name="restore",
    summary="put a backup back into empty stores",
    description=_DESCRIPTION,
    arguments=_arguments,
    run=_run,
)
