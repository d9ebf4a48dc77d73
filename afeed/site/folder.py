"""The folder of a copy: there as a whole, or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from afeed.core.errors import AfeedError

#: What tells that a folder is such a copy, and may be replaced by another.
MARK = ".afeed-site.json"
#: What a copy that was not finished leaves to the next: fetching pictures takes longest.
KEPT = "images"


class InTheWay(AfeedError):
    """There is something else where the copy is to be."""


@contextmanager
def replaced(folder: Path, mark: Mapping[str, object]) -> Iterator[Path]:
    """A new folder, ``<folder>.partial``, which becomes ``folder`` when the block ends well.

    What is there already is replaced if it is empty or an earlier copy of the same event, as ``mark["event"]``
    says; raises :class:`InTheWay` for anything else, also at ``<folder>.earlier``, where the old copy is for a
    moment.  If ``folder`` is a symbolic link, all this happens where it leads.  If the block fails, or the
    process is killed, the earlier copy stays as it was, and pictures that were fetched are there for the next
    attempt.
    """
    if folder.is_symlink():
        folder = folder.resolve()
    earlier = folder.with_name(f"{folder.name}.earlier")
    _look(folder, mark)
    _look(earlier, mark)
    partial = folder.with_name(f"{folder.name}.partial")
    if partial.exists():
        _look(partial, mark)
        _clear(partial, but=(KEPT, MARK))
    partial.mkdir(parents=False, exist_ok=True)
    (partial / MARK).write_text(json.dumps({**mark, "finished": False}) + "\n", "utf-8")
    yield partial
    (partial / MARK).write_text(json.dumps({**mark, "finished": True}) + "\n", "utf-8")
    if folder.exists():
        _remove(earlier)
        os.replace(folder, earlier)
    os.replace(partial, folder)
    _remove(earlier)


def _look(folder: Path, mark: Mapping[str, object]) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise InTheWay(f"{folder} is a file; name a folder")
    names = [entry.name for entry in folder.iterdir()]
    if not names:
        return
    try:
        found = json.loads((folder / MARK).read_text("utf-8"))
        event = found["event"]
    except (OSError, ValueError, LookupError, TypeError):
        raise InTheWay(
            f"{folder} is not empty and no copy of an event; name another folder, or empty it"
        ) from None
    if event != mark["event"]:
        raise InTheWay(f"{folder} has a copy of {event}; name another folder for {mark['event']}")


def _remove(copy: Path) -> None:
    """Delete a copy, if it is there; its mark last, so that the rest is known for what it is."""
    with suppress(FileNotFoundError):
        _clear(copy, but=(MARK,))
        shutil.rmtree(copy)


def _clear(folder: Path, but: tuple[str, ...]) -> None:
    for entry in folder.iterdir():
        if entry.name in but:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
