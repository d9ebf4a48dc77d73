"""A private Redis: a free port, its own directory, and restarts that keep or lose its data."""

from __future__ import annotations

import atexit
import subprocess
from pathlib import Path
from urllib.parse import quote

from tests.servers.process import ServerProcess, free_port, program, wait_until


class Redis(ServerProcess):
    """``append_only`` makes it keep every write on disk before it answers."""

    def __init__(self, *, append_only: bool = True, password: str | None = None) -> None:
        super().__init__("redis")
        self.port = free_port()
        self._password = password
        self._append_only = append_only
        self._options: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        return self.url_of(0)

    def url_of(self, db: int) -> str:
        """The URL of database ``db``, of which there are 64."""
        login = f":{quote(self._password, safe='')}@" if self._password else ""
        return f"redis://{login}127.0.0.1:{self.port}/{db}"

    def start(self, *options: str) -> None:
        """Return when it has loaded its data and answers; ``options`` are more of redis-server's own."""
        arguments = [program("redis-server"), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        arguments += ["--dir", str(self.directory), "--databases", "64", "--appendfsync", "always"]
        arguments += ["--appendonly", "yes" if self._append_only else "no"]
        arguments += ["--requirepass", self._password] if self._password else []
        self.spawn([*arguments, *options])
        wait_until(self._ready, f"Redis to start: {self.output()}")

    def start_tls(self, certificate: Path, key: Path, *options: str) -> str:
        """Start with a second port that speaks TLS; returns the URL of that, on 127.0.0.1."""
        port = free_port()
        files = ("--tls-cert-file", str(certificate), "--tls-key-file", str(key), "--tls-ca-cert-file")
        self.start(
            "--tls-port", str(port), *files, str(certificate), *(options or ("--tls-auth-clients", "no"))
        )
        return f"rediss://127.0.0.1:{port}/0"

    def start_sentinel(self, configuration: str) -> None:
        """Start as a sentinel instead, with the file ``configuration`` in ``directory``."""
        self.spawn([program("redis-server"), configuration, "--sentinel"])
        wait_until(self._ready, f"the sentinel to start: {self.output()}")

    def restart(self, *options: str, lose: bool = False) -> None:
        """Kill it and start it again, without its data if ``lose``."""
        self.kill()
        if lose:
            self.lose()
        self.start(*options)

    def lose(self) -> None:
        """Delete everything it had written (it must not be running)."""
        for path in self.directory.rglob("*"):
            if path.is_file() and path != self.output_path:
                path.unlink()

    def cli(self, *command: str, db: int = 0) -> str:
        """What redis-cli prints for ``command``."""
        login = ["--no-auth-warning", "-a", self._password] if self._password else []
        address = ["-p", str(self.port), "-n", str(db)]
        done = subprocess.run(
            [program("redis-cli"), *address, *login, *command], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def _ready(self) -> bool:
        if not self.running:
            raise AssertionError(f"Redis did not start:\n{self.output()}")
        login = ["--no-auth-warning", "-a", self._password] if self._password else []
        done = subprocess.run(
            [program("redis-cli"), "-p", str(self.port), *login, "ping"],
            capture_output=True,
            text=True,
            check=False,
        )
        return "PONG" in done.stdout


_shared: list[Redis] = []


def shared() -> Redis:
    """One running server for all tests of this process, stopped at its end: take a database each, or empty it
    first."""
    if not _shared:
        server = Redis()
        atexit.register(server.close)
        server.start()
        _shared.append(server)
    return _shared[0]
