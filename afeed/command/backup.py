"""``afeed backup``: everything that is kept, in one file, while afeed runs."""

from __future__ import annotations

import argparse
from collections import deque
from pathlib import Path
from typing import Any

import afeed
from afeed.archive import kept
from afeed.archive.bulk import snapshot
from afeed.command.background import Background
from afeed.command.backup_file import lines, written
from afeed.command.collecting import collect
from afeed.command.logs import reading
from afeed.command.program import Command, Console, Environment, Refused, add_config
from afeed.config import load_store
from afeed.core.backup import Composer, Opening, parse
from afeed.core.change import timestamp

_DESCRIPTION = """\
Writes everything that afeed keeps into one file: of every event all changes, from
the archive and what only the live log has yet, its epoch and the epochs before it,
what it holds back, how far each source has read upstream, and what organisers did.
Content that was removed is not in it, but for what organisers hid and may restore;
neither is any secret of the configuration.

afeed may go on running, and waits for nothing; what is accepted before the backup
begins is in it.  Each event is first copied, uncompressed, into files without names
in the folder of OUT.  What is removed while an archive in SQLite is being copied is
in its write-ahead log until a second after that.

The file is compressed JSON lines (`zcat FILE | head`), is independent of the kinds of
live log and archive in use, is read through once before it gets its name, and may be
read by you alone.

  afeed backup --config /etc/afeed/afeed.toml /var/backups/afeed.jsonl.gz
  afeed backup --config /etc/afeed/afeed.toml /var/backups/

`afeed restore` puts it back.
"""


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    parser.add_argument(
        "--force", action="store_true", help="replace OUT if it exists, once the new backup is whole"
    )
    parser.add_argument(
        "out",
        metavar="OUT",
        type=Path,
        help="the file to write, or a folder, in which it is named after the time",
    )


def _run(asked: argparse.Namespace, console: Console, environment: Environment) -> None:
    store = load_store(asked.config, environment.environ)
    now = timestamp(environment.now())
    out: Path = asked.out
    if out.is_dir():
        out = out / f"afeed-{now[:19].replace('-', '').replace(':', '')}Z.jsonl.gz"
    if not out.parent.is_dir():
        raise Refused(f"there is no folder {out.parent}")
    if out.exists() and not (asked.force and out.is_file()):
        raise Refused(f"{out} exists already; name another file, or say --force to replace it")
    events: dict[str, Any] = {}
    with Background() as background, reading(store, background) as log:
        with snapshot(store.archive) as archive:
            slugs = sorted({*log.events(), *archive.events()})
            hidden = set(filter(None, map(kept.hidden, archive.rows())))
        if not slugs:
            raise Refused(
                "there is nothing to back up: neither the live log nor the archive has any event; is this the "
                "configuration that runs?"
            )
        with written(out, check=_check) as file:
            opening = Opening(created=now, afeed=afeed.__version__, events=tuple(slugs))
            composer = Composer(file.write, opening)
            for slug in slugs:
                collected = collect(
                    store.archive,
                    log,
                    slug,
                    out.parent,
                    now,
                    composer,
                    lambda step, count, slug=slug: console.progress(f"{slug}, {step}", count),  # type: ignore[misc]
                )
                for remark in collected.remarks:
                    console.remark(remark)
                events[slug] = {
                    "epoch": collected.beginning.epoch,
                    "head": collected.beginning.head,
                    "changes": collected.changes,
                    "held": collected.held,
                    "holes": [[hole.first, hole.last] for hole in collected.beginning.holes],
                    "sources": sorted(collected.beginning.positions),
                }
            # Last: what is hidden while the log is copied must not be in neither.
            with snapshot(store.archive) as archive:
                for row in archive.rows():
                    composer.row(row)
                    hidden.discard(kept.hidden(row) or ("", ""))
            closing = composer.close()
    if hidden:
        console.remark(
            f"Of what organisers had hidden, {len(hidden)} were shown again or forgotten while this backup was "
            "made, and may be missing in it; make another one if that matters."
        )
    size, total = out.stat().st_size, sum(closing.changes.values())
    of = "one event" if len(slugs) == 1 else f"{len(slugs)} events"
    console.result(
        f"{out} has {total:,} changes of {of}, in {size:,} bytes.",
        {
            "backup": str(out),
            "created": now,
            "bytes": size,
            "changes": total,
            "rows": closing.rows,
            "sha256": closing.sha256,
            "events": events,
        },
    )


def _check(path: Path) -> None:
    """What cannot be restored must not be taken for a backup."""
    deque(parse(lines(path)), maxlen=0)


COMMAND = Command(
    name="backup",
    summary="write everything that is kept into one file, while afeed runs",
    description=_DESCRIPTION,
    arguments=_arguments,
    run=_run,
)
