"""``afeed forget`` beside a node, without one, and what is left of an author afterwards: nothing."""

from __future__ import annotations

import io
import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from afeed.command.forget import is_meant
from afeed.command.program import Console, Environment
from afeed.core.forgetting import EVERYWHERE
from tests.command.support import CommandTestCase, afeed, surroundings
from tests.servers import redis
from tests.servers.afeed import SLUG, AfeedServer
from tests.servers.process import wait_until

ANN = {"name": "Ann Quill", "handle": "annq"}
BOB = {"name": "Bob", "handle": "bob"}
#: What nobody is to find any more.
WORDS = (b"annq", b"Ann Quill", b"pigeons")


def post(number: int, author: dict[str, str], text: str) -> dict[str, Any]:
    return {"id": str(number), "text": text, "author": author}


def content(path: Path) -> bytes:
    """What is in a file; nothing where it is none, or a server at work has deleted it by now."""
    try:
        return path.read_bytes() if path.is_file() else b""
    except FileNotFoundError:
        return b""


class Terminal(io.StringIO):
    """What somebody types."""

    def isatty(self) -> bool:
        return True


class ConfirmationTests(SynchronousTestCase):
    def meant(self, typed: str, scope: str = SLUG) -> tuple[bool, str]:
        err = io.StringIO()
        environment = Environment(environ={}, now=lambda: 0.0, stdin=Terminal(typed))
        return is_meant("x:@ann", scope, Console(io.StringIO(), err), environment), err.getvalue()

    def test_whoever_types_the_author_once_more_means_it(self) -> None:
        meant, said = self.meant("x:@Ann\n")
        self.assertTrue(meant)
        self.assertIn(f"Everything by x:@ann at {SLUG} will be gone for good", said)
        self.assertIn("at every event", self.meant("x:@ann\n", EVERYWHERE)[1])

    def test_anything_else_is_no(self) -> None:
        for typed in ("", "\n", "y\n", "yes\n", "x:@anna\n"):
            self.assertFalse(self.meant(typed)[0], typed)


class ForgetTests(CommandTestCase):
    def stocked_with_posts(self, kind: str) -> AfeedServer:
        server = self.stocked(kind, sources=self.recording())
        server.start()
        server.push(post(1, ANN, "about pigeons"), post(2, BOB, "about gulls"), post(3, ANN, "pigeons again"))
        wait_until(lambda: "replay:4" in self.ids(server), "the recording was played")
        return server

    def recording(self) -> str:
        """A post of Bob's that quotes her."""
        item = {
            "id": "replay:4",
            "source": "push",
            "kind": "post",
            "author": {**BOB, "url": None, "avatar": None},
            "text": "so true",
            "html": "<p>so true</p>",
            "created_at": "2026-11-21T17:00:05Z",
            "quote": {
                "author": {**ANN, "url": None, "avatar": None},
                "text": "quoted pigeons",
                "html": "<p>quoted pigeons</p>",
                "url": None,
            },
        }
        path = self.directory / "recording.jsonl"
        path.write_text(json.dumps(item) + "\n")
        return f'[[events.sources]]\ntype = "replay"\nfile = {json.dumps(str(path))}\nspeed = 1000.0\n'

    def ids(self, server: AfeedServer) -> list[str]:
        return [change["item"]["id"] for change in server.changes() if "item" in change]

    def forget(self, server: AfeedServer, *options: str) -> Any:
        arguments = ["forget", "--config", server.config_path, "--json", "--yes", *options, "push:@AnnQ"]
        return self.succeed(*arguments).json

    def everything(self, server: AfeedServer) -> bytes:
        """All bytes of all files, and all that Redis has."""
        found = [content(path) for path in server.directory.rglob("*") if path.suffix != ".jsonl"]
        if server.live_log.startswith("redis:"):
            found += [content(path) for path in redis.shared().directory.rglob("*")]
            database = int(server.live_log.rpartition("/")[2])
            for key in redis.shared().cli("keys", "*", db=database).split():
                kind = redis.shared().cli("type", key, db=database).strip()
                command = {"list": ("lrange", key, "0", "-1"), "hash": ("hgetall", key), "string": ("get", key)}
                if kind in command:
                    found.append(redis.shared().cli("--no-raw", *command[kind], db=database).encode())
        return b"\n".join(found)

    def check_gone(self, server: AfeedServer, result: Any, posted: int = 0, killed: bool = False) -> None:
        if killed:  # what a node did just before it was killed may be done and not counted
            self.assertIn(result["removed"], range(3))
            self.assertIn(result["cleaned"], range(2))
        else:
            self.assertEqual((result["removed"], result["cleaned"]), (2, 1))
        self.assertNotIn("annq", json.dumps(result))
        changes = server.changes()
        self.assertEqual([change["seq"] for change in changes], list(range(1, len(changes) + 1)))
        text = json.dumps(changes)
        for word in WORDS:
            self.assertNotIn(word.decode(), text)
        self.assertIn("about gulls", text)
        self.assertIn("so true", text)
        # Nothing comes in again: neither new posts nor the old ones once more.
        fine = post(posted or 6, BOB, f"fine {posted}")
        results = server.push(post(1, ANN, "about pigeons"), post(5, ANN, "new pigeons"), fine)
        self.assertEqual([one["new"] for one in results], [False, False, True])
        self.assertEqual([one["seq"] for one in results[:2]], [0, 0])

    def assert_no_bytes(self, server: AfeedServer) -> None:
        def left() -> list[bytes]:
            everything = self.everything(server)
            return [word for word in WORDS if word in everything]

        wait_until(lambda: not left(), "no file has any of it")

    def test_a_running_node_does_it_and_the_command_waits(self) -> None:
        server = self.stocked_with_posts("files")
        self.check_gone(server, self.forget(server))
        self.assert_no_bytes(server)
        server.stop()
        self.assert_no_bytes(server)

    def test_beside_redis_and_postgresql(self) -> None:
        server = self.stocked_with_posts("servers")
        self.check_gone(server, self.forget(server, "--event", SLUG))
        self.assert_no_bytes(server)

    def test_several_nodes_forget_at_once_and_take_nothing_any_more(self) -> None:
        first = self.stocked_with_posts("servers")
        second = AfeedServer(live_log=first.live_log, archive=first.archive)
        self.addCleanup(second.close)
        second.start()
        self.assertIn("pigeons", json.dumps(second.changes()))
        result = self.forget(second)
        self.check_gone(first, result)
        self.check_gone(second, result, posted=6)

    def test_without_a_node_the_command_does_it_itself(self) -> None:
        for kind in ("files", "servers"):
            server = self.stocked_with_posts(kind)
            server.stop()
            result = self.forget(server, "--all")
            self.assert_no_bytes(server)
            server.start()
            self.check_gone(server, result)

    def test_killed_right_after_what_comes_next_is_not_what_was_forgotten(self) -> None:
        server = self.stocked_with_posts("files")
        result = self.forget(server)
        server.kill()
        self.assert_no_bytes(server)
        server.start()
        self.check_gone(server, result)

    def test_a_node_that_is_killed_in_the_middle_goes_on_after_its_next_start(self) -> None:
        server = self.stocked_with_posts("files")
        arguments = ["forget", "--config", str(server.config_path), "--json", "--yes", "push:@annq"]
        command = subprocess.Popen(
            [sys.executable, "-m", "afeed.command", *arguments],
            env=surroundings(),
            stdout=subprocess.PIPE,
            text=True,
        )
        with command:
            wait_until(lambda: self.states(server) == ["working"], "a node works on it")
            server.kill()
            server.start()
            out, _ = command.communicate(timeout=240)
        self.assertEqual(command.returncode, 0, out)
        self.check_gone(server, json.loads(out), killed=True)
        self.assert_no_bytes(server)

    def states(self, server: AfeedServer) -> list[str]:
        with closing(sqlite3.connect(server.directory / "var" / "archive.sqlite3")) as connection:
            return [state for (state,) in connection.execute("SELECT state FROM forget_requests")]

    def test_what_a_running_node_does_not_serve_is_left_and_said_so(self) -> None:
        server = self.stocked_with_posts("files")
        server.stop()
        text = server.config_path.read_text()
        server.config_path.write_text(text.replace(f'slug = "{SLUG}"', 'slug = "another"'))
        server.launch()
        wait_until(lambda: server.running and self.is_ready(server), "another event is served")
        base = ("forget", "--config", server.config_path, "--yes", "--all", "push:@annq")
        said = self.refuse(*base)
        self.assertIn(SLUG, said)
        self.assertIn("not done", said)
        server.stop()
        self.succeed(*base)
        self.assert_no_bytes(server)

    def is_ready(self, server: AfeedServer) -> bool:
        try:
            return server.request("/readyz")[0] == 200
        except OSError:
            return False

    def test_what_cannot_be_meant_is_refused(self) -> None:
        server = self.stocked_with_posts("files")
        base = ("forget", "--config", server.config_path)
        self.assertIn("x:@ann", self.refuse(*base, "--yes", "ann"))
        self.assertIn(SLUG, self.refuse(*base, "--yes", "--event", "another", "push:@annq"))
        self.assertIn("--yes", self.refuse(*base, "push:@annq"))
        done = afeed(*base, "--all", "--event", SLUG, "push:@annq")
        self.assertEqual(done.status, 2)
        self.assertEqual(len(self.ids(server)), 4)

    def test_somebody_nobody_knows_is_forgotten_all_the_same(self) -> None:
        server = self.stocked_with_posts("files")
        base: tuple[str | Path, ...] = ("forget", "--config", server.config_path, "--json", "--yes")
        result = self.succeed(*base, "push:@cy").json
        self.assertEqual((result["removed"], result["cleaned"]), (0, 0))
        (one,) = server.push(post(9, {"name": "Cy", "handle": "cy"}, "hello"))
        self.assertFalse(one["new"])
