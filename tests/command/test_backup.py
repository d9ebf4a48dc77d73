"""``afeed backup`` and ``afeed restore`` on real stores: what was kept is there again, and nothing is touched
that should not be."""

from __future__ import annotations

import os
import stat

from tests.chaos.archived import archived
from tests.chaos.kills import Witnesses
from tests.chaos.verdict import judge
from tests.command.held_back import UNTIL
from tests.command.support import CommandTestCase, afeed, get_position, held_back, set_position
from tests.servers.afeed import AfeedServer
from tests.servers.process import wait_until

PASSWORD = "hunter2-and-more"


def items(first: int, last: int) -> list[dict[str, str]]:
    return [{"id": str(number), "text": f"Item {number}"} for number in range(first, last + 1)]


class MovingTests(CommandTestCase):
    """A backup that is made under load, restored into stores of the other kind."""

    def move(self, kind: str, other: str) -> None:
        source = self.node(kind)
        source.start()
        with Witnesses(source, 200) as witnesses:
            wait_until(lambda: len(witnesses.publisher.accepted) > 300, "some load")
            before = dict(witnesses.publisher.accepted)
            told = self.backup(source)["events"][source.slug]
            wait_until(lambda: len(witnesses.publisher.accepted) > told["head"] + 50, "more load")
            self.assertTrue(witnesses.verdict().clean)
        later = len(source.changes())
        source.stop()

        target = self.node(other)
        restored = self.restore(target)["events"][source.slug]
        self.assertEqual((restored["parent"], restored["head"]), (told["epoch"], told["head"]))
        target.start()
        log = target.changes()
        accepted = {id_: seq for id_, seq in witnesses.publisher.accepted.items() if seq <= told["head"]}
        self.assertLessEqual(before.items(), accepted.items())
        verdict = judge(log, accepted, [], archive=archived(target), text_of=witnesses.publisher.text_of)
        self.assertTrue(verdict.clean, verdict)
        self.assertEqual(len(log), told["head"])
        self.assertEqual(log, archived(source)[: told["head"]])

        # Viewers: who is within the backup goes on, who is beyond it is told.
        epoch = target.updates()["epoch"]
        self.assertEqual(epoch, restored["epoch"])
        self.assertNotEqual(epoch, told["epoch"])
        within = target.updates(f"{told['epoch']}:{told['head'] - 3}")
        self.assertIsNone(within["gap"])
        self.assertEqual(len(within["changes"]), 3)
        beyond = target.updates(f"{told['epoch']}:{later}")
        self.assertEqual((beyond["gap"]["reason"], beyond["gap"]["from"]), ("epoch", told["head"] + 1))

        # Repetitions are known, and new items follow with the next number.
        [again, new] = target.push({"id": "3", "text": witnesses.publisher.text_of("push:3")}, *items(-1, -1))
        self.assertEqual((again["seq"], again["new"]), (accepted["push:3"], False))
        self.assertEqual((new["seq"], new["new"]), (told["head"] + 1, True))
        wait_until(lambda: len(archived(target)) == new["seq"], "the strainer to go on")

    def test_from_files_to_servers(self) -> None:
        self.move("files", "servers")

    def test_from_servers_to_files(self) -> None:
        self.move("servers", "files")

    def test_positions_of_sources_are_put_back(self) -> None:
        for kind, other in (("files", "servers"), ("servers", "files")):
            source, target = self.node(kind), self.node(other)
            source.start()
            source.push(*items(1, 3))
            source.stop()
            set_position(source, "x", "2026-11-21T17:00:06Z \N{SNOWMAN}")
            self.backup(source, "--force")
            # A fresh node that has been started already, and has a position of its own.
            target.start()
            target.stop()
            set_position(target, "x", "later")
            self.restore(target)
            self.assertEqual(get_position(target, "x"), "2026-11-21T17:00:06Z \N{SNOWMAN}")

    def test_what_is_held_back_waits_again(self) -> None:
        for kind, other in (("files", "servers"), ("servers", "files")):
            source, target = self.node(kind), self.node(other)
            source.start()
            source.push(*items(1, 3))
            source.stop()
            expected = [["push:a", UNTIL, False], ["push:b", UNTIL, True]]
            self.assertEqual(held_back(source, "hold"), expected)
            told = self.backup(source, "--force")["events"][source.slug]
            self.assertEqual((told["held"], told["changes"]), (2, 5))
            lines = [line for line in self.lines() if "held" in line]
            self.assertEqual(
                [(line["held"], line["stopped"]) for line in lines], [("push:a", False), ("push:b", True)]
            )
            self.assertEqual(self.restore(target)["events"][source.slug]["held"], 2)
            self.assertEqual(held_back(target, "list"), expected)
            target.start()
            self.assertNotIn("a secret", str(target.changes()))

    def test_files_belong_to_the_owner_of_their_folder(self) -> None:
        source, target = self.node("files"), self.node("files")
        source.start()
        source.push(*items(1, 3))
        source.stop()
        self.backup(source)
        var = target.directory / "var"
        var.mkdir()
        # Nobody but root can give files away; for others the owner is who they are.
        owner = 65534 if os.geteuid() == 0 else os.geteuid()
        os.chown(var, owner, -1)
        self.restore(target)
        made = {path.name: path.stat().st_uid for path in var.iterdir()}
        self.assertLessEqual({"lock", "live.sqlite3", "archive.sqlite3"}, set(made))
        self.assertEqual(set(made.values()), {owner}, made)

    def test_what_only_the_log_has_is_in_the_backup(self) -> None:
        server = self.node("files")
        server.start()
        server.push(*items(1, 5))
        wait_until(lambda: len(archived(server)) == 5, "the strainer")
        server.kill()
        (server.directory / "var" / "archive.sqlite3").unlink()
        self.assertEqual(self.backup(server)["events"][server.slug]["changes"], 5)

    def test_what_only_the_archive_has_is_in_the_backup(self) -> None:
        server = self.node("files")
        server.start()
        server.push(*items(1, 5))
        wait_until(lambda: len(archived(server)) == 5, "the strainer")
        server.stop()
        (server.directory / "var" / "live.sqlite3").unlink()
        done = self.succeed("backup", "--config", server.config_path, self.out)
        self.assertIn("the live log does not have this event", done.err)
        self.assertEqual([line["seq"] for line in self.lines()[2:-1]], [1, 2, 3, 4, 5])


class RefusalTests(CommandTestCase):
    def filled(self) -> AfeedServer:
        server = self.node("files")
        server.start()
        server.push(*items(1, 500))
        self.backup(server)
        return server

    def contents(self, server: AfeedServer) -> dict[str, bytes]:
        var = server.directory / "var"
        return {path.name: path.read_bytes() for path in var.glob("*.sqlite3")}

    def test_stores_that_are_not_empty_are_named_and_left_alone(self) -> None:
        server = self.filled()
        command = ("restore", "--config", server.config_path, self.out)
        self.assertIn("is in use by process", self.refuse(*command))
        server.stop()
        before = self.contents(server)
        self.assertIn("the archive sqlite:///", self.refuse(*command))
        self.assertEqual(self.contents(server), before)
        for path in (server.directory / "var").glob("archive*"):
            path.unlink()
        self.assertIn("500 changes of rehearsal", self.refuse(*command))
        (server.directory / "var" / "live.sqlite3").unlink()
        self.succeed(*command)
        self.assertIn("not empty", self.refuse(*command))

    def test_a_redis_with_which_a_node_works_is_left_alone(self) -> None:
        self.filled().stop()
        target = self.node("servers")
        target.start()
        # From another machine, whose data directory is another.
        elsewhere = self.directory / "elsewhere.toml"
        text = target.config_path.read_text().replace('"var"', f'"{self.directory / "var"}"')
        elsewhere.write_text(text)
        said = self.refuse("restore", "--config", elsewhere, self.out)
        self.assertIn("stop afeed everywhere first", said)
        self.assertEqual(target.changes(), [])
        target.stop()
        self.succeed("restore", "--config", elsewhere, self.out)

    def test_a_backup_that_is_damaged_is_refused_before_anything_is_touched(self) -> None:
        self.filled().stop()
        whole = self.out.read_bytes()
        target = self.node("files")
        flipped = bytearray(whole)
        flipped[len(whole) // 2] ^= 0x55
        for name, content in {
            "empty": b"",
            "half": whole[: len(whole) // 2],
            "nearly": whole[:-1],
            "flipped": bytes(flipped),
            "doubled": whole + whole,
            "plain": b"hello " * 100,
        }.items():
            bad = self.directory / name
            bad.write_bytes(content)
            self.refuse("restore", "--config", target.config_path, bad)
            self.assertEqual(self.contents(target), {}, name)
        said = self.refuse("restore", "--config", target.config_path, self.directory / "missing")
        self.assertIn("missing", said)

    def test_a_backup_is_never_half_there_and_replaces_nothing_unasked(self) -> None:
        server = self.filled()
        first = self.out.read_bytes()
        self.assertEqual(stat.S_IMODE(self.out.stat().st_mode), 0o600)
        command = ("backup", "--config", server.config_path)
        self.assertIn("exists already", self.refuse(*command, self.out))
        self.assertIn("no folder", self.refuse(*command, self.directory / "nowhere" / "out"))
        self.assertEqual(self.out.read_bytes(), first)
        folder = self.directory / "folder"
        folder.mkdir()
        self.succeed(*command, folder)
        [named] = folder.iterdir()
        self.assertRegex(named.name, r"^afeed-\d{8}T\d{6}Z\.jsonl\.gz$")
        self.assertEqual([path for path in self.directory.iterdir() if "unfinished" in path.name], [])

    def test_stores_that_cannot_be_read_leave_no_backup(self) -> None:
        server = self.filled()
        server.stop()
        self.out.unlink()
        archive = server.directory / "var" / "archive.sqlite3"
        content = archive.read_bytes()
        archive.write_bytes(content[: len(content) // 2 // 4096 * 4096])
        self.assertIn("is damaged", self.refuse("backup", "-c", server.config_path, self.out))
        archive.write_bytes(content)
        log = server.directory / "var" / "live.sqlite3"
        log.write_bytes(log.read_bytes()[:4096])
        self.assertIn("live.sqlite3", self.refuse("backup", "-c", server.config_path, self.out))
        self.assertEqual([path.name for path in self.directory.iterdir()], [])

    def test_nothing_at_all_is_no_backup(self) -> None:
        said = self.refuse("backup", "--config", self.node("files").config_path, self.out)
        self.assertIn("nothing to back up", said)

    def test_passwords_show_nowhere(self) -> None:
        server = self.node("servers")
        server.start()
        server.push(*items(1, 3))
        text = server.config_path.read_text()
        server.config_path.write_text(text.replace("[store]", '[store]\narchive_password_env = "PASSWORD"'))
        command = ("backup", "--config", server.config_path, self.out)
        done = self.succeed(*command, PASSWORD=PASSWORD)
        self.assertNotIn(PASSWORD, done.out + done.err)
        self.assertNotIn(PASSWORD, repr(self.lines()))
        self.out.unlink()
        down = self.directory / "down.toml"
        down.write_text(server.config_path.read_text().replace("postgresql+psycopg://afeed@127.0.0.1:", ""))
        for broken in ("/test", "/nowhere"):
            down.write_text(server.config_path.read_text().replace("/test", broken + "0"))
            said = self.refuse("backup", "--config", down, self.out, PASSWORD=PASSWORD)
            self.assertNotIn(PASSWORD, said)
            self.assertIn("archive", said)


class CommandLineTests(CommandTestCase):
    def test_mistakes_have_status_2(self) -> None:
        self.refuse(status=2)
        self.refuse("backup", status=2)
        self.refuse("bakcup", status=2)
        config = self.directory / "afeed.toml"
        config.write_text('[store]\narchive = "mysql://h/db"\nwindow = 1\n')
        said = self.refuse("backup", "--config", config, self.out, status=2)
        self.assertIn("afeed.toml:2", said)
        self.assertIn("afeed.toml:3", said)

    def test_secrets_of_sources_are_not_needed(self) -> None:
        server = self.node("files")
        server.start()
        server.push(*items(1, 3))
        self.assertNotIn("AFEED_PUSH_TOKEN", os.environ)
        self.backup(server)

    def test_programs_are_told_in_json(self) -> None:
        missing = self.directory / "missing.jsonl.gz"
        done = afeed("restore", "--config", self.node("files").config_path, "--json", missing)
        self.assertEqual((done.status, done.err), (1, ""))
        self.assertIn("missing", done.json["error"])

    def test_help_teaches(self) -> None:
        for command in ("backup", "restore"):
            done = self.succeed(command, "--help")
            self.assertIn("--config", done.out)
            self.assertGreater(len(done.out.splitlines()), 20)
        self.assertIn("backup", self.succeed("--help").out)
        self.assertRegex(self.succeed("--version").out, r"^afeed \S+$")
