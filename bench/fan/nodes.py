"""More than one core: two nodes on one Redis behind one port."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from bench.fan.contenders import Contender, Target, afeed_target, responds
from bench.fan.load import Run, measure, medians, started
from bench.fan.machine import GENERATOR_CORE, HERE, SERVER_CORE, family, pin
from bench.fan.measures import most_clients
from bench.plan import Plan, in_turn
from bench.table import Table, spread
from tests.servers.afeed import AfeedServer
from tests.servers.nginx import NginxServer, replace_once
from tests.servers.postgresql import PostgreSQL
from tests.servers.process import free_port, wait_until
from tests.servers.redis import Redis

CLIENTS, ITEMS = 4_000, 200


class PlainNginx(NginxServer):
    """The project's nginx, without TLS and with room for many viewers."""

    def __init__(self, node_ports: Sequence[int]) -> None:
        super().__init__(node_ports)
        main = self.directory / "main.conf"
        room = "worker_rlimit_nofile 65536;\nevents { worker_connections 30000; }"
        main.write_text(
            replace_once(main.read_text("utf-8"), "events { worker_connections 4096; }", room), "utf-8"
        )

    def _configuration(self, node_ports: Sequence[int]) -> str:
        text = super()._configuration(node_ports)
        return replace_once(
            text, f"listen 127.0.0.1:{self.port} ssl http2;", f"listen 127.0.0.1:{self.port} backlog=4096;"
        )


class Nodes(Contender):
    """``count`` nodes on one Redis and one PostgreSQL: ``shared`` with SO_REUSEPORT on one port, else behind
    nginx if it is ``behind``, else the only one.  The first has the server's core, all else the other."""

    def __init__(self, title: str, count: int, *, shared: bool = False, behind: bool = False) -> None:
        super().__init__()
        self.title = title
        self._count = count
        self._shared = shared
        self._behind = behind
        self._nodes: list[AfeedServer] = []
        self._nginx: list[NginxServer] = []

    def start(self) -> Target:
        self._nodes, self._nginx = [], []
        redis, postgresql = Redis(), PostgreSQL()
        self.servers += [redis, postgresql]
        redis.start()
        postgresql.start()
        archive = postgresql.create_database()
        port = free_port()
        for _ in range(self._count):
            node = self._node(redis.url, archive, port)
            self.servers.append(node)
            self._nodes.append(node)
            node.launch()
        for node in self._nodes:
            node.wait_ready()
        if self._behind:
            nginx = PlainNginx([node.port for node in self._nodes])
            self.servers.append(nginx)
            self._nginx.append(nginx)
            nginx.start()
            wait_until(lambda: responds(nginx.port), "nginx to answer")
            return afeed_target(nginx.port)
        return afeed_target(port if self._shared else self._nodes[0].port)

    def _node(self, live_log: str, archive: str, port: int) -> AfeedServer:
        twistd = str(Path(sys.executable).with_name("twistd"))
        command = [sys.executable, str(HERE / "port.py"), str(port), twistd] if self._shared else None
        proxies = 'trusted_proxies = ["127.0.0.1/32"]' if self._behind else ""
        node = AfeedServer(live_log=live_log, archive=archive, twistd=command, server=proxies)
        text = node.config_path.read_text("utf-8")
        url = f'public_url = "{node.url}"'
        if self._shared:
            own = f'"tcp:{node.port}:interface=127.0.0.1"'
            text = replace_once(text, own, f'{own}, "systemd:domain=INET:index=0"')
            text = replace_once(text, url, f'public_url = "http://127.0.0.1:{port}"')
        elif self._behind:
            text = replace_once(
                text, url, 'public_url = "http://127.0.0.1"'
            )  # nginx passes the name on, no port
        node.config_path.write_text(text, "utf-8")
        return node

    def pids(self) -> list[int]:
        return [pid for node in self._nodes for pid in family(node.pid)]

    def beside(self) -> list[int]:
        return [pid for nginx in self._nginx for pid in family(nginx.pid)]

    def pin(self) -> None:
        for server in self.servers:
            pin(family(server.pid), GENERATOR_CORE)
        pin(family(self._nodes[0].pid), SERVER_CORE)


NODES = {
    "one": Nodes("one node", 1),
    "two": Nodes("two nodes, SO_REUSEPORT", 2, shared=True),
    "one-nginx": Nodes("one node behind nginx", 1, behind=True),
    "two-nginx": Nodes("two nodes behind nginx", 2, behind=True),
}


def nodes(plan: Plan) -> Table:
    """Deliveries a second of one node and of two."""
    clients = most_clients(CLIENTS * 2) // 2  # a viewer behind nginx takes two of its files
    items = ITEMS // (4 if plan.short else 1)

    def run(contender: Nodes) -> Run:
        with started(contender) as target:
            return measure(contender, target, "ws", clients=clients, items=items, flight=1)

    found = in_turn(plan, NODES, run)
    rows = []
    figures = {}
    for name, runs in found.items():
        rates = [run.deliveries / run.seconds for run in runs]
        rows.append(
            [
                NODES[name].title,
                spread(rates, 0),
                spread([run.p50_ms for run in runs]),
                spread([run.p99_ms for run in runs]),
                spread([run.cpu_us for run in runs], 2),
                spread([run.beside_us for run in runs], 2),
            ]
        )
        figures[name] = {**medians(runs), "rate": median(rates)}
    about = (
        f"{clients:,} WebSocket viewers, {items:,} items, each when everybody has the last; live log in Redis, "
        "archive in PostgreSQL (fsync=off, as in the tests). The first node has one core to itself; the "
        "second node, nginx, Redis, PostgreSQL and the generator share the other one, so on a machine of two "
        "cores two nodes cannot deliver twice as much. What they would do with cores of their own follows from "
        "the CPU us. " + plan.said()
    )
    columns = ("what", "deliveries /s", "p50 ms", "p99 ms", "CPU us a delivery, nodes", "CPU us, nginx")
    return Table("Several nodes behind one port", about, columns, rows, figures)
