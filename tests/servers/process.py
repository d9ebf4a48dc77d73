"""Private server processes for tests: a free port, a temporary directory, and an end by process id."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from random import SystemRandom
from typing import BinaryIO

#: How long something that has to happen is waited for (seconds): long, for a machine that does much else.
PATIENCE_S = 60.0
#: Servers listen on ports from here on, up to those that the system gives to outgoing connections.
_FIRST_PORT, _LEAST_PORTS = 10_000, 5_000


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


_given: set[int] = set()


def free_port() -> int:
    """A TCP port on 127.0.0.1 on which nobody listens.

    It stays free until it is listened on, and between two starts of a server: it is none of those that the
    system gives to outgoing connections, and no other process of these tests gets it while this one lives.
    """
    for _ in range(1000):
        port = SystemRandom().randrange(_FIRST_PORT, _ports_end())
        if port in _given or not _reserved(port):
            continue
        _given.add(port)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:  # a program that has nothing to do with these tests
                continue
        return port
    raise AssertionError("no port is free on 127.0.0.1")


@cache
def _ports_end() -> int:
    """The first port that an outgoing connection may take; everything counts where that leaves too few."""
    first, last = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text("ascii").split()
    return int(first) if int(first) >= _FIRST_PORT + _LEAST_PORTS else int(last)


@cache
def _register() -> BinaryIO:
    """A file with a byte for every port, which is locked by the process that has it, until that ends."""
    return Path(tempfile.gettempdir(), f"afeed-test-ports-{os.getuid()}").open("ab")


def _reserved(port: int) -> bool:
    """Whether this process has ``port`` for itself now."""
    try:
        fcntl.lockf(_register(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True


def wait_until(condition: Callable[[], bool], what: str, seconds: float = PATIENCE_S) -> None:
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
        with socket.create_connection(("127.0.0.1", port), timeout=10):
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

    def wait(self, seconds: float = PATIENCE_S) -> int:
        """Its exit status, negative for a signal."""
        assert self._process is not None
        return self._process.wait(seconds)

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        if self.running:
            self.signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait(PATIENCE_S)

    def stop(self, seconds: float = 40.0) -> int | None:
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
