"""A wheel, installed into an empty environment and run from another directory, is complete."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import zipfile
from contextlib import closing
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import afeed
from tests.servers.afeed import AfeedServer
from tests.servers.process import wait_until

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
    # Twisted's list of plugins, which a program that others start meanwhile may just be writing anew.
    "dropin.cache*",
)


def run(*command: str | Path, cwd: str | Path = "/", seconds: float = 900) -> str:
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

    def test_an_installed_wheel_is_complete_and_runs(self) -> None:
        names = set(zipfile.ZipFile(self.installed.wheel).namelist())
        self.assertEqual(sorted(data_files() - names), [])
        self.assertEqual(sorted(name for name in names if name.startswith(("tests/", "bench/"))), [])
        self.assertNotIn("twisted/__init__.py", names)
        self.assertNotIn("twisted/plugins/__init__.py", names)

        twistd = self.installed.bin / "twistd"
        listed = [line.split()[0] for line in run(twistd, "--help").splitlines() if line.split()]
        self.assertEqual(listed.count("afeed"), 1)
        self.assertIn("--check-config", run(twistd, "afeed", "--help"))
        self.assertIn("backup", run(self.installed.bin / "afeed", "--help"))

        where = run(
            self.installed.bin / "python", "-c", "import afeed.demo; print(afeed.demo.RECORDING)"
        ).strip()
        self.assertTrue(where.startswith(str(self.installed.directory)), where)
        self.serve_the_demo(twistd, Path(where))

    def serve_the_demo(self, twistd: Path, recording: Path) -> None:
        """Run the installed program with the installed recording, and look at it as a viewer would."""
        server = AfeedServer(
            twistd=[str(twistd)],
            path=None,
            sources=f'[[events.sources]]\ntype = "replay"\nfile = "{recording}"\nspeed = 1000.0\n',
        )
        self.addCleanup(server.close)
        server.start()
        wait_until(lambda: len(server.changes()) > 50, "the recording to be played")
        # Migrations ran, and the strainer copies.
        archive = server.directory / "var" / "archive.sqlite3"
        wait_until(archive.exists, "the archive")

        def archived() -> int:
            with closing(sqlite3.connect(archive, timeout=30)) as connection:
                try:
                    [[count]] = connection.execute("SELECT count(*) FROM changes")
                except sqlite3.OperationalError:  # its tables are still being made
                    return 0
            return int(count)

        wait_until(lambda: archived() > 50, "the archive to follow")

        status, _, body = server.request(f"/{server.slug}")
        self.assertEqual(status, 200)
        page = body.decode()
        scripts = re.findall(r'<script [^>]*src="([^"]+)"', page)
        styles = re.findall(r'<link [^>]*rel="stylesheet"[^>]*href="([^"]+)"', page)
        self.assertTrue(scripts)
        self.assertTrue(styles)
        photos = sorted(path.name for path in (recording.parent / "photos").iterdir())
        self.assertTrue(photos)
        for path in (*scripts, *styles, *(f"/static/demo/{name}" for name in photos)):
            status, _, body = server.request(path)
            self.assertEqual(status, 200, path)
            self.assertTrue(body, path)
