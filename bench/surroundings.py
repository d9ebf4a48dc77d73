"""On what was measured: the machine and the versions."""

from __future__ import annotations

import json
import os
import platform
import re
import sqlite3
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from bench.fan.machine import allow_files, node_modules
from tests.servers.process import program

LIBRARIES = ("Twisted", "autobahn", "klein", "msgspec", "SQLAlchemy", "txredisapi", "psycopg")

_NGINX, _DEBIAN, _NODE, _REDIS = r"nginx/(\S+)", r"(?:\d+:)?([^+ ]+)", r"v(.+)", r"v=(\S+)"


def surroundings() -> dict[str, str]:
    """What the figures depend on, by name."""
    others = [
        f"nginx {_said([program('nginx', '/usr/sbin/nginx'), '-v'], _NGINX)}",
        f"nchan {_said(['dpkg-query', '-W', '-f=${Version}', 'libnginx-mod-nchan'], _DEBIAN)}",
        f"Node {_said([program('node'), '--version'], _NODE)}",
        f"ws {json.loads((node_modules() / 'node_modules/ws/package.json').read_text('utf-8'))['version']}",
        f"Redis {_redis()}",
        f"SQLite {sqlite3.sqlite_version}",
    ]
    return {
        "machine": f"{os.cpu_count()} cores of {_processor()}",
        "kernel": f"Linux {platform.release()}",
        "open files (ulimit -n)": f"{allow_files():,}",
        "Python": _python("websockets"),
        "others": ", ".join(others),
    }


def in_a_line() -> str:
    """The same for what needs none of the other contenders: when, where and with what."""
    return (
        f"{datetime.now(UTC):%Y-%m-%d}; {os.cpu_count()} cores of {_processor()}, Linux {platform.release()}; "
        f"Python {_python()}; Redis {_redis()}. "
        "The server, the simulator, the viewers and the databases share the machine."
    )


def _python(*more: str) -> str:
    libraries = ", ".join(f"{name} {version(name)}" for name in (*LIBRARIES, *more))
    return f"{platform.python_version()}, {libraries}"


def _redis() -> str:
    return _said([program("redis-server"), "--version"], _REDIS)


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.machine())


def _said(command: Sequence[str], pattern: str) -> str:
    """What ``pattern`` finds in what ``command`` says."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True)
    match = re.search(pattern, done.stdout)
    assert match is not None, f"{command} said {done.stdout!r}"
    return match[1].strip()
