"""``afeed import-schedule``, ``afeed refile`` and ``afeed check-config``: what they say, and how they end."""

from __future__ import annotations

from pathlib import Path

from tests.command.support import CommandTestCase, afeed
from tests.core.schedule.test_difference import PROGRAMME
from tests.servers.afeed import PUSH_TOKEN, SLUG, AfeedServer
from tests.servers.process import wait_until

MOVED = PROGRAMME.replace('"Hall 2"', '"Hall 3"')


class ImportScheduleTests(CommandTestCase):
    def file(self, text: str, name: str = "schedule.toml") -> Path:
        path = self.directory / name
        path.write_text(text, "utf-8")
        return path

    def test_what_would_be_imported_is_said(self) -> None:
        path = self.file(PROGRAMME)
        done = self.succeed("import-schedule", path, "--talks")
        self.assertIn(f"{path} can be used: toml", done.out)
        self.assertIn("Hall 2", done.out)
        found = self.succeed("import-schedule", path, "--json", "--timezone", "Europe/Amsterdam").json
        self.assertEqual(found["format"], "toml")
        self.assertEqual(len(found["list"]), found["talks"] + found["breaks"])
        self.assertIsNone(found["changes"])

    def test_what_is_no_schedule_is_refused_with_a_sentence(self) -> None:
        for text, words in (
            ("<html><body>", "this is an HTML page, not a schedule"),
            ("", "it is empty"),
            ("talks = 3", "talks"),
        ):
            done = afeed("import-schedule", self.file(text), "--json")
            self.assertEqual(done.status, 1)
            self.assertIn(words, done.json["error"])
        self.assertEqual(afeed("import-schedule", self.directory / "absent.xml").status, 1)

    def test_a_command_line_that_makes_no_sense_has_a_status_of_its_own(self) -> None:
        path = self.file(PROGRAMME)
        for arguments in (
            ("import-schedule",),
            ("import-schedule", path, "--timezone", "Mars/Olympus"),
            ("import-schedule", path, "--event", "x"),
            ("import-schedule", path, "--format", "xls"),
        ):
            self.assertEqual(afeed(*arguments).status, 2, arguments)

    def test_an_address_is_read(self) -> None:
        done = afeed("import-schedule", "http://127.0.0.1:9/schedule.xml")
        self.assertEqual(done.status, 1)
        self.assertIn("127.0.0.1", done.err)

    def test_it_is_compared_with_the_one_in_use(self) -> None:
        path = self.file(PROGRAMME)
        server = AfeedServer(extra=f'[events.schedule]\nfile = "{path}"\ninterval_s = 10\n')
        self.addCleanup(server.close)
        where = ("--config", server.config_path, "--event", SLUG)
        self.assertIn("has no schedule of this event yet", self.succeed("import-schedule", *where).out)
        server.start()
        kept = server.directory / "var" / "schedules" / f"{SLUG}.json"
        wait_until(kept.exists, "the schedule to be kept")
        server.stop()
        self.assertIn("No talk is new", self.succeed("import-schedule", *where).out)
        other = self.file(MOVED, "other.toml")
        changes = self.succeed("import-schedule", other, *where, "--json").json["changes"]
        self.assertEqual({kind for one in changes for kind in one["kinds"]}, {"moved"})
        self.assertIn("moved: ", self.succeed("import-schedule", other, *where).out)


class RefileTests(CommandTestCase):
    def test_without_a_schedule_or_an_archive_there_is_nothing_to_do(self) -> None:
        plain = self.node("files")
        self.assertEqual(afeed("refile", SLUG, "--config", plain.config_path).status, 2)
        self.assertEqual(afeed("refile", "other", "--config", plain.config_path).status, 2)
        path = self.directory / "schedule.toml"
        path.write_text(PROGRAMME, "utf-8")
        server = self.stocked("files", extra=f'[events.schedule]\nfile = "{path}"\n')
        done = afeed("refile", SLUG, "--config", server.config_path)
        self.assertEqual(done.status, 1)
        self.assertIn("there is no archive of this version yet", done.err)

    def test_an_order_that_nobody_carries_out_stands(self) -> None:
        path = self.directory / "schedule.toml"
        path.write_text(PROGRAMME, "utf-8")
        for kind in ("files", "servers"):
            server = self.stocked(kind, extra=f'[events.schedule]\nfile = "{path}"\n')
            server.start()
            server.push({"id": "1", "text": "hello"})
            server.stop()
            for number in (1, 2):
                done = self.succeed("refile", SLUG, "--config", server.config_path, "--no-wait", "--json")
                self.assertTrue(done.out, done)
                self.assertEqual(done.json, {"event": SLUG, "asked": number, "done": False})
            server.start()
            found = self.succeed("refile", SLUG, "--config", server.config_path, "--json").json
            self.assertEqual((found["asked"], found["seen"], found["changed"]), (3, 1, 0))
            server.stop()


class CheckConfigTests(CommandTestCase):
    def test_what_would_run_is_said(self) -> None:
        server = self.node("files")
        secret = {"AFEED_PUSH_TOKEN": PUSH_TOKEN}
        done = self.succeed("check-config", "--config", server.config_path, **secret)
        self.assertIn(f"/{SLUG}/items", done.out)
        self.assertNotIn(PUSH_TOKEN, done.out)
        found = self.succeed("check-config", "--config", server.config_path, "--json", **secret).json
        self.assertEqual((found["ok"], found["events"]), (True, [SLUG]))

    def test_every_mistake_has_its_line_for_programs_too(self) -> None:
        path = self.directory / "afeed.toml"
        path.write_text('[server]\nlisten = 3\n[[events]]\nslug = "x y"\n', "utf-8")
        done = afeed("check-config", "--config", path, "--json")
        self.assertEqual(done.status, 2)
        problems = done.json["problems"]
        self.assertGreater(len(problems), 3)
        self.assertEqual({key for one in problems for key in one}, {"file", "line", "key", "message"})
        self.assertEqual(problems[0]["line"], 2)
        plain = afeed("check-config", "--config", path)
        self.assertEqual((plain.status, plain.out), (2, ""))
        self.assertIn(f"{path}:2: server.listen", plain.err)
