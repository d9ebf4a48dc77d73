"""A real ``twistd afeed`` in a child process, with a configuration of its own, for tests from outside.

::

    server = AfeedServer()
    server.start()                                  # returns once /readyz says 200
    server.push({"id": "1", "text": "hello"})       # durable when it returns
    server.kill(); server.start()                   # the same data directory and port
    server.close()

All methods block: call them from a test's own thread, never in reactor code.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from pathlib import Path
from typing import Any

from tests.servers.process import PATIENCE_S, ServerProcess, free_port, wait_until

PROJECT = Path(__file__).resolve().parents[2]
PUSH_TOKEN = "a-push-token-for-tests-only"
SLUG = "rehearsal"


class Refused(AssertionError):
    """afeed answered with another status than the one hoped for."""


class AfeedServer(ServerProcess):
    """One node with one event that takes pushes (and whatever ``extra`` adds to its TOML).

    ``twistd`` is the program to run and ``path`` what PYTHONPATH holds: by default the ``twistd`` beside this
    Python and the source tree; give the program of another environment and ``path=None`` to test an installed
    package. ``live_log``, ``archive`` and ``data_dir`` are the settings of ``[store]``; ``store``, ``server``
    and ``sources`` are TOML added to ``[store]``, to ``[server]`` and after the event's push source."""

    def __init__(
        self,
        *,
        twistd: Sequence[str] | None = None,
        path: Path | None = PROJECT,
        live_log: str = "embedded",
        archive: str = "sqlite:///var/archive.sqlite3",
        data_dir: str = "var",
        store: str = "",
        server: str = "",
        sources: str = "",
        extra: str = "",
        env: Mapping[str, str] | None = None,
        name: str = "The Rehearsal",
        hashtags: Sequence[str] = ("#rehearsal",),
    ) -> None:
        super().__init__("afeed")
        self.port = free_port()
        self.slug = SLUG
        self.archive = archive
        #: The beginning of a command for programs that are to see the node's files where it does.
        self.within: Sequence[str] = ()
        self.live_log = live_log
        self._accepted = 0
        self._twistd = list(twistd or [str(Path(sys.executable).with_name("twistd"))])
        self._path = path
        self._env = dict(env or {})
        self.config_path = self.directory / "afeed.toml"
        today = datetime.now(UTC).date()
        self.config_path.write_text(
            f"""\
[server]
listen = ["tcp:{self.port}:interface=127.0.0.1"]
public_url = "{self.url}"
{server}

[store]
data_dir = {json.dumps(data_dir)}
live_log = {json.dumps(live_log)}
archive = {json.dumps(archive)}
{store}

[[events]]
slug = "{self.slug}"
name = {json.dumps(name)}
timezone = "UTC"
starts = {today - timedelta(days=1)}
ends = {today + timedelta(days=1)}
hashtags = {json.dumps(list(hashtags))}

[[events.sources]]
type = "push"
token_env = "AFEED_PUSH_TOKEN"
{sources}

{extra}
""",
            "utf-8",
        )

    @property
    def url(self) -> str:
        """Where it answers, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def launch(self) -> None:
        """Start it and return at once."""
        env = {**os.environ, "AFEED_PUSH_TOKEN": PUSH_TOKEN, "PYTHONUNBUFFERED": "1", **self._env}
        env.pop("PYTHONPATH", None)
        if self._path is not None:
            env["PYTHONPATH"] = str(self._path)
        command = [*self._twistd, "-n", "--pidfile=", "afeed", "--config", str(self.config_path)]
        self._accepted = 0
        self.spawn(command, env=env)

    def start(self, seconds: float = PATIENCE_S) -> None:
        """Start it and return once it is ready; raises :class:`AssertionError` with its output otherwise."""
        self.launch()
        self.wait_ready(seconds)

    def wait_ready(self, seconds: float = PATIENCE_S) -> None:
        """Return once /readyz answers 200."""

        def ready() -> bool:
            if not self.running:
                raise AssertionError(f"afeed ended with status {self.wait()}:\n{self.output()}")
            try:
                return self.request("/readyz")[0] == 200
            except OSError:
                return False

        try:
            wait_until(ready, "afeed to be ready", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.output()}") from None

    def restart(self) -> None:
        """SIGTERM and start again, on the same port with the same data."""
        self.stop()
        self.start()

    def request(
        self,
        path: str,
        *,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        seconds: float = PATIENCE_S,
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body of one request; raises :class:`OSError` when nobody answers."""
        request = urllib.request.Request(self.url + path, data=body, headers=dict(headers or {}), method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=seconds) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as answer:
            with answer:
                return answer.code, answer.headers, answer.read()
        except HTTPException as error:  # it ended in the midst of an answer
            raise ConnectionError(f"{method} {path}: {error!r}") from error

    def push(self, *items: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Publish ``items``; returns their results, in order, once they are durable.  Raises :class:`Refused`
        for any other answer than 201."""
        status, _, body = self.request(
            f"/{self.slug}/items",
            method="POST",
            body=json.dumps(list(items)).encode(),
            headers={"Authorization": f"Bearer {PUSH_TOKEN}", "Content-Type": "application/json"},
        )
        if status != 201:
            raise Refused(f"push was answered {status}: {body!r}")
        results: list[dict[str, Any]] = json.loads(body)["results"]
        self._accepted = max([self._accepted, *(result["seq"] or 0 for result in results)])
        return results

    def updates(self, since: str | None = None, *, wait: int = 0, limit: int = 200) -> dict[str, Any]:
        """One answer of ``GET /<slug>/updates``."""
        query = f"?wait={wait}&limit={limit}" + ("" if since is None else f"&since={since}")
        status, _, body = self.request(f"/{self.slug}/updates{query}")
        if status != 200:
            raise Refused(f"updates was answered {status}: {body!r}")
        answer: dict[str, Any] = json.loads(body)
        return answer

    def changes(self, upto: int = 0) -> list[dict[str, Any]]:
        """The whole log of the event, as clients see it, as soon as this node shows ``upto`` and all that was
        accepted by :meth:`push` since it was started: in a flood a node rests for some milliseconds before it
        shows what is durable, and what others accepted it hears of a moment later."""
        found: list[dict[str, Any]] = []

        least = max(upto, self._accepted)

        def there() -> bool:
            found[:] = self._changes()
            return not least or (bool(found) and found[-1]["seq"] >= least)

        wait_until(there, f"change {least} to be shown at {self.url}")
        return found

    def _changes(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        cursor = "0"
        while True:
            answer = self.updates(cursor)
            assert answer["gap"] is None, answer["gap"]
            found.extend(answer["changes"])
            cursor = answer["cursor"]
            if not answer["more"]:
                return found
