"""kill -9 in the middle of a restore: what is left is served by nobody, and the next restore ends it."""

from __future__ import annotations

import subprocess
import sys

from tests.chaos.archived import archived
from tests.command import dying_child
from tests.command.support import CommandTestCase, get_position, set_position, surroundings
from tests.servers.afeed import AfeedServer
from tests.servers.process import wait_until


class UnfinishedTests(CommandTestCase):
    def setUp(self) -> None:
        super().setUp()
        source = self.node("files")
        source.start()
        source.push(*({"id": str(number), "text": f"Item {number}"} for number in range(50)))
        source.stop()
        set_position(source, "x", "42")
        self.changes = self.backup(source)["changes"]
        self.log = archived(source)

    def die(self, target: AfeedServer, moment: str) -> None:
        done = subprocess.run(
            [
                sys.executable,
                dying_child.__file__,
                moment,
                "restore",
                "--config",
                str(target.config_path),
                str(self.out),
            ],
            env=surroundings(),
            capture_output=True,
            timeout=240,
        )
        self.assertEqual(done.returncode, -9, done)

    def complete(self, target: AfeedServer) -> None:
        target.start()
        self.assertEqual(target.changes(), self.log)
        wait_until(lambda: archived(target) == self.log, "the archive to be read")
        self.assertEqual(get_position(target, "x"), "42")
        [result] = target.push({"id": "new", "text": "it goes on"})
        self.assertEqual(result["seq"], len(self.log) + 1)
        wait_until(lambda: len(archived(target)) == result["seq"], "the strainer to go on")

    def test_nobody_serves_it_until_the_next_restore_has_ended_it(self) -> None:
        for kind, moments in (
            ("files", ("filling", "filled", "log", "positions")),
            ("servers", ("filling", "filled", "log")),
        ):
            target = self.node(kind)
            for moment in moments:
                self.die(target, moment)
                self.refused(target, kind)
            said = self.refuse("backup", "--config", target.config_path, self.directory / "other")
            self.assertIn("afeed restore", said)
            self.restore(target)
            self.complete(target)

    def refused(self, target: AfeedServer, kind: str) -> None:
        target.launch()
        if kind == "files":
            self.assertEqual(target.wait(), 2)
        else:
            wait_until(lambda: "did not come to its end" in target.output(), "the refusal")
            self.assertEqual(target.request("/readyz")[0], 503)
            self.assertEqual(target.request("/healthz")[0], 503)
            target.stop()
        self.assertIn("give `afeed restore` the same backup again", target.output())
        target.output_path.unlink()

    def test_another_backup_does_not_end_it(self) -> None:
        target, source = self.node("files"), self.node("files")
        self.die(target, "filled")
        source.start()
        source.push({"id": "1", "text": "another"})
        self.backup(source, "--force")
        said = self.refuse("restore", "--config", target.config_path, self.out)
        self.assertIn("from another backup", said)

    def test_another_backup_may_be_given_while_the_archive_has_nothing(self) -> None:
        target, source = self.node("files"), self.node("files")
        self.die(target, "filling")
        source.start()
        source.push({"id": "1", "text": "another"})
        self.backup(source, "--force")
        source.stop()
        self.assertEqual(self.restore(target)["changes"], 1)
        target.start()
        self.assertEqual(target.changes(), archived(source))
