"""Files that are whole under their name, or not there at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def whole(path: Path, mode: int = 0o666, check: Callable[[Path], object] | None = None) -> Iterator[BinaryIO]:
    """What is written here becomes the file ``path`` when the block ends well and ``check``, given the complete
    file, does not raise: on the disk, then under its name, in one step.  After an exception nothing is left.
    ``mode`` says who may do what with it, less what the umask forbids."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with open(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if check is not None:
            check(unfinished)
        os.replace(unfinished, path)
    except BaseException:
        with suppress(FileNotFoundError):
            unfinished.unlink()
        raise
    sync(path.parent)


def sync(folder: Path) -> None:
    """Make what was named in ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
