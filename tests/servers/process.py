"""Private server processes for tests: a free port, a temporary directory, and an end by process id."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


class MissingProgram(Exception):
    """A program that these tests need is not installed; ``make test`` installs it where it may."""


def program(*names: str) -> str:
    """The path of the first of ``names`` that exists (absolute paths are looked at as they are)."""
    for name in names:
        found = shutil.which(name)
        if found is not None:
            return found
    raise MissingProgram(
        f"none of {', '.join(names)} is installed: run `make test` as a user who may install it"
    )


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    """Return as soon as ``condition()`` holds; raise :class:`AssertionError` naming ``what`` at the deadline.

    For the tests' own thread, before a reactor runs or beside one; never call it in reactor code.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s in vain for {what}")
        time.sleep(0.02)


def answers(port: int) -> bool:
    """Whether something accepts connections on 127.0.0.1:``port``."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


class ServerProcess:
    """One child process in its own session, with its output in a file and a directory of its own."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.directory = Path(tempfile.mkdtemp(prefix=f"afeed-test-{name}-"))
        self.output_path = self.directory / "output.log"
        self._process: subprocess.Popen[bytes] | None = None

    def spawn(
        self, arguments: Sequence[str], *, env: Mapping[str, str] | None = None, user: str | None = None
    ) -> None:
        """Start the process; its stdout and stderr go to ``output_path``."""
        with self.output_path.open("ab") as output:
            self._process = subprocess.Popen(
                list(arguments),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.directory,
                env=None if env is None else dict(env),
                user=user,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} was never started"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def output(self) -> str:
        """What it has printed so far."""
        return self.output_path.read_text("utf-8", "replace") if self.output_path.exists() else ""

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self, seconds: float = 20.0) -> int:
        """Its exit status, negative for a signal."""
        assert self._process is not None
        return self._process.wait(seconds)

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        if self.running:
            self.signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait(20)

    def stop(self, seconds: float = 20.0) -> int | None:
        """SIGTERM, wait, SIGKILL at the deadline.  Returns the exit status."""
        if self._process is None:
            return None
        if self.running:
            self.signal(signal.SIGTERM)
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return self._process.returncode

    def close(self) -> None:
        """Stop it and remove its directory."""
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)
