"""Where things are kept."""

from __future__ import annotations

import sqlite3

from afeed import config
from afeed.configuration.stores import EMBEDDED_FILE
from afeed.livelog import embedded
from tests.configuration.files import EVENT, ConfigurationTestCase, without_privileges


class StoreTests(ConfigurationTestCase):
    def _problem(self, line: str) -> str:
        return self.problem(f"[store]\n{line}\n{EVENT}").removeprefix("2: store.")

    def test_paths_start_at_the_configuration(self) -> None:
        store = self.load(EVENT).store
        self.assertEqual(store.data_dir, self.folder / "var")
        self.assertEqual(store.archive, f"sqlite:///{self.folder}/var/archive.sqlite3")
        (self.folder / "db").mkdir()
        store = self.load('[store]\ndata_dir = "../here"\narchive = "sqlite:///db/a.sqlite3"\n' + EVENT).store
        self.assertEqual(store.data_dir, self.folder.parent / "here")
        self.assertEqual(store.archive, f"sqlite:///{self.folder}/db/a.sqlite3")

    def test_an_absolute_sqlite_path_stays(self) -> None:
        store = self.load(f'[store]\narchive = "sqlite:///{self.folder}/a.sqlite3"\n{EVENT}').store
        self.assertEqual(store.archive, f"sqlite:///{self.folder}/a.sqlite3")

    def test_the_archive_follows_data_dir_when_it_is_not_configured(self) -> None:
        store = self.load('[store]\ndata_dir = "x"\n' + EVENT).store
        self.assertEqual(store.archive, f"sqlite:///{self.folder}/x/archive.sqlite3")

    def test_nothing_is_made_by_looking(self) -> None:
        self.load(EVENT)
        self.assertEqual([path.name for path in self.folder.iterdir()], ["afeed.toml"])

    def test_live_logs(self) -> None:
        for url in (
            "embedded", "redis://localhost", "redis://127.0.0.1:6379/15", "rediss://me@redis.example.org:6380/0",
            "redis://[::1]:6379/0", "redis://redis_1:6379", "redis+sentinel://a:26379,b:26379/main/0",
            "redis+sentinel://a/main",
        ):  # fmt: skip
            self.assertEqual(self.load(f'[store]\nlive_log = "{url}"\n{EVENT}').store.live_log, url)

    def test_live_logs_that_make_no_sense(self) -> None:
        for url in (
            "", "memory", "redis", "redis:", "redis://", "http://localhost:6379", "redis://localhost:0",
            "redis://localhost:65536", "redis://localhost:6379/x", "redis://localhost:6379/0/1", "redis://a b",
            "redis://a,b/0", "redis+sentinel://a:26379", "redis+sentinel://a:26379/main/x", "redis://a/0?x=1",
        ):  # fmt: skip
            self.assertTrue(self._problem(f'live_log = "{url}"').startswith("live_log: "), url)

    def test_config_09_a_window_of_nothing(self) -> None:
        for value in ("0", "-1", "199", "1_000_001", "9" * 30):
            self.assertIn("window: must be from 200 to 1,000,000, not", self._problem(f"window = {value}"))

    def test_config_11_a_log_smaller_than_an_item(self) -> None:
        for value in ("0", "-5", "999_999"):
            self.assertIn("max_log_bytes: must be from 1,000,000", self._problem(f"max_log_bytes = {value}"))

    def test_config_19_an_archive_in_a_folder_that_does_not_exist(self) -> None:
        self.assertIn("there is no folder", self._problem('archive = "sqlite:///nowhere/a.sqlite3"'))

    def test_config_19_an_archive_that_is_read_only(self) -> None:
        folder, writable = self.folder / "db", self.folder / "var"
        folder.mkdir()
        writable.mkdir()
        writable.chmod(0o777)
        (folder / "a.sqlite3").touch()
        (folder / "a.sqlite3").chmod(0o444)
        folder.chmod(0o555)
        self.addCleanup(folder.chmod, 0o755)
        for name in ("a.sqlite3", "new.sqlite3"):
            self.write(f'[store]\narchive = "sqlite:///db/{name}"\n{EVENT}')
            with without_privileges():
                error = self.assertRaises(config.ConfigurationError, config.load, self.path, {})
            self.assertEqual(len(error.problems), 1)
            self.assertIn("may not be read and written to", str(error))

    def test_config_20_a_file_of_another_program_is_left_alone(self) -> None:
        other = self.folder / "notes.txt"
        other.write_text("These are my notes, please leave them alone.")
        self.assertIn("is not an SQLite database", self._problem('archive = "sqlite:///notes.txt"'))
        self.assertEqual(other.read_text(), "These are my notes, please leave them alone.")

    def test_an_archive_that_exists_is_accepted(self) -> None:
        with sqlite3.connect(self.folder / "a.sqlite3") as connection:
            connection.execute("CREATE TABLE t (x)")
        connection.close()
        self.assertIn(
            "a.sqlite3", self.load('[store]\narchive = "sqlite:///a.sqlite3"\n' + EVENT).store.archive
        )

    def test_the_archive_is_another_file_than_the_live_log(self) -> None:
        self.assertEqual(EMBEDDED_FILE, embedded.FILE)
        self.assertIn("is the embedded live log", self._problem('archive = "sqlite:///var/live.sqlite3"'))

    def test_a_folder_that_may_not_be_entered(self) -> None:
        (self.folder / "closed" / "var").mkdir(parents=True)
        (self.folder / "closed").chmod(0)
        self.addCleanup((self.folder / "closed").chmod, 0o755)
        for line in ('data_dir = "closed/var"', 'archive = "sqlite:///closed/var/a.sqlite3"\ndata_dir = "var"'):
            (self.folder / "var").mkdir(exist_ok=True)
            (self.folder / "var").chmod(0o777)
            self.write(f"[store]\n{line}\n{EVENT}")
            with without_privileges():
                error = self.assertRaises(config.ConfigurationError, config.load, self.path, {})
            self.assertEqual(len(error.problems), 1)
            self.assertIn("closed", str(error))

    def test_archives_that_make_no_sense(self) -> None:
        for url, message in (
            ("", "not a database URL"),
            ("archive.sqlite3", "not a database URL"),
            ("sqlite://", "in memory"),
            ("sqlite:///:memory:", "in memory"),
            ("sqlite:///a?mode=memory", "in memory"),
            ("sqlite:///file:a?uri=true", "fourth /"),
            ("sqlite://a.sqlite3", "in memory"),
            ("sqlite:///.", "is a folder"),
            ("mysql://localhost/a", "does not know the database driver 'mysql'"),
            ("postgres://localhost/a", "postgresql+psycopg://"),
            ("postgresql://localhost/a", "postgresql+psycopg://"),
            ("postgresql+psycopg://localhost", "name the database"),
            ("postgresql+psycopg://localhost:99999/a", "1 to 65535"),
            ("postgresql+psycopg://localhost:x/a", "not a database URL"),
        ):
            self.assertIn(message, self._problem(f'archive = "{url}"'), url)

    def test_a_data_dir_that_cannot_be_made(self) -> None:
        (self.folder / "file").touch()
        self.assertIn("is not a folder", self._problem('data_dir = "file"'))
        self.assertIn("may not be made in", self._problem('data_dir = "file/var"'))
        self.assertIn("is empty", self._problem('data_dir = ""'))
        self.assertIn("255 bytes", self._problem(f'data_dir = "{"a" * 256}"'))
        self.assertIn("a ? in it", self._problem('data_dir = "what?"'))
        self.write(EVENT)
        self.folder.chmod(0o555)
        self.addCleanup(self.folder.chmod, 0o755)
        with without_privileges():
            error = self.assertRaises(config.ConfigurationError, config.load, self.path, {})
        self.assertIn("store.data_dir", str(error))
        self.assertIn("may not be made in", str(error))
