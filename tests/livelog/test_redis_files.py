"""What was removed leaves Redis's append-only file, too."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from afeed.core.errors import LogUnavailable
from afeed.livelog.redis_commands import ServerError
from afeed.livelog.redis_files import Rewriting


class Server:
    """Answers as Redis does; ``refuses`` everything but INFO."""

    def __init__(self, **report: str) -> None:
        self.report = {"aof_enabled": "1", "aof_rewrite_in_progress": "0", **report}
        self.said: list[tuple[Any, ...]] = []
        self.refuses = False

    def send(self, *command: Any) -> Deferred[Any]:
        self.said.append(command)
        if command[0] == "INFO":
            lines = "".join(f"{name}:{value}\r\n" for name, value in self.report.items())
            return succeed(f"# Persistence\r\n{lines}".encode())
        if self.refuses:
            return fail(ServerError("NOPERM this user has no permissions"))
        self.report["aof_rewrite_in_progress"] = "1"
        return succeed(b"Background append only file rewriting started")


class RewritingTests(SynchronousTestCase):
    def make(self, server: Server) -> Rewriting:
        commands: Any = server
        return Rewriting(lambda patience: succeed(commands))

    def ask(self, rewriting: Rewriting) -> bool:
        return bool(self.successResultOf(rewriting.scrub()))

    def test_the_file_is_written_anew_once_and_waited_for(self) -> None:
        server = Server()
        rewriting = self.make(server)
        self.assertFalse(self.ask(rewriting))
        self.assertEqual(server.said[-1], ("BGREWRITEAOF",))
        self.assertFalse(self.ask(rewriting))
        server.report["aof_rewrite_in_progress"] = "0"
        self.assertTrue(self.ask(rewriting))
        self.assertEqual(server.said.count(("BGREWRITEAOF",)), 1)
        # Whoever asks the next time has something else removed.
        self.assertFalse(self.ask(rewriting))
        self.assertEqual(server.said.count(("BGREWRITEAOF",)), 2)

    def test_one_that_is_under_way_may_have_begun_too_early(self) -> None:
        for name in ("aof_rewrite_in_progress", "aof_rewrite_scheduled"):
            server = Server(**{name: "1"})
            rewriting = self.make(server)
            self.assertFalse(self.ask(rewriting))
            self.assertNotIn(("BGREWRITEAOF",), server.said)
            server.report[name] = "0"
            self.assertFalse(self.ask(rewriting))
            self.assertIn(("BGREWRITEAOF",), server.said)

    def test_without_such_a_file_there_is_nothing_to_do(self) -> None:
        server = Server(aof_enabled="0")
        self.assertTrue(self.ask(self.make(server)))
        self.assertEqual(len(server.said), 1)

    def test_a_server_that_does_not_allow_it_keeps_nobody_waiting(self) -> None:
        server = Server()
        server.refuses = True
        self.assertTrue(self.ask(self.make(server)))

    def test_one_that_fails_is_told_and_not_tried_for_ever(self) -> None:
        server = Server(aof_last_bgrewrite_status="err")
        rewriting = self.make(server)
        self.assertFalse(self.ask(rewriting))
        server.report["aof_rewrite_in_progress"] = "0"
        self.assertTrue(self.ask(rewriting))

    def test_a_server_that_is_away_is_tried_again(self) -> None:
        rewriting = Rewriting(lambda patience: fail(LogUnavailable("away")))
        self.failureResultOf(rewriting.scrub(), LogUnavailable)
