"""A small disk of one's own, that can be filled, emptied, and made read-only.

It is a tmpfs in a mount namespace of a child process, so that no privileges are needed and nothing is left
behind.  Programs that are to use it are run there.
"""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from pathlib import Path

_SHELL = 'while read -r line; do if eval "$line"; then echo done; else echo failed; fi; done'

#: How to get there, and how others do.  With a user namespace first, which an ordinary user may make on most
#: systems; root may need none.
_WAYS = (
    (("unshare", "--map-root-user", "--mount"), ("nsenter", "--user", "--mount", "--preserve-credentials")),
    (("unshare", "--mount"), ("nsenter", "--mount")),
)


class SmallDisk:
    """``size`` is in bytes.  Raises :class:`AssertionError`, with what the system said, where it cannot be
    made.

    :ivar path: where it is, for programs whose command begins with ``within``.
    """

    def __init__(self, size: int = 24_000_000) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="afeed-test-disk-"))
        said = []
        for way, entrance in _WAYS:
            self._shell = subprocess.Popen(
                [*way, "sh", "-c", _SHELL],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            try:
                self.do(f"mount -t tmpfs -o size={size},mode=0700 tmpfs {self.path}")
            except (AssertionError, OSError) as error:
                said.append(f"{' '.join(way)}: {error}")
                self._end()
            else:
                self.within = (*entrance, "--target", str(self._shell.pid))
                break
        else:
            self.path.rmdir()
            raise AssertionError(f"a disk cannot be made here, which these tests need: {'; '.join(said)}")

    def fill(self) -> None:
        """Leave not a byte."""
        self.do(f"! cat /dev/zero 2>&- >> {self.path}/ballast")

    def free(self) -> None:
        """Give back what :meth:`fill` took."""
        self.do(f"rm -f {self.path}/ballast")

    def remount(self, mode: str) -> None:
        """``ro`` or ``rw``; nobody may have a file open for writing."""
        self.do(f"mount -o remount,{mode} {self.path}")

    def close(self) -> None:
        self._end()
        self.path.rmdir()

    def do(self, command: str) -> None:
        """Run a line of shell there; raises :class:`AssertionError` when it fails."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(command + "\n")
        self._shell.stdin.flush()
        said = []
        for line in self._shell.stdout:
            if line == "done\n":
                return
            said.append(line.strip())
            if line == "failed\n":
                break
        raise AssertionError(f"`{command}` said: {' '.join(said) or 'nothing'}")

    def _end(self) -> None:
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        with contextlib.suppress(OSError):
            self._shell.stdin.close()
        self._shell.wait(20)
        self._shell.stdout.close()
