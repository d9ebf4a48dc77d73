"""A simulated upstream in a child process, told over HTTP what to do."""

from __future__ import annotations

import sys
import urllib.parse
import urllib.request

from tests.servers.afeed import PROJECT
from tests.servers.process import ServerProcess, answers, free_port, wait_until


class Simulator(ServerProcess):
    """One of ``python -m tests.simulators``."""

    def __init__(self, kind: str, *arguments: str) -> None:
        super().__init__(f"simulated-{kind}")
        self.port = free_port()
        self._command = [
            sys.executable, "-m", "tests.simulators", kind, "--port", str(self.port), *arguments
        ]  # fmt: skip

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.spawn(self._command, env={"PYTHONPATH": str(PROJECT)})
        wait_until(lambda: answers(self.port), f"the simulator to listen; it said: {self.output()}")

    def control(self, action: str, **members: str) -> str:
        """What the simulator answers; raises :class:`urllib.error.HTTPError` when it cannot do that."""
        body = urllib.parse.urlencode(members).encode()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{self.url}/control/{action}", data=body, timeout=60) as answer:
            told: bytes = answer.read()
        return told.decode().strip()
