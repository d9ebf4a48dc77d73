"""A backup as a file: whole under its name, or not there at all."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from afeed.command.whole_file import whole
from afeed.core.backup import LONGEST_LINE
from afeed.core.errors import BadBackup

#: Of 1 to 9: beyond this gzip takes twice the time to save two percent.
_LEVEL = 6


@contextmanager
def written(path: Path, check: Callable[[Path], None]) -> Iterator[BinaryIO]:
    """What is written here becomes the gzip file ``path`` when the block ends well and ``check``, given the
    complete file, does not raise: on the disk, then under its name, in one step.  Nobody but this user may read
    it.  After an exception nothing is left."""
    with (
        whole(path, 0o600, check) as file,
        gzip.GzipFile("", "wb", compresslevel=_LEVEL, fileobj=file) as packed,
    ):
        yield cast(BinaryIO, packed)


def lines(path: Path) -> Iterator[bytes]:
    """The lines of the gzip file ``path``; raises :class:`~afeed.core.errors.BadBackup` where it is damaged and
    :class:`OSError` where it cannot be read."""
    with path.open("rb") as file:
        try:
            with gzip.GzipFile(fileobj=file, mode="rb") as packed:
                while line := packed.readline(LONGEST_LINE):
                    yield line
        except gzip.BadGzipFile as error:
            raise BadBackup(f"{path} is damaged, or no backup of afeed ({error})") from error
        except (EOFError, zlib.error) as error:
            raise BadBackup(f"{path} is damaged or not whole ({error})") from error
