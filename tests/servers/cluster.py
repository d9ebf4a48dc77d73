"""Several nodes that share a Redis and a PostgreSQL, as operators run them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.servers import postgresql
from tests.servers.afeed import AfeedServer
from tests.servers.nginx import SERVER_NAME
from tests.servers.process import wait_until
from tests.servers.redis import Redis
from tests.servers.simulator import Simulator

TOKEN = "simulated-token"

_X_SOURCE = """
[[events.sources]]
type = "x"
rule = "#rehearsal"
"""
_X_ACCOUNT = """
[accounts.x]
bearer_token_env = "AFEED_X_BEARER_TOKEN"
api_url = "{url}"
"""


class Cluster:
    """``count`` equal nodes and a ``redis`` of their own; ``x`` feeds them if it is given, and with
    ``behind_nginx`` they are configured as the head of ``etc/nginx.conf`` says."""

    def __init__(self, count: int, *, x: Simulator | None = None, behind_nginx: bool = False) -> None:
        self.redis = Redis()
        archive = postgresql.shared().create_database()
        self.nodes = [
            AfeedServer(
                live_log=self.redis.url,
                archive=archive,
                server='trusted_proxies = ["127.0.0.1/32"]',
                sources="" if x is None else _X_SOURCE,
                extra="" if x is None else _X_ACCOUNT.format(url=x.url),
                env={"AFEED_X_BEARER_TOKEN": TOKEN},
            )
            for _ in range(count)
        ]
        if behind_nginx:
            for node in self.nodes:
                text = node.config_path.read_text("utf-8")
                ours = f'public_url = "{node.url}"'
                assert ours in text
                node.config_path.write_text(
                    text.replace(ours, f'public_url = "https://{SERVER_NAME}"'), "utf-8"
                )

    def start(self) -> None:
        """Returns when all are ready."""
        self.redis.start()
        for node in self.nodes:
            node.launch()
        for node in self.nodes:
            node.wait_ready(60)

    def close(self) -> None:
        for server in (*self.nodes, self.redis):
            server.close()

    def leaders(self) -> list[AfeedServer]:
        """The running nodes that say that they run the sources."""
        return [node for node in self.nodes if node.running and metric(node, "afeed_leader") == 1]

    def wait_for_leader(self, *, other_than: AfeedServer | None = None) -> AfeedServer:
        """The node that leads, as soon as one says so and no other, which may not have heard yet that it was
        followed; ``other_than`` may not answer and is not asked."""
        found: list[AfeedServer] = []

        def there() -> bool:
            candidates = [node for node in self.nodes if node is not other_than and node.running]
            try:
                found[:] = [node for node in candidates if metric(node, "afeed_leader") == 1]
            except OSError:  # one that was just started does not listen yet
                return False
            return len(found) == 1

        wait_until(there, "one node to run the sources")
        return found[0]

    @contextmanager
    def told_on_failure(self) -> Iterator[None]:
        """What the nodes printed last, beside an assertion that fails."""
        try:
            yield
        except AssertionError as error:
            said = "\n".join(f"--- {node.url}:\n{node.output()[-3000:]}" for node in self.nodes)
            raise AssertionError(f"{error}\n{said}") from error


def metric(node: AfeedServer, name: str) -> float:
    """The sum over all labels; raises :class:`OSError` when nobody answers."""
    text = node.request("/metrics")[2].decode()
    return sum(map(float, re.findall(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", text, re.MULTILINE)))


def check(node: AfeedServer, name: str) -> dict[str, Any]:
    """One check of ``/healthz``."""
    told: dict[str, Any] = json.loads(node.request("/healthz")[2])["checks"][name]
    return told
