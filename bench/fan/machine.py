"""Programs to compile, cores to stay on, and processor time to the nanosecond."""

from __future__ import annotations

import atexit
import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from tests.servers.process import program

HERE = Path(__file__).parent

#: The server has one core to itself, all else the other.
SERVER_CORE, GENERATOR_CORE = 0, min(1, (os.cpu_count() or 1) - 1)


#: As many open files as anything here needs.
MOST_FILES = 65_536


def allow_files() -> int:
    """Let this process and those it starts open as many files as it may; how many that is."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return limit


@cache
def workshop() -> Path:
    """A directory for what is compiled and installed, removed when this process ends."""
    directory = Path(tempfile.mkdtemp(prefix="afeed-bench-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory


@cache
def compiled(name: str) -> Path:
    """The program made of ``name.c``."""
    target = workshop() / name
    command = [program("cc", "gcc", "clang"), "-O2", "-o", str(target), str(HERE / f"{name}.c")]
    subprocess.run(command, check=True)
    return target


@cache
def node_modules() -> Path:
    """A directory in which Node finds the library ws."""
    command = [
        program("npm"),
        "install",
        "--silent",
        "--no-audit",
        "--no-fund",
        "--prefix",
        str(workshop()),
        "ws",
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, f"npm could not install ws:\n{done.stdout}"
    return workshop()


def family(pid: int) -> list[int]:
    """``pid`` and all its descendants."""
    found = [pid]
    for member in found:
        children = Path(f"/proc/{member}/task/{member}/children")
        found.extend(map(int, children.read_text("ascii").split()))
    return found


def _threads(pids: Iterable[int]) -> list[Path]:
    return [thread for pid in pids for thread in Path(f"/proc/{pid}/task").iterdir()]


def pin(pids: Iterable[int], core: int) -> None:
    """Keep every thread of ``pids`` on ``core``."""
    for thread in _threads(pids):
        try:
            os.sched_setaffinity(int(thread.name), {core})
        except ProcessLookupError:
            continue  # it has ended meanwhile


def cpu_seconds(pids: Iterable[int]) -> float:
    """Processor time that the living threads of ``pids`` have used."""
    used = 0
    for thread in _threads(pids):
        try:
            used += int((thread / "schedstat").read_text("ascii").split()[0])
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended meanwhile
    return used / 1e9


def resident_kb(pids: Iterable[int]) -> float:
    """Memory of ``pids`` that is nobody else's, shared pages counted by share."""
    total = 0
    for pid in pids:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()
        total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return float(total)
