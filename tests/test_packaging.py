"""A wheel, installed into an empty environment and run from another directory, is complete."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import afeed

ROOT = Path(__file__).resolve().parents[1]
#: What a build does not need, and would only copy around.
LEFT_OUT = shutil.ignore_patterns(
    ".git",
    ".venv",
    ".*_cache",
    ".hypothesis",
    "_trial_temp*",
    "build",
    "dist",
    "var",
    "__pycache__",
    "*.egg-info",
)


def run(*command: str | Path, cwd: str | Path = "/", seconds: float = 300) -> str:
    """Run ``command`` without this project's own surroundings; its output, or an error that shows it."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
    )
    if done.returncode:
        raise AssertionError(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def packages() -> list[str]:
    """The packages that setup.cfg lists."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser["options"]["packages"].split()


def data_files() -> set[str]:
    """Files of the package that are not Python, relative to the project."""
    return {
        str(path.relative_to(ROOT))
        for path in (ROOT / "afeed").rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc") and path.parts[-2] != "__pycache__"
    }


class SourceTests(SynchronousTestCase):
    def test_the_tests_import_the_source_tree(self) -> None:
        self.assertEqual(Path(afeed.__file__).resolve(), ROOT / "afeed" / "__init__.py")

    def test_every_package_is_listed(self) -> None:
        present = {
            ".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "afeed").rglob("__init__.py")
        }
        self.assertEqual(set(packages()), present | {"twisted.plugins"})
        self.assertEqual(packages(), sorted(packages()))


class Installation:
    """The project built as ``python -m build`` builds it (an sdist, and the wheel from that), and the wheel in
    an environment that had nothing else in it."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="afeed-test-packaging-"))
        source, built = self.directory / "source", self.directory / "built"
        shutil.copytree(ROOT, source, ignore=LEFT_OUT)
        run(sys.executable, "-m", "build", "--outdir", built, source)
        [self.wheel] = built.glob("*.whl")
        [self.sdist] = built.glob("*.tar.gz")
        self.bin = self.directory / "venv" / "bin"
        run(sys.executable, "-m", "venv", self.directory / "venv")
        run(self.bin / "python", "-m", "pip", "--disable-pip-version-check", "install", self.wheel)

    def close(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)


class WheelTests(SynchronousTestCase):
    """Building and installing takes a while, so one test looks at everything that needs it."""

    def setUp(self) -> None:
        self.installed = Installation()
        self.addCleanup(self.installed.close)

    def test_an_installed_wheel_is_complete_and_offers_twistd_afeed(self) -> None:
        names = set(zipfile.ZipFile(self.installed.wheel).namelist())
        self.assertEqual(sorted(data_files() - names), [])
        self.assertEqual(sorted(name for name in names if name.startswith(("tests/", "bench/"))), [])
        self.assertNotIn("twisted/__init__.py", names)
        self.assertNotIn("twisted/plugins/__init__.py", names)

        listed = [
            line.split()[0]
            for line in run(self.installed.bin / "twistd", "--help").splitlines()
            if line.split()
        ]
        self.assertEqual(listed.count("afeed"), 1)
        self.assertIn("--check-config", run(self.installed.bin / "twistd", "afeed", "--help"))
