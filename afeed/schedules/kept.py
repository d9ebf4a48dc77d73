"""The last good version of each event's schedule, on disk: a restart must not depend on a server far away, and
what a talk's earlier ids were is known nowhere else."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from afeed.core.schedule.model import Schedule
from afeed.schedules.origin import Mark


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule in use: what was asked of whom, in which format it came, when (Unix seconds), with which
    warnings."""

    schedule: Schedule
    asked: str
    format: str
    read_at: float
    mark: Mark
    warnings: tuple[str, ...] = ()


_decoder = msgspec.json.Decoder(Kept)


class Shelf:
    """One file for each event in ``folder``.  Its methods do I/O and belong into a thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, slug: str) -> Kept | None:
        """What was stored last; None where there is nothing.  Raises :class:`OSError`, or
        :class:`msgspec.DecodeError` for a file that is damaged."""
        try:
            data = self._path(slug).read_bytes()
        except FileNotFoundError:
            return None
        return _decoder.decode(data)

    def store(self, slug: str, kept: Kept) -> None:
        """Replace it in one step: whoever is killed meanwhile leaves the old or the new version, whole."""
        write_whole(self._path(slug), msgspec.json.encode(kept))

    def _path(self, slug: str) -> Path:
        return self._folder / f"{slug}.json"


def write_whole(path: Path, data: bytes) -> None:
    """Put ``data`` into the file ``path`` in one step and for good, and make its folder if there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    fresh.replace(path)
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
