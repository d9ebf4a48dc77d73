"""Who is measured: afeed whole, the servers people would take instead, and the least that is possible."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping

import attrs

from bench.fan.machine import HERE, compiled, family, node_modules
from tests.servers.afeed import PUSH_TOKEN, SLUG, AfeedServer
from tests.servers.process import ServerProcess, answers, free_port, program, wait_until

#: How long the text of an item is; what viewers get of it from afeed is about 600 bytes.
TEXT = 120


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
    """A server to be started, measured and ended.  ``size`` is how many bytes its viewers get for an item."""

    name = ""

    def __init__(self, size: int) -> None:
        self.size = size
        self.server: ServerProcess

    def start(self) -> Target:
        raise NotImplementedError

    def pids(self) -> list[int]:
        """All its processes."""
        return family(self.server.pid)

    def close(self) -> None:
        self.server.close()

    def _body(self) -> str:
        number = "0" * 19
        padding = "x" * (self.size - len(json.dumps({"id": number, "text": ""})))
        return json.dumps({"id": "{id}", "text": padding})


class Afeed(Contender):
    """The complete program: durable log, JSON, limits, metrics, archive.  ``html`` asks for fragments, too."""

    def __init__(self, *, html: bool = False, live_log: str = "embedded") -> None:
        super().__init__(0)
        self.name = "afeed" + (", HTML" if html else "") + ("" if live_log == "embedded" else ", Redis")
        self._query = "?render=html" if html else ""
        self._live_log = live_log

    def start(self) -> Target:
        self.server = server = AfeedServer(live_log=self._live_log)
        server.start()
        joined = f"{self._query}&" if self._query else "?"
        return Target(
            port=server.port,
            paths={
                "ws": f"/{SLUG}/ws{self._query}",
                "sse": f"/{SLUG}/stream{self._query}",
                "poll": f"/{SLUG}/updates{joined}since={{}}&wait=25",
            },
            publish=f"/{SLUG}/items",
            body=json.dumps({"id": "{id}", "text": "x" * TEXT}),
            marker='"id":"push:',
            token=PUSH_TOKEN,
        )


def delivered_size() -> int:
    """How many bytes a WebSocket message of afeed has with one such item."""
    afeed = Afeed()
    target = afeed.start()
    try:
        assert isinstance(afeed.server, AfeedServer)
        afeed.server.push(json.loads(target.body.replace("{id}", "0" * 19)))
        (change,) = afeed.server.updates("0")["changes"]
    finally:
        afeed.close()
    message = {"type": "changes", "cursor": "abcdefgh:1000", "changes": [change]}
    return len(json.dumps(message, separators=(",", ":")))


class Nchan(Contender):
    """nginx and its module nchan, one worker."""

    name = "nginx + nchan"

    def start(self) -> Target:
        self.server = server = ServerProcess("nchan")
        port = free_port()
        server.directory.chmod(0o755)  # the worker is another user
        module = "/usr/lib/nginx/modules/ngx_nchan_module.so"
        template = (HERE / "peers" / "nchan.conf").read_text("utf-8")
        path = server.directory / "nginx.conf"
        path.write_text(template.format(module=module, directory=server.directory, port=port), "utf-8")
        server.spawn([program("nginx", "/usr/sbin/nginx"), "-p", str(server.directory), "-c", str(path)])
        _wait(server, port)
        paths = dict.fromkeys(("ws", "sse", "nchan"), "/subscribe")
        return Target(port=port, paths=paths, publish="/publish", body=self._body(), marker='{"id": "')


class SendLoop(Contender):
    """A loop in C with one send for each viewer."""

    name = "C send loop"

    def start(self) -> Target:
        return self._run(str(compiled("sendloop")))

    def _run(self, *command: str, publish_port: bool = False) -> Target:
        self.server = server = ServerProcess(self.name.split()[0])
        port = free_port()
        server.spawn([*command, str(port)])
        _wait(server, port)
        return Target(
            port=port,
            paths={"ws": "/ws"},
            publish="/publish",
            body=self._body(),
            marker='{"id": "',
            publish_port=port + 1 if publish_port else None,
        )


class Broadcast(SendLoop):
    """The Python library websockets with its broadcast()."""

    name = "websockets broadcast()"

    def start(self) -> Target:
        return self._run(sys.executable, str(HERE / "peers" / "broadcast.py"), publish_port=True)


class NodeWs(SendLoop):
    """Node's library ws."""

    name = "Node ws"

    def start(self) -> Target:
        script = node_modules() / "ws.mjs"
        script.write_text((HERE / "peers" / "ws.mjs").read_text("utf-8"), "utf-8")
        return self._run(program("node"), str(script))


def _wait(server: ServerProcess, port: int) -> None:
    def up() -> bool:
        assert server.running, f"{server.name} ended:\n{server.output()}"
        return answers(port)

    wait_until(up, f"{server.name} to listen")
