"""What is measured: one afeed, fed by the X simulator, on one of the stores."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.feeder import TAG, TOKEN, Feeder
from tests.servers.afeed import AfeedServer
from tests.servers.process import free_port

_SOURCE = f'[[events.sources]]\ntype = "x"\nrule = "{TAG}"\n'


@contextmanager
def fed_server(
    live_log: str = "embedded", archive: str = "sqlite:///var/archive.sqlite3", event: str = ""
) -> Iterator[tuple[AfeedServer, Feeder]]:
    """A server that reads the stream of a feeder, both ended afterwards.  ``event`` is TOML for its event."""
    port = free_port()
    feeder = Feeder(port)
    server = AfeedServer(
        live_log=live_log,
        archive=archive,
        sources=_SOURCE + event,
        extra=f'[accounts.x]\nbearer_token_env = "AFEED_X"\napi_url = "{feeder.url}"\n',
        env={"AFEED_X": TOKEN},
    )
    try:
        # With a large archive beside an empty log it has that to fill first.
        server.start(600.0)
        feeder.wait_until_read()
        yield server, feeder
    finally:
        server.close()
        feeder.close()


def metric(server: AfeedServer, name: str) -> float:
    """The sum of a metric over its labels."""
    status, _, body = server.request("/metrics")
    assert status == 200, f"/metrics was answered {status}"
    lines = re.findall(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", body.decode(), re.MULTILINE)
    return sum(map(float, lines))


def wait_for(server: AfeedServer, head: int, *, archived: bool, seconds: float = 180.0) -> float:
    """Nanoseconds of the monotonic clock when the log had ``head`` changes, or the archive had them all; looked
    at ten times a second."""
    deadline = time.monotonic() + seconds
    while True:
        reached = metric(server, "afeed_log_head") >= head
        if reached and (not archived or metric(server, "afeed_strainer_lag_changes") == 0):
            return time.monotonic_ns()
        if time.monotonic() > deadline:
            raise TimeoutError(f"the {'archive' if archived else 'log'} did not get to {head} in {seconds:g} s")
        time.sleep(0.1)


def resident_mb(server: AfeedServer) -> float:
    """The server's resident memory in MB."""
    status = Path(f"/proc/{server.pid}/status").read_text("ascii")
    match = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert match is not None
    return int(match[1]) / 1024


def cpu_seconds(server: AfeedServer) -> float:
    """User and system time that the server has used."""
    fields = Path(f"/proc/{server.pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
