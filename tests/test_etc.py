"""The files in ``etc/`` that other programs read: those programs accept them, and what they promise holds."""

from __future__ import annotations

import configparser
import shlex
import subprocess
import sys
from pathlib import Path

from supervisor.options import ServerOptions
from twisted.trial.unittest import SynchronousTestCase

from tests.servers.nginx import NginxServer
from tests.servers.process import program

ETC = Path(__file__).resolve().parents[1] / "etc"
#: The longest `wait` a client may ask `/updates` for, in seconds (docs/protocol.rst).
LONGEST_WAIT = 30


def unit(path: Path) -> dict[str, dict[str, list[str]]]:
    """A systemd unit as section -> key -> values, in order."""
    sections: dict[str, dict[str, list[str]]] = {}
    section: dict[str, list[str]] = {}
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("["):
            section = sections.setdefault(line.strip("[]"), {})
        elif line.strip() and not line.startswith(("#", ";")):
            key, _, value = line.partition("=")
            section.setdefault(key, []).append(value)
    return sections


class SystemdUnitTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.source = ETC / "afeed.service"
        self.service = unit(self.source)["Service"]

    def copy(self) -> Path:
        """The unit with a program that exists on this machine, which is all that differs."""
        text = self.source.read_text("utf-8")
        self.assertEqual(text.count("ExecStart=/opt/afeed/bin/twistd "), 1)
        copy = Path(self.mktemp()).absolute() / "afeed.service"
        copy.parent.mkdir(parents=True)
        copy.write_text(text.replace("/opt/afeed/bin/twistd", f'"{sys.executable}"'), "utf-8")
        return copy

    def analyze(self, *arguments: str) -> str:
        done = subprocess.run(
            [program("systemd-analyze"), "--no-pager", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout

    def test_systemd_finds_no_fault(self) -> None:
        self.assertEqual(self.analyze("verify", str(self.copy())), "")

    def test_systemd_calls_its_exposure_low(self) -> None:
        # 10 is a service that may do anything; systemd calls up to 2 "OK".
        self.analyze("security", "--offline=true", "--threshold=20", str(self.copy()))

    def test_waits_for_the_notification_afeed_sends(self) -> None:
        self.assertEqual(self.service["Type"], ["notify"])
        self.assertEqual(self.service["NotifyAccess"], ["main"])

    def test_gives_more_time_to_stop_than_afeed_takes(self) -> None:
        self.assertGreater(int(self.service["TimeoutStopSec"][0]), 5)

    def test_a_faulty_configuration_is_not_tried_again_and_again(self) -> None:
        self.assertEqual(self.service["Restart"], ["on-failure"])
        self.assertEqual(self.service["RestartPreventExitStatus"], ["2"])

    def test_may_write_only_its_state(self) -> None:
        self.assertEqual(self.service["ProtectSystem"], ["strict"])
        self.assertEqual(self.service["StateDirectory"], ["afeed"])
        self.assertNotIn("ReadWritePaths", self.service)


class SupervisordTests(SynchronousTestCase):
    def test_supervisor_reads_it_as_meant(self) -> None:
        text = (ETC / "supervisord.conf").read_text("utf-8")
        place = Path(self.mktemp()).absolute()
        place.mkdir(parents=True)
        # A user, a directory and a log of this machine; everything else as it stands.
        for line, replacement in (
            ("user = afeed\n", ""),
            ("directory = /var/lib/afeed", f"directory = {place}"),
            ("stdout_logfile = /var/log/afeed.log", f"stdout_logfile = {place}/afeed.log"),
        ):
            self.assertEqual(text.count(line), 1, line)
            text = text.replace(line, replacement)
        (place / "supervisord.conf").write_text(text, "utf-8")

        options = ServerOptions()
        options.realize(["-c", str(place / "supervisord.conf")], doc="")
        [group] = options.process_group_configs
        [process] = group.process_configs

        self.assertEqual(process.name, "afeed")
        self.assertEqual(process.stopsignal.name, "SIGTERM")
        self.assertGreater(process.stopwaitsecs, 5)
        self.assertEqual(process.exitcodes, [0, 2])
        self.assertEqual(options.minfds, 65536)

    def test_starts_the_same_command_as_systemd(self) -> None:
        parser = configparser.RawConfigParser(inline_comment_prefixes=(";",))
        parser.read(ETC / "supervisord.conf")
        self.assertEqual(
            shlex.split(parser["program:afeed"]["command"]),
            shlex.split(unit(ETC / "afeed.service")["Service"]["ExecStart"][0]),
        )


class NginxConfigurationTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.server = NginxServer([8080, 8081, 8082])
        self.addCleanup(self.server.close)

    def test_nginx_finds_no_fault(self) -> None:
        status, output = self.server.verdict()
        self.assertEqual(status, 0, output)
        # From 1.25.1 on nginx prefers "http2 on", which the nginx of Debian 12 does not know.
        warnings = [
            line for line in output.splitlines() if "[warn]" in line and '"listen ... http2"' not in line
        ]
        self.assertEqual(warnings, [])

    def test_a_cached_long_poll_outlasts_the_longest_wait(self) -> None:
        values = dict(
            line.strip(" ;").split(None, 1)
            for line in (ETC / "nginx.conf").read_text("utf-8").splitlines()
            if line.startswith("        proxy_cache_lock") or line == "        proxy_read_timeout 45s;"
        )
        self.assertEqual(values["proxy_cache_lock"], "on")
        for name in ("proxy_cache_lock_timeout", "proxy_cache_lock_age", "proxy_read_timeout"):
            self.assertGreater(int(values[name].rstrip("s")), LONGEST_WAIT, name)
