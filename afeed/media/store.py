"""The files, named after what is in them: ``<folder>/ab/cdef...<kind>``.

Everything here blocks: it is done in threads.  The same picture from two places is one file.  A file is
complete from the moment it has its name, also after ``kill -9`` or a power failure."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

import attrs

from afeed.core.pictures import KINDS

_NAME = re.compile(rf"(?P<hash>[0-9a-f]{{64}})\.(?P<kind>{'|'.join(KINDS)})\Z")
_FOLDER = re.compile(r"[0-9a-f]{2}\Z")
#: Files without a name yet are somebody's who died if they are older than this, in seconds.
_ABANDONED_S = 3600.0


@attrs.frozen
class Kept:
    """A file: the SHA-256 of its content, its kind (one of :data:`afeed.core.pictures.KINDS`) and its size in
    bytes."""

    sha256: bytes
    kind: str
    size: int

    @property
    def name(self) -> str:
        """How it is called in addresses."""
        return f"{self.sha256.hex()}.{self.kind}"

    @property
    def media_type(self) -> str:
        return KINDS[self.kind]


def parse_name(name: str) -> tuple[bytes, str] | None:
    """The hash and the kind in :attr:`Kept.name`, None for anything else."""
    match = _NAME.match(name)
    return None if match is None else (bytes.fromhex(match["hash"]), match["kind"])


class MediaStore:
    """The files below ``folder``, which is made when the first comes.  Several processes may share it.  What
    cannot be done raises :class:`OSError`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, sha: bytes, kind: str) -> Path:
        """Where a file is, or would be."""
        name = sha.hex()
        return self.folder / name[:2] / f"{name[2:]}.{kind}"

    def has(self, sha: bytes, kind: str) -> bool:
        return self.path(sha, kind).exists()

    def put(self, body: bytes, kind: str) -> Kept:
        """Keep ``body``; it is durable when this returns."""
        found = Kept(sha256(body).digest(), kind, len(body))
        path = self.path(found.sha256, kind)
        if path.exists():
            return found
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = self.folder / f"part-{secrets.token_hex(8)}"
        try:
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            part.rename(path)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise
        _sync(path.parent)
        return found

    def open(self, sha: bytes, kind: str) -> BinaryIO:
        """The file, to be read; :class:`FileNotFoundError` where it is not here."""
        return self.path(sha, kind).open("rb")

    def drop(self, sha: bytes, kind: str) -> None:
        """Delete a file, if it is there."""
        self.path(sha, kind).unlink(missing_ok=True)

    def names(self) -> Iterator[tuple[bytes, str]]:
        """Hash and kind of every file, folder by folder."""
        if not self.folder.is_dir():
            return
        for folder in sorted(self.folder.iterdir()):
            if _FOLDER.match(folder.name) and folder.is_dir():
                for file in sorted(folder.iterdir()):
                    found = parse_name(folder.name + file.name)
                    if found is not None:
                        yield found

    def sweep(self, now: float) -> int:
        """Delete what writers who died left; how much that was.  ``now`` is in seconds since 1970."""
        gone = 0
        for file in self.folder.glob("part-*") if self.folder.is_dir() else ():
            with suppress(FileNotFoundError):  # its writer has just given it a name
                if file.stat().st_mtime < now - _ABANDONED_S:
                    file.unlink()
                    gone += 1
        return gone


def _sync(folder: Path) -> None:
    """Make a new name in ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
