"""``afeed hash-password``."""

from __future__ import annotations

import io
import json
import tomllib
from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from afeed.command.main import main
from afeed.command.program import Environment
from afeed.organisers.passwords import MOST_BYTES, matches

PASSWORD = "four gulls on a pier"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class HashPasswordTests(SynchronousTestCase):
    def run_it(
        self,
        *arguments: str,
        stdin: io.StringIO | None = None,
        ask: Callable[[str], str] = lambda prompt: PASSWORD,
    ) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        surroundings = Environment(environ={}, now=lambda: 0.0, stdin=stdin or Terminal(), ask_secretly=ask)
        status = main(["hash-password", *arguments], surroundings, out, err)
        self.assertNotIn(PASSWORD, out.getvalue() + err.getvalue())
        return status, out.getvalue(), err.getvalue()

    def test_what_is_printed_is_toml_that_knows_the_password(self) -> None:
        status, out, err = self.run_it("Ann")
        self.assertEqual((status, err), (0, ""))
        (user,) = tomllib.loads(out)["admin"]["users"]
        self.assertEqual(user["name"], "ann")
        self.assertTrue(matches(user["password_hash"], PASSWORD))

    def test_a_line_that_is_piped_in_is_the_password(self) -> None:
        for text in (PASSWORD, PASSWORD + "\n", PASSWORD + "\r\nmore\n"):
            status, out, _ = self.run_it("--json", stdin=io.StringIO(text))
            self.assertEqual(status, 0)
            found = json.loads(out)
            self.assertEqual(found["name"], "organiser")
            self.assertTrue(matches(found["password_hash"], PASSWORD))

    def test_config_23_passwords_that_are_guessed_are_refused(self) -> None:
        for text, why in (
            ("admin\n", "fewer than 12 characters"),
            ("", "fewer than 12 characters"),
            ("a1b2c3d4e5" * 200, f"more than {MOST_BYTES:,} bytes"),
        ):
            status, out, err = self.run_it(stdin=io.StringIO(text))
            self.assertEqual((status, out), (1, ""))
            self.assertIn(why, err)

    def test_a_slip_of_the_finger_is_noticed(self) -> None:
        answers = iter((PASSWORD, PASSWORD + "!"))
        status, out, err = self.run_it(ask=lambda prompt: next(answers))
        self.assertEqual((status, out), (1, ""))
        self.assertIn("not the same", err)

    def test_no_password_is_no_traceback(self) -> None:
        def nothing(prompt: str) -> str:
            raise EOFError

        self.assertEqual(self.run_it(ask=nothing)[0], 1)

    def test_names_that_nobody_could_type_are_refused(self) -> None:
        status, out, err = self.run_it("an\N{CYRILLIC SMALL LETTER A}")
        self.assertEqual((status, out), (1, ""))
        self.assertIn("must be 1 to 64 of the characters", err)
