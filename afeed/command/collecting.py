"""One consistent state of an event, out of a live log and an archive that go on working."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryFile
from typing import NamedTuple

from afeed.archive.bulk import PAGE, Snapshot, snapshot
from afeed.command.program import Refused
from afeed.core.backup import Beginning, Composer, HeldBack, Hole
from afeed.core.change import EDITED, POSTED, REMOVED, Change
from afeed.core.cursor import Cursor
from afeed.core.draft import key
from afeed.core.straining import continues
from afeed.livelog.taken import Moved, Reader, Taken

#: How often an event is read anew when it is changed under the reader's hands.
ATTEMPTS = 5

_RECORD = struct.Struct(">QI")


class Collected(NamedTuple):
    """What became of one event: how many changes it has, and items that are held back; ``remarks`` are for the
    operator."""

    beginning: Beginning
    changes: int
    held: int
    remarks: tuple[str, ...]


class Spool:
    """Changes put aside in a file without a name, which is gone when the process is."""

    def __init__(self, folder: Path) -> None:
        self._file = TemporaryFile(dir=folder, prefix=".afeed-backup-")  # noqa: SIM115 - closed by close

    def put(self, change: Change) -> None:
        """The next one."""
        self._file.write(_RECORD.pack(change.seq, len(change.stored)) + change.stored)

    def pages(self) -> Iterator[list[Change]]:
        """All of them, in order."""
        self._file.seek(0)
        page: list[Change] = []
        while head := self._file.read(_RECORD.size):
            seq, length = _RECORD.unpack(head)
            page.append(Change.decode(seq, self._file.read(length)))
            if len(page) == PAGE:
                yield page
                page = []
        if page:
            yield page

    def close(self) -> None:
        self._file.close()


def collect(
    archive_url: str,
    log: Reader,
    event: str,
    folder: Path,
    now: str,
    composer: Composer,
    progress: Callable[[str, int], object],
) -> Collected:
    """Give ``composer`` one event: all changes up to the head that its log has at one moment, as they are then.

    The archive is looked at before the log, so that the log goes on from where the archive ends; what the log
    removes after that point is removed from the archive's part as well.  All is put aside in ``folder`` first:
    composing takes its time, and a database that is read as it was cannot tidy up.  ``now`` is an RFC 3339
    time; ``progress(step, count)`` hears how far each step is.
    """
    for attempt in range(1, ATTEMPTS + 1):
        with closing(Spool(folder)) as archived, closing(Spool(folder)) as logged:
            removed: dict[bytes, int] = {}
            with snapshot(archive_url) as archive:
                stored = archive.position(event)
                after = stored.seq if stored is not None else 0
                try:
                    taken = log.take(event, after, _noting(logged, removed))
                except Moved:
                    if attempt == ATTEMPTS:
                        raise
                    continue
                # Trimmed meanwhile, behind an archive that has more by now; or lost, if that does not change.
                if taken is not None and taken.first > after + 1 and attempt < ATTEMPTS:
                    continue
                beginning, remarks = _beginning(event, archive, taken, after, now)
                _copy(archive, event, archived, progress)
            composer.begin(beginning)
            count = _write(composer, (archived, logged), removed, progress)
            held = [one for one in taken.held if key(one.item.id) not in removed] if taken is not None else []
            for one in held:
                composer.hold(HeldBack(held=one.item.id, **one._asdict()))
            return Collected(beginning, count, len(held), remarks)
    raise AssertionError("unreachable: the last attempt returns or raises")


def _noting(spool: Spool, removed: dict[bytes, int]) -> Callable[[Change], None]:
    """What puts changes into ``spool`` and where they remove items, by the items' keys, into ``removed``."""

    def put(change: Change) -> None:
        spool.put(change)
        if change.type == REMOVED and change.id is not None:
            removed[key(change.id)] = change.seq

    return put


def _copy(archive: Snapshot, event: str, spool: Spool, progress: Callable[[str, int], object]) -> None:
    count = 0
    for page in archive.pages(event):
        for change in page:
            spool.put(change)
        count += len(page)
        progress("out of the archive", count)


def _beginning(
    event: str, archive: Snapshot, taken: Taken | None, after: int, now: str
) -> tuple[Beginning, tuple[str, ...]]:
    stored = archive.position(event)
    holes = archive.holes(event)
    if taken is None:
        if stored is None:
            raise Refused(
                f"{event}: the live log had this event a moment ago, and now neither it nor the archive has. "
                "Was it emptied? Look at the live log, and try again"
            )
        remark = (
            f"{event}: the live log does not have this event, so this is what the archive has, up to change "
            f"{stored.seq}, without the positions of sources."
        )
        return (
            Beginning(
                event=event,
                epoch=stored.epoch,
                head=stored.seq,
                ancestors=archive.ancestors(event),
                holes=tuple(holes),
                positions={},
            ),
            (remark,),
        )
    if stored is not None and (
        taken.head < stored.seq or not continues(Cursor(*stored), taken.epoch, taken.ancestors)
    ):
        raise Refused(
            f"{event}: the archive is at {stored.epoch}:{stored.seq}, and the live log, at "
            f"{taken.epoch}:{taken.head}, does not go on from there. They may not belong together: is this the "
            "configuration that runs? If it is, start afeed, which settles it, and try again"
        )
    remarks = []
    if taken.first > after + 1:
        holes.append(Hole(after + 1, taken.first - 1, taken.epoch, now))
        remarks.append(
            f"{event}: changes {after + 1} to {taken.first - 1} are in neither the archive nor the live log; "
            "the backup is made without them."
        )
    return (
        Beginning(
            event=event,
            epoch=taken.epoch,
            head=taken.head,
            ancestors=taken.ancestors,
            holes=tuple(holes),
            positions=taken.positions,
        ),
        tuple(remarks),
    )


def _write(
    composer: Composer,
    spools: Sequence[Spool],
    removed: dict[bytes, int],
    progress: Callable[[str, int], object],
) -> int:
    count = 0
    for spool in spools:
        for page in spool.pages():
            composer.add(_without(page, removed))
            count += len(page)
            progress("into the backup", count)
    return count


def _without(page: list[Change], removed: dict[bytes, int]) -> Iterator[Change]:
    """``page`` without the content of items that are ``removed`` later; what follows that was restored."""
    for change in page:
        gone = False
        if change.type in (POSTED, EDITED) and change.id is not None:
            gone = change.seq < removed.get(key(change.id), 0)
        yield change.redacted() if gone else change
