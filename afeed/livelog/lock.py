"""The data directory belongs to one process at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from afeed.core.errors import DirectoryInUse


def hold(directory: Path) -> Callable[[], None]:
    """Lock ``directory`` (made if absent, for nobody but this user) for this process and return the function
    that releases it.

    The lock is on the file ``lock`` in it, which names the holder's process id.  The system releases it when
    the process ends, however it ends, so a file left behind means nothing.  Raises
    :class:`~afeed.core.errors.DirectoryInUse` while somebody else holds it, and :class:`OSError` where the
    directory or the file cannot be made.  A daemon must call this after its last fork.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        raise DirectoryInUse(
            f"{directory} is in use by process {holder}: stop that one, or give this one another data_dir"
        ) from None
    except OSError:
        os.close(descriptor)
        raise
    with contextlib.suppress(OSError):
        # The number is for people; on a full disk there is no room for it, and the lock holds all the same.
        os.ftruncate(descriptor, 0)
        os.write(descriptor, b"%d\n" % os.getpid())

    def release() -> None:
        nonlocal descriptor
        if descriptor >= 0:
            os.close(descriptor)
            descriptor = -1

    return release
