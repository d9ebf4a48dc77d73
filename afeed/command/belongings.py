"""Whom belongs what root makes in the folders of afeed's stores: afeed itself has to write to it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from afeed.archive.backends import SQLITE, parse_url
from afeed.settings import Store


class Belongings:
    """What is there of the folders and files of ``store`` at the moment, so that what is made from now on is
    known."""

    def __init__(self, store: Store) -> None:
        self._data_dir = store.data_dir
        url, backend = parse_url(store.archive)
        self._archive = Path(url.database or "") if backend is SQLITE else None
        folders = (store.data_dir, *store.data_dir.parents)
        self._missing = [folder for folder in reversed(folders) if not folder.exists()]
        self._before = set(self._files())

    def hand_over(self, remark: Callable[[str], object]) -> None:
        """If this is root, give what was made since to the owners of the folders it is in, those that were made
        included.  ``remark`` is told of what the operator has to do."""
        if os.geteuid() != 0:
            return
        try:
            for folder in self._missing:
                _give(folder)
            for path in self._files():
                if path not in self._before:
                    _give(path)
            if self._missing and self._data_dir.is_dir() and self._data_dir.stat().st_uid == 0:
                remark(
                    f"{self._data_dir} was made and belongs to root, like the folder it is in. If afeed runs "
                    f"as another user, say `chown -R USER {self._missing[0]}` before you start it."
                )
        except OSError as error:
            remark(
                f"{error.filename or self._data_dir} may belong to root ({error.strerror}): see that the user "
                "who runs afeed can write to it before you start it."
            )

    def _files(self) -> Iterator[Path]:
        if self._data_dir.is_dir():
            yield from self._data_dir.iterdir()
        archive = self._archive
        if archive is not None and archive.parent != self._data_dir and archive.parent.is_dir():
            # With what SQLite puts beside it.
            yield from (path for path in archive.parent.iterdir() if path.name.startswith(archive.name))


def _give(path: Path) -> None:
    """Give ``path`` to the owner of its folder if it is there and root's."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if found.st_uid == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
