"""``afeed export`` and ``afeed export-site``."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import feedparser
import icalendar
from msgspec import structs
from sqlalchemy import create_engine
from twisted.trial.unittest import SynchronousTestCase

from afeed.archive.tables import media
from afeed.command.main import main
from afeed.command.program import Console, Environment
from afeed.core.change import seconds
from afeed.core.draft import Draft, Filed, Posted, Removed
from afeed.core.item import Media
from afeed.core.normalise.replay import read_recording
from afeed.media.addresses import media_key
from afeed.media.store import MediaStore
from afeed.schedules.kept import Kept, Shelf
from afeed.schedules.origin import Mark
from afeed.schedules.programme import FOLDER
from tests.command.support import afeed, surroundings
from tests.fakes import an_item
from tests.reports.archives import EVENT, day, make_archive
from tests.web.markup import Elements

CONFIGURATION = """\
[server]
public_url = "https://feed.example"

[[events]]
slug = "exconf"
name = "Exconf <2026>"
timezone = "Europe/Amsterdam"
starts = 2026-11-21
ends = 2026-11-21
hashtags = ["#exconf"]

[[events.sources]]
type = "push"
token_env = "NOT_SET_FOR_THIS_COMMAND"
"""
NOW = "2026-11-25T10:00:00.000Z"


class ExportCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        (self.folder / "var").mkdir(parents=True)
        self.config = self.folder / "afeed.toml"
        self.config.write_text(CONFIGURATION, "utf-8")
        self.schedule, self.drafts = day()

    def fill(self, drafts: list[Draft] | None = None) -> None:
        make_archive(self.folder / "var", self.drafts if drafts is None else drafts, EVENT)
        kept = Kept(schedule=self.schedule, asked="", format="toml", read_at=0.0, mark=Mark())
        Shelf(self.folder / "var" / FOLDER).store(EVENT, kept)

    def run_afeed(self, *arguments: object, status: int = 0) -> tuple[str, str]:
        out, err = io.StringIO(), io.StringIO()
        environment = Environment(environ={}, now=lambda: seconds(NOW))
        words = [str(one) for one in arguments]
        words[1:1] = ["--config", str(self.config)]
        found = main(words, environment, out, err)
        self.assertEqual(found, status, (out.getvalue(), err.getvalue()))
        return out.getvalue(), err.getvalue()

    def export(self, *arguments: object, name: str = "out") -> bytes:
        self.run_afeed("export", EVENT, *arguments, "-o", self.folder / name)
        return (self.folder / name).read_bytes()


class ExportTests(ExportCase):
    def test_each_format_has_every_post(self) -> None:
        self.fill()
        lines = self.export(name="a.jsonl").splitlines()
        self.assertEqual(len(read_recording(lines).entries), 538)
        rows = list(
            csv.DictReader(io.StringIO(self.export("--format", "csv", name="a.csv").decode("utf-8-sig")))
        )
        self.assertEqual(len(rows), 538)
        feed = feedparser.parse(self.export("--format", "atom", name="a.xml"))
        self.assertEqual((feed.bozo, len(feed.entries)), (False, 538))
        self.assertEqual(feed.feed.updated, NOW)
        self.assertEqual(len(json.loads(self.export("--format", "json", name="a.json"))["items"]), 538)

    def test_a_talk_alone_by_its_id_also_by_one_it_had_before(self) -> None:
        self.schedule = structs.replace(self.schedule, aliases={"containers": "css"})
        self.fill()
        for talk in ("css", "containers"):
            items = [json.loads(line) for line in self.export("--talk", talk, name=talk).splitlines()]
            self.assertEqual((len(items), {item["talk"] for item in items}), (33, {"css"}))

    def test_nothing_that_was_removed_hidden_or_filed_elsewhere_is_in_any_format(self) -> None:
        secret = Posted(structs.replace(an_item(9001, "the unspeakable"), talk="css"), "1")
        edited = Posted(structs.replace(an_item(9002, "the unspeakable draft"), talk="css"), "1")
        drafts = [
            *self.drafts,
            secret,
            edited,
            Posted(structs.replace(an_item(9002, "the final words"), talk="css"), "2"),
            Posted(structs.replace(an_item(9003, "filed elsewhere"), talk="css"), "1"),
            Filed("push:9003", "rust", "m1"),
            Removed("push:9001"),
        ]
        self.fill(drafts)
        for format in ("jsonl", "csv", "atom", "json"):
            data = self.export("--format", format, "--talk", "css", name=f"out.{format}")
            self.assertNotIn(b"unspeakable", data, format)
            self.assertNotIn(b"filed elsewhere", data, format)
            self.assertIn(b"the final words", data, format)
        self.assertIn(b"filed elsewhere", self.export("--talk", "rust", name="rust"))
        self.run_afeed("export-site", EVENT, self.folder / "site")
        for path in (self.folder / "site").rglob("*"):
            if path.is_file():
                self.assertNotIn(b"unspeakable", path.read_bytes(), path)

    def test_programs_are_told_what_came_of_it(self) -> None:
        self.fill()
        out, _ = self.run_afeed("export", EVENT, "--json", "--format", "csv", "-o", self.folder / "x.csv")
        found = json.loads(out)
        self.assertEqual((found["posts"], found["talk"], found["position"]), (538, None, "e1:538"))
        self.assertEqual(found["bytes"], (self.folder / "x.csv").stat().st_size)

    def test_what_is_no_ordinary_file_is_never_replaced(self) -> None:
        self.fill()
        path = self.folder / "pipe"
        os.mkfifo(path)
        _, err = self.run_afeed("export", EVENT, "-o", path, "--force", status=1)
        self.assertIn("no ordinary file", err)
        self.assertTrue(path.is_fifo())

    def test_a_file_that_exists_is_only_replaced_when_asked_and_as_a_whole(self) -> None:
        self.fill()
        path = self.folder / "x.csv"
        path.write_text("precious")
        _, err = self.run_afeed("export", EVENT, "-o", path, status=1)
        self.assertIn("exists already", err)
        self.assertEqual(path.read_text(), "precious")
        self.run_afeed("export", EVENT, "--force", "-o", path)
        self.assertTrue(path.read_bytes().startswith(b'{"id":'))
        self.assertEqual([one.name for one in self.folder.glob(".*")], [])

    def test_what_cannot_be_done_is_refused_before_anything_is_written(self) -> None:
        self.fill()
        for arguments, status, word in (
            (["nothere"], 2, "it has exconf"),
            ([EVENT, "--talk", "nothere"], 2, "no talk"),
            ([EVENT, "--json"], 2, "--output"),
            ([EVENT, "-o", str(self.folder / "no" / "x")], 1, "no folder"),
            ([EVENT, "-o", str(self.folder)], 1, "name a file"),
        ):
            out, err = self.run_afeed("export", *arguments, status=status)
            self.assertIn(word, err + out)

    def test_a_wrong_configuration_is_told_with_its_line_and_needs_no_secret(self) -> None:
        self.config.write_text(CONFIGURATION.replace('name = "Exconf <2026>"', "nmae = 1"), "utf-8")
        _, err = self.run_afeed("export", EVENT, status=2)
        self.assertIn("afeed.toml:6", err)
        self.assertNotIn("NOT_SET_FOR_THIS_COMMAND", err)

    def test_an_archive_that_was_never_made_has_nothing(self) -> None:
        self.assertEqual(self.export(), b"")
        self.assertFalse((self.folder / "var" / "archive.sqlite3").exists())

    def test_a_reader_that_leaves_early_is_told_in_one_sentence(self) -> None:
        self.fill([*self.drafts, *(Posted(an_item(n, "x" * 500), "1") for n in range(10_000, 11_000))])
        command = [sys.executable, "-m", "afeed.command", "export", "--config", str(self.config), EVENT]
        with subprocess.Popen(
            command, env=surroundings(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            self.assertTrue(process.stdout.readline().startswith(b'{"id":'))
            process.stdout.close()
            said = process.stderr.read().decode()
            self.assertEqual(process.wait(60), 1)
        self.assertEqual(said, "afeed: nobody reads the output any more.\n")

    def test_a_terminal_sees_how_far_it_is(self) -> None:
        class Terminal(io.StringIO):
            def isatty(self) -> bool:
                return True

        err = Terminal()
        console = Console(io.StringIO(), err, clock=iter(range(100)).__next__)
        console.progress("Exconf", 250, 1000, "posts")
        self.assertIn("Exconf: [######..................]  25%, 250 posts", err.getvalue())
        console.progress("Exconf", 2000, 1000, "posts")
        self.assertIn("100%", err.getvalue())
        console.progress("Exconf", 5)
        self.assertTrue(err.getvalue().endswith("Exconf: 5 changes"))


class SiteTests(ExportCase):
    def setUp(self) -> None:
        super().setUp()
        self.site = self.folder / "site"

    def copy(self, *arguments: object) -> Any:
        out, _ = self.run_afeed("export-site", EVENT, "--json", *arguments, self.site)
        return json.loads(out)

    def pages(self) -> dict[str, Elements]:
        return {
            str(path.relative_to(self.site)): Elements(path.read_text("utf-8"))
            for path in self.site.rglob("*.html")
        }

    def test_it_has_everything_and_every_link_in_it_leads_somewhere(self) -> None:
        self.fill()
        found = self.copy()
        self.assertEqual((found["posts"], found["talks"]), (538, 16))
        pages = self.pages()
        self.assertEqual(found["pages"], len(pages))
        for name in (
            "index.html",
            "schedule.html",
            "archive.html",
            "report.html",
            "talks/css.html",
            "reports/css.html",
        ):
            self.assertIn(name, pages)
        ids = {name: {found["id"] for _, found in page.found if "id" in found} for name, page in pages.items()}
        broken = []
        for name, page in pages.items():
            for _, attributes in page.found:
                for address in (attributes.get("href"), attributes.get("src")):
                    if address is None or re.match(r"[a-z]+:", address):
                        continue
                    parts = urlsplit(address)
                    target = os.path.normpath(os.path.join(os.path.dirname(name), unquote(parts.path)))
                    target = target if parts.path else name
                    there = not parts.fragment or parts.fragment in ids.get(target, ())
                    if not (there and (self.site / target).is_file()):
                        broken.append((name, address))
        self.assertEqual(broken, [])

    def test_it_needs_no_script_no_server_and_no_form(self) -> None:
        self.fill()
        self.copy()
        for name, page in self.pages().items():
            for tag in ("script", "form", "template", "noscript", "base", "iframe"):
                self.assertEqual(page.named(tag), [], name)
            for tag, attributes in page.found:
                for kind, value in attributes.items():
                    self.assertFalse(kind.startswith("on") or kind == "style", (name, tag, kind))
                    self.assertFalse(kind in ("href", "src") and (value or "").startswith("/"), (name, value))

    def test_every_post_is_there_once_under_its_permalink(self) -> None:
        self.fill()
        self.copy()
        seen = []
        for name, page in self.pages().items():
            if name.startswith("days/"):
                seen += [
                    found["id"] for _, found in page.found if re.match(r"post-\d+\Z", found.get("id") or "")
                ]
        self.assertEqual(sorted(seen), sorted(f"post-{n}" for n in range(1, 539)))

    def test_feeds_tables_and_the_calendar_are_beside_the_pages(self) -> None:
        self.fill()
        self.copy()
        feed = feedparser.parse((self.site / "atom.xml").read_bytes())
        self.assertEqual((feed.bozo, len(feed.entries)), (False, 50))
        self.assertEqual(len(feedparser.parse((self.site / "talks/css-atom.xml").read_bytes()).entries), 33)
        self.assertEqual(len(json.loads((self.site / "feed.json").read_bytes())["items"]), 50)
        self.assertEqual(len((self.site / "posts.jsonl").read_bytes().splitlines()), 538)
        entries = icalendar.Calendar.from_ical((self.site / "schedule.ics").read_bytes()).walk("VEVENT")
        self.assertEqual(len(entries), len(self.schedule.talks))

    def test_without_a_schedule_there_are_days_and_a_report(self) -> None:
        make_archive(self.folder / "var", self.drafts[:5], EVENT)
        self.copy()
        self.assertIn("report.html", self.pages())
        self.assertFalse((self.site / "schedule.html").exists())

    def test_an_event_without_posts_can_be_copied(self) -> None:
        self.assertEqual(self.copy()["posts"], 0)
        self.assertIn("No posts", self.pages()["report.html"].text)

    def test_the_pages_are_in_the_language_that_is_asked_for(self) -> None:
        self.fill(self.drafts[:3])
        self.copy("--language", "de")
        self.assertIn("Tag für Tag", self.pages()["index.html"].text)

    def test_a_folder_with_something_else_is_left_alone(self) -> None:
        self.site.mkdir()
        (self.site / "thesis.txt").write_text("years of work")
        _, err = self.run_afeed("export-site", EVENT, self.site, status=1)
        self.assertIn("no copy of an event", err)
        self.assertEqual([path.name for path in self.site.iterdir()], ["thesis.txt"])

    def test_pictures_that_are_kept_or_ours_are_in_the_copy_when_asked(self) -> None:
        address = "http://127.0.0.1:1/kept.jpg"
        private = "http://127.0.0.1:1/private.jpg"
        photos = tuple(Media(type="photo", url=url) for url in (address, private, "/static/demo/harbour.svg"))
        url = f"sqlite:///{self.folder / 'var' / 'archive.sqlite3'}"
        self.fill([Posted(structs.replace(an_item(1), media=photos), "1")])
        kept = MediaStore(self.folder / "var" / "media").put(b"\xff\xd8\xff" + b"0" * 200, "jpg")
        self.keep(url, address, kept.sha256)
        # In a process of its own: it needs a reactor, of which this one has another.
        done = afeed("export-site", "--config", self.config, EVENT, "--images", "--json", self.site)
        self.assertEqual(done.status, 0, done)
        self.assertIn("could not be had", done.err)
        found = done.json
        self.assertEqual(found["images"], {"there": 1, "fetched": 0, "missing": 1})
        html = (self.site / "days/2027-01-15.html").read_text()
        name = f"images/{media_key(address).hex()}.jpg"
        self.assertIn(f'src="../{name}"', html)
        self.assertTrue((self.site / name).read_bytes().startswith(b"\xff\xd8\xff"))
        self.assertIn(f'src="{private}"', html)  # nothing is fetched from a private address
        self.assertIn('src="../static/demo/harbour.svg"', html)
        self.assertTrue((self.site / "static/demo/harbour.svg").is_file())

    def keep(self, url: str, address: str, sha: bytes) -> None:
        """As if afeed had kept the picture."""
        row = {
            "media_key": media_key(address),
            "url": address,
            "state": "kept",
            "noted_at": 0,
            "attempts": 1,
            "next_at": 0,
            "sha256": sha,
            "kind": "jpg",
            "bytes": 203,
        }
        with create_engine(url).begin() as connection:
            connection.execute(media.insert(), row)
