"""Configuration files for tests: written into a folder of their own, loaded, and what is wrong with them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from afeed import config
from afeed.settings import Settings

PROJECT = Path(__file__).parent.parent.parent
EXAMPLE = PROJECT / "etc" / "afeed.toml"

TOKEN = "Xy7-canary-Qp31vTz"

#: What the annotated example needs.
ENVIRON = dict.fromkeys(("AFEED_X_BEARER_TOKEN", "AFEED_FLICKR_API_KEY", "AFEED_PUSH_TOKEN"), TOKEN)

EVENT = """
[[events]]
slug = "one"
name = "One"
timezone = "Europe/Amsterdam"
starts = 2026-11-21
ends = 2026-11-23
"""


def temporary_folder(case: SynchronousTestCase) -> Path:
    """A folder that ends with the test.  Trial's own are closed to other users, and longer than the path of a
    Unix socket may be."""
    folder = Path(tempfile.mkdtemp(prefix="afeed-test-"))
    folder.chmod(0o755)
    case.addCleanup(shutil.rmtree, folder)
    return folder


@contextmanager
def without_privileges() -> Iterator[None]:
    """Run as a user whom permissions stop: for root, as nobody; for anybody else, as they are."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        if user == 0:
            os.seteuid(0)


class ConfigurationTestCase(SynchronousTestCase):
    """Loads texts from a folder of the test's own."""

    def setUp(self) -> None:
        self.folder = temporary_folder(self)
        self.path = self.folder / "afeed.toml"

    def write(self, text: str | bytes) -> None:
        self.path.write_bytes(text if isinstance(text, bytes) else text.encode())

    def load(self, text: str | bytes, environ: Mapping[str, str] | None = None) -> Settings:
        self.write(text)
        return config.load(self.path, environ or {})

    def problems(self, text: str | bytes, environ: Mapping[str, str] | None = None) -> list[str]:
        """Every problem of ``text`` as ``line: key: message``, without the file's name that all begin with."""
        self.write(text)
        error = self.assertRaises(config.ConfigurationError, config.load, self.path, environ or {})
        lines = str(error).splitlines()
        self.assertEqual(len(lines), len(error.problems), "one line for each problem")
        for line in lines:
            self.assertTrue(line.startswith(f"{self.path}:"), line)
        return [line.removeprefix(f"{self.path}:").strip() for line in lines]

    def problem(self, text: str | bytes, environ: Mapping[str, str] | None = None) -> str:
        """The one problem of ``text``."""
        problems = self.problems(text, environ)
        self.assertEqual(len(problems), 1, problems)
        return problems[0]
