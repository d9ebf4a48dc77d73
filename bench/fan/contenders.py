"""Who is measured: afeed whole, the servers people would take instead, and the least that is possible."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import attrs

from bench.fan.machine import HERE, SERVER_CORE, compiled, family, node_modules, pin
from tests.servers.afeed import PUSH_TOKEN, SLUG, AfeedServer
from tests.servers.process import ServerProcess, answers, free_port, program, wait_until
from tests.servers.redis import Redis

#: How long the text of an item is; what viewers get of it from afeed is about 600 bytes.
TEXT = 120

NCHAN = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")


@attrs.frozen
class Target:
    """How the generator reaches a server.  ``paths`` has, for each mode of the generator that the server
    knows, what viewers ask for; ``body`` is what is published, with ``{id}`` for its number."""

    port: int
    paths: Mapping[str, str]
    publish: str
    body: str
    marker: str
    token: str = "-"
    publish_port: int | None = None


class Contender:
    """A server to be started, measured and ended, with others that it needs."""

    #: What tables call it.
    title = ""

    def __init__(self) -> None:
        self.servers: list[ServerProcess] = []

    def start(self) -> Target:
        """Returns once it listens; :meth:`close` is called whatever came of it."""
        raise NotImplementedError

    def pids(self) -> list[int]:
        """The processes that serve viewers."""
        return family(self.servers[-1].pid)

    def beside(self) -> list[int]:
        """The processes before it, through which everything goes."""
        return []

    def pin(self) -> None:
        """Put every process on its core."""
        pin(self.pids(), SERVER_CORE)

    def output(self) -> str:
        """What its processes said last."""
        return "\n".join(f"{server.name}: {server.output()[-2000:]}" for server in self.servers)

    def close(self) -> None:
        while self.servers:
            self.servers.pop().close()


def afeed_target(port: int, query: str = "") -> Target:
    """An afeed that answers on ``port``."""
    joined = f"{query}&" if query else "?"
    return Target(
        port=port,
        paths={
            "ws": f"/{SLUG}/ws{query}",
            "sse": f"/{SLUG}/stream{query}",
            "poll": f"/{SLUG}/updates{joined}since={{}}&wait=25",
        },
        publish=f"/{SLUG}/items",
        body=json.dumps({"id": "{id}", "text": "x" * TEXT}),
        marker='"id":"push:',
        token=PUSH_TOKEN,
    )


class Afeed(Contender):
    """The complete program: durable log, JSON, limits, metrics, archive.  ``html`` asks for fragments, too;
    with ``redis``, the value of its ``appendfsync``, the log is in a Redis of its own."""

    def __init__(self, *, html: bool = False, redis: str | None = None) -> None:
        super().__init__()
        self.title = "afeed, HTML" if html else "afeed"
        self._query = "?render=html" if html else ""
        self._redis = redis

    def start(self) -> Target:
        live_log = "embedded"
        if self._redis is not None:
            redis = Redis()
            self.servers.append(redis)
            redis.start("--appendfsync", self._redis)
            live_log = redis.url
        server = AfeedServer(live_log=live_log)
        self.servers.append(server)
        server.start()
        return afeed_target(server.port, self._query)

    @property
    def server(self) -> AfeedServer:
        server = self.servers[-1]
        assert isinstance(server, AfeedServer)
        return server

    @property
    def kept_in(self) -> Path:
        """The directory in which the log is."""
        return self.servers[0].directory


@cache
def delivered_size() -> int:
    """How many bytes a WebSocket message of afeed has with one such item."""
    afeed = Afeed()
    try:
        target = afeed.start()
        afeed.server.push(json.loads(target.body.replace("{id}", "0" * 19)))
        (change,) = afeed.server.updates("0")["changes"]
    finally:
        afeed.close()
    message = {"type": "changes", "cursor": "abcdefgh:1000", "changes": [change]}
    return len(json.dumps(message, separators=(",", ":")))


def plain_body() -> str:
    """An item for the others, whose viewers get just what was published: as many bytes as afeed's get."""
    padding = "x" * (delivered_size() - len(json.dumps({"id": "0" * 19, "text": ""})))
    return json.dumps({"id": "{id}", "text": padding})


class Nginx(Contender):
    """nginx and its module nchan, one worker; ``page`` are the bytes of a file that it also serves."""

    title = "nginx + nchan"

    def __init__(self, page: bytes = b"") -> None:
        super().__init__()
        self._page = page

    def start(self) -> Target:
        assert NCHAN.exists(), "the module nchan of nginx is not installed: run `make bench`"
        server = ServerProcess("nchan")
        self.servers.append(server)
        port = free_port()
        server.directory.chmod(0o755)  # the worker is another user
        (server.directory / "page").write_bytes(self._page)
        template = (HERE / "peers" / "nchan.conf").read_text("utf-8")
        path = server.directory / "nginx.conf"
        path.write_text(template.format(module=NCHAN, directory=server.directory, port=port), "utf-8")
        server.spawn([program("nginx", "/usr/sbin/nginx"), "-p", str(server.directory), "-c", str(path)])
        _wait(server, port, responds)
        paths = {**dict.fromkeys(("ws", "sse", "nchan"), "/subscribe"), "get": "/page"}
        return Target(port=port, paths=paths, publish="/publish", body=plain_body(), marker='{"id": "')


class SendLoop(Contender):
    """A loop in C with one send for each viewer."""

    title = "C send loop"

    def start(self) -> Target:
        return self._run(str(compiled("sendloop")))

    def _run(self, *command: str, publish_port: int | None = None) -> Target:
        server = ServerProcess(self.title.split()[0])
        self.servers.append(server)
        port = free_port()
        server.spawn([*command, str(port), *([] if publish_port is None else [str(publish_port)])])
        _wait(server, port)
        return Target(
            port=port,
            paths={"ws": "/ws"},
            publish="/publish",
            body=plain_body(),
            marker='{"id": "',
            publish_port=publish_port,
        )


class Broadcast(SendLoop):
    """The Python library websockets with its broadcast()."""

    title = "websockets broadcast()"

    def start(self) -> Target:
        return self._run(sys.executable, str(HERE / "peers" / "broadcast.py"), publish_port=free_port())


class NodeWs(SendLoop):
    """Node's library ws."""

    title = "Node ws"

    def start(self) -> Target:
        script = node_modules() / "ws.mjs"
        script.write_text((HERE / "peers" / "ws.mjs").read_text("utf-8"), "utf-8")
        return self._run(program("node"), str(script))


#: By the names that figures and the command line have for them.
CONTENDERS: Mapping[str, Callable[[], Contender]] = {
    "afeed": Afeed,
    "html": lambda: Afeed(html=True),
    "nchan": Nginx,
    "websockets": Broadcast,
    "node": NodeWs,
    "c": SendLoop,
}


def responds(port: int) -> bool:
    """Whether a request to 127.0.0.1:``port`` is answered, with whatever status.  nginx listens before it has a
    worker, and only a worker answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/")
        connection.getresponse()
    except OSError:
        return False
    finally:
        connection.close()
    return True


def _wait(server: ServerProcess, port: int, there: Callable[[int], bool] = answers) -> None:
    def up() -> bool:
        assert server.running, f"{server.name} ended:\n{server.output()}"
        return there(port)

    wait_until(up, f"{server.name} to listen")
