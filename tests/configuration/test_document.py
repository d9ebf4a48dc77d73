"""A file that cannot be looked at in detail is one line."""

from __future__ import annotations

import time

from afeed import config
from tests.configuration.files import EVENT, ConfigurationTestCase, without_privileges


class FileTests(ConfigurationTestCase):
    def _line(self) -> str:
        error = self.assertRaises(config.ConfigurationError, config.load, self.path, {})
        self.assertEqual(len(str(error).splitlines()), 1)
        self.assertTrue(str(error).startswith(str(self.path)))
        return str(error).removeprefix(str(self.path))

    def test_config_01_a_missing_file(self) -> None:
        self.assertEqual(self._line(), ": there is no such file")

    def test_config_01_an_empty_file(self) -> None:
        for text in ("", " \r\n\t\n"):
            self.write(text)
            self.assertEqual(self._line(), ": is empty; it needs at least one [[events]] table")
        self.write("# only a comment\n")
        self.assertEqual(self._line(), ":1: events: there are none; add at least one [[events]] table")

    def test_a_folder(self) -> None:
        self.path.mkdir()
        self.assertEqual(self._line(), ": is a directory; name the TOML file in it")

    def test_a_file_that_may_not_be_read(self) -> None:
        self.write(EVENT)
        self.path.chmod(0)
        with without_privileges():
            self.assertEqual(self._line(), ": may not be read by the user that runs afeed")

    def test_a_path_that_cannot_be_one(self) -> None:
        for path in ("a" * 300, "a\0b", "afeed.toml/below"):
            self.write(EVENT)
            error = self.assertRaises(config.ConfigurationError, config.load, self.folder / path, {})
            self.assertEqual(len(error.problems), 1)

    def test_a_file_that_is_not_toml_is_told_with_its_line(self) -> None:
        self.write("[server]\nlisten = \n")
        self.assertEqual(self._line(), ":2: is not valid TOML: Invalid value (column 10)")
        self.write("[server]\nlisten = [\n")
        self.assertEqual(self._line(), ":2: is not valid TOML: Invalid value (at end of document)")

    def test_toml_that_breaks_a_parser(self) -> None:
        self.write("a = " + "[" * 100_000)
        self.assertIn("nested too deep", self._line())
        self.write("a = " + "9" * 10_000)
        self.assertIn("is not valid TOML", self._line())

    def test_a_key_of_thousands_of_parts_takes_neither_time_nor_memory(self) -> None:
        for text in (
            "a." * 300_000 + "a = 1\n",
            "[accounts" + ".s.t" * 200_000 + "]\n",
            "x = {" + "a." * 9_000 + "a = 1}\n",
        ):
            self.write(text)
            began = time.process_time()
            error = self.assertRaises(config.ConfigurationError, config.load, self.path, {})
            self.assertLess(time.process_time() - began, 2.0)
            self.assertIn("a key has more than a hundred parts", str(error))

    def test_bytes_that_are_not_utf_8(self) -> None:
        self.write(b'[server]\r\nname = "caf\xe9"\n')
        self.assertEqual(self._line(), ":2: is not UTF-8 (byte 0xe9); save it as UTF-8")
        self.write(EVENT.encode("utf-16"))
        self.assertIn("is not UTF-8", self._line())

    def test_a_byte_order_mark(self) -> None:
        self.write(EVENT.encode("utf-8-sig"))
        self.assertEqual(self._line(), ":1: begins with a byte order mark; save it as UTF-8 without one")

    def test_a_file_that_is_far_too_large(self) -> None:
        self.write("#" * 2_000_000)
        self.assertIn("is larger than", self._line())

    def test_windows_line_ends_are_fine(self) -> None:
        self.assertEqual(self.load(EVENT.replace("\n", "\r\n")).events[0].slug, "one")
