"""What root makes belongs to whoever owns the folder, and nothing else changes hands."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from afeed.command.belongings import Belongings
from afeed.config import load_store
from tests.command.support import CommandTestCase

OWNER = 65534


def refuse(path: Path, *owner: int, **options: bool) -> None:
    """As on a file system that belongs to another machine's root."""
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(path))


class BelongingsCase:
    if os.geteuid() != 0:
        skip = "only root gives files away"


class BelongingsTests(BelongingsCase, SynchronousTestCase):
    def setUp(self) -> None:
        self.home = Path(self.mktemp()).absolute()
        self.home.mkdir(parents=True)
        os.chown(self.home, OWNER, OWNER)
        self.remarks: list[str] = []

    def belongings(self, data_dir: str = "var", archive: str = "var/archive.sqlite3") -> Belongings:
        config = self.home / "afeed.toml"
        config.write_text(f'[store]\ndata_dir = "{data_dir}"\narchive = "sqlite:///{archive}"\n')
        return Belongings(load_store(config, {}))

    def make(self, *names: str) -> None:
        for name in names:
            path = self.home / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("")

    def owners(self, *names: str) -> set[int]:
        return {(self.home / name).stat().st_uid for name in names}

    def test_folders_that_were_made_are_given_too(self) -> None:
        belongings = self.belongings("srv/feed/var", "srv/feed/var/archive.sqlite3")
        self.make("srv/feed/var/lock", "srv/feed/var/archive.sqlite3")
        belongings.hand_over(self.remarks.append)
        made = ("srv", "srv/feed", "srv/feed/var", "srv/feed/var/lock", "srv/feed/var/archive.sqlite3")
        self.assertEqual(self.owners(*made), {OWNER})
        self.assertEqual(self.remarks, [])

    def test_what_was_there_before_stays_whose_it_was(self) -> None:
        self.make("var/lock", "var/notes")
        os.chown(self.home / "var", OWNER, OWNER)
        belongings = self.belongings()
        self.make("var/live.sqlite3")
        belongings.hand_over(self.remarks.append)
        self.assertEqual(self.owners("var/live.sqlite3"), {OWNER})
        self.assertEqual(self.owners("var/lock", "var/notes"), {0})

    def test_what_somebody_else_made_meanwhile_stays_theirs(self) -> None:
        self.make("var/x")
        os.chown(self.home / "var", OWNER, OWNER)
        belongings = self.belongings()
        self.make("var/theirs")
        os.chown(self.home / "var" / "theirs", OWNER - 1, OWNER - 1)
        belongings.hand_over(self.remarks.append)
        self.assertEqual(self.owners("var/theirs"), {OWNER - 1})

    def test_an_archive_elsewhere_belongs_to_the_owner_of_its_folder(self) -> None:
        (self.home / "var").mkdir()
        (self.home / "data").mkdir()
        os.chown(self.home / "data", OWNER - 1, -1)
        belongings = self.belongings(archive="data/archive.sqlite3")
        self.make("data/archive.sqlite3", "data/archive.sqlite3-wal", "data/other")
        belongings.hand_over(self.remarks.append)
        self.assertEqual(self.owners("data/archive.sqlite3", "data/archive.sqlite3-wal"), {OWNER - 1})
        self.assertEqual(self.owners("data/other"), {0})

    def test_a_folder_in_one_of_roots_is_told_of(self) -> None:
        os.chown(self.home, 0, 0)
        belongings = self.belongings()
        self.make("var/lock")
        belongings.hand_over(self.remarks.append)
        [remark] = self.remarks
        self.assertIn(f"chown -R USER {self.home}/var", remark)

    def test_a_folder_that_could_not_be_made_needs_no_word_here(self) -> None:
        belongings = self.belongings()
        belongings.hand_over(self.remarks.append)
        self.assertEqual(self.remarks, [])

    def test_a_file_that_cannot_be_given_away_is_told_of_and_hides_no_other_trouble(self) -> None:
        belongings = self.belongings()
        self.make("var/lock")
        self.patch(os, "chown", refuse)
        belongings.hand_over(self.remarks.append)
        [remark] = self.remarks
        self.assertIn("var may belong to root (Operation not permitted)", remark)


class FreshMachineTests(BelongingsCase, CommandTestCase):
    def test_a_restore_into_a_folder_that_it_makes_leaves_all_of_it_to_its_owner(self) -> None:
        source, target = self.node("files"), self.node("files")
        source.start()
        source.push({"id": "1", "text": "hello"})
        source.stop()
        self.backup(source)
        os.chown(target.directory, OWNER, OWNER)
        self.restore(target)
        var = target.directory / "var"
        made = {path.name: path.stat().st_uid for path in (var, *var.iterdir())}
        self.assertLessEqual({"var", "lock", "live.sqlite3", "archive.sqlite3"}, set(made))
        self.assertEqual(set(made.values()), {OWNER}, made)
