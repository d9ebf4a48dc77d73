"""afeed as a process: started and stopped in every way there is, killed, misconfigured, and what it says."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.servers.afeed import PROJECT, PUSH_TOKEN, SLUG, AfeedServer
from tests.servers.process import ServerProcess, free_port, wait_until

TWISTD = str(Path(sys.executable).with_name("twistd"))
TWIST = str(Path(sys.executable).with_name("twist"))
#: What afeed has to stop in (docs/architecture.rst, promise 9), and what a busy machine may add to it;
#: :mod:`tests.test_node` has it to the second, with a clock of its own.
STOP_S, SLACK_S = 5.0, 10.0
#: How a process ends after SIGTERM: twistd stops in order and then by that very signal, twist with status 0.
STOPPED = (-signal.SIGTERM, 0)
#: The user that owns nothing.
UNPRIVILEGED = 65534


def surroundings(**more: str) -> dict[str, str]:
    """The environment in which the tests start programs by hand."""
    return {**os.environ, "PYTHONPATH": str(PROJECT), "AFEED_PUSH_TOKEN": PUSH_TOKEN, **more}


def run(command: Sequence[str], directory: Path, **more: str) -> tuple[int, str]:
    """Exit status and output of a program that is expected to end."""
    done = subprocess.run(
        list(command),
        cwd=directory,
        env=surroundings(**more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout


def alive(pid: int) -> bool:
    """Whether a process that is not our child still runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class Pusher(threading.Thread):
    """Publishes numbered items one after the other, as a careful program does: what was not answered is sent
    again.  ``accepted`` are those that were answered 201."""

    def __init__(self, server: AfeedServer) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._enough = threading.Event()
        self.accepted: list[str] = []
        self.refused = 0

    def run(self) -> None:
        number = 0
        while not self._enough.is_set():
            try:
                self._server.push({"id": str(number), "text": f"post {number}"})
            except (OSError, AssertionError):
                self.refused += 1  # not answered, or 503 while it stops
                self._enough.wait(0.01)
                continue
            self.accepted.append(f"push:{number}")
            number += 1

    def stop(self) -> list[str]:
        """Stop, and return what was accepted."""
        self._enough.set()
        self.join(120)
        assert not self.is_alive()
        return self.accepted


class ProcessTestCase(SynchronousTestCase):
    def server(self, **options: str) -> AfeedServer:
        server = AfeedServer(**options)  # type: ignore[arg-type]
        self.addCleanup(server.close)
        return server

    def assertContinues(self, server: AfeedServer, accepted: Sequence[str], cursor: str) -> None:
        """Everything accepted is there once, the numbers are whole, and ``cursor`` goes on without a gap."""
        changes = server.changes()
        self.assertEqual([change["seq"] for change in changes], list(range(1, len(changes) + 1)))
        posted = [change["item"]["id"] for change in changes if change["type"] == "item.posted"]
        self.assertEqual(len(posted), len(set(posted)), "shown twice")
        self.assertEqual(set(accepted) - set(posted), set(), "lost")
        rest = list(range(int(cursor.rpartition(":")[2]) + 1, len(changes) + 1))
        self.assertIsNone(server.updates(cursor)["gap"])
        self.assertEqual([change["seq"] for change in server.updates(cursor)["changes"]], rest[:200])
        [result] = server.push({"id": "afterwards", "text": "it goes on"})
        self.assertEqual(result["seq"], len(changes) + 1)

    def stop_in_time(self, server: ServerProcess) -> None:
        began = time.monotonic()
        self.assertIn(server.stop(), STOPPED, server.output())
        self.assertLess(time.monotonic() - began, STOP_S + SLACK_S)


class RunningTests(ProcessTestCase):
    def test_twistd_in_the_foreground(self) -> None:
        server = self.server()
        server.start()
        self.assertEqual(server.request(f"/{SLUG}")[0], 200)
        self.stop_in_time(server)

    def test_twist(self) -> None:
        server = self.server()
        server.spawn([TWIST, "afeed", "--config", str(server.config_path)], env=surroundings())
        server.wait_ready()
        self.assertEqual(server.request(f"/{SLUG}")[0], 200)
        self.stop_in_time(server)

    def test_twistd_as_a_daemon(self) -> None:
        server = self.server()
        pidfile, logfile = server.directory / "afeed.pid", server.directory / "afeed.log"
        status, output = run(
            [
                TWISTD,
                f"--pidfile={pidfile}",
                f"--logfile={logfile}",
                "afeed",
                "--config",
                str(server.config_path),
            ],
            server.directory,
        )
        self.assertEqual(status, 0, output)
        wait_until(lambda: pidfile.exists() and bool(pidfile.read_text("ascii")), "the daemon's pid file")
        pid = int(pidfile.read_text("ascii"))
        self.addCleanup(lambda: os.kill(pid, signal.SIGKILL) if alive(pid) else None)

        def ready() -> bool:
            try:
                return server.request("/readyz")[0] == 200
            except OSError:
                return False

        wait_until(ready, "the daemon to be ready")
        [result] = server.push({"id": "1", "text": "from outside"})
        self.assertEqual(result["seq"], 1)
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not alive(pid), "the daemon to end", STOP_S + SLACK_S)
        self.assertFalse(pidfile.exists())
        for line in logfile.read_text("utf-8").splitlines():
            self.assertLessEqual({"time", "level", "system", "message"}, set(json.loads(line)), line)

    def test_a_daemon_that_cannot_start_says_so_and_ends(self) -> None:
        server = self.server()
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", server.port))
            taken.listen()
            pidfile, logfile = server.directory / "afeed.pid", server.directory / "afeed.log"
            command = [TWISTD, f"--pidfile={pidfile}", f"--logfile={logfile}", "afeed"]
            status, output = run([*command, "--config", str(server.config_path)], server.directory)
        self.assertEqual(status, 1, output)
        self.assertIn(str(server.port), output)
        self.assertIn("cannot listen", logfile.read_text("utf-8"))
        self.assertFalse(pidfile.exists())

    def test_a_socket_that_systemd_has_not_handed_over_is_named(self) -> None:
        server = self.server()
        text = server.config_path.read_text("utf-8")
        endpoint = "systemd:domain=INET:index=0"
        server.config_path.write_text(re.sub(r'"tcp:[^"]*"', f'"{endpoint}"', text), "utf-8")
        command = [TWISTD, "-n", "--pidfile=", "afeed", "--config", str(server.config_path)]
        status, output = run(command, server.directory)
        self.assertEqual(status, 1, output)
        self.assertIn(f"cannot listen on {endpoint}: systemd has handed over no such socket", output)
        self.assertNotIn("Traceback", output)

    def test_without_a_configuration_it_shows_the_demo(self) -> None:
        server = self.server()
        home = server.directory / "home"
        home.mkdir()
        # The demo has a fixed address, which this machine may be using: look at what it would run.
        status, output = run([TWISTD, "-n", "--pidfile=", "afeed", "--check-config"], home, HOME=str(home))
        self.assertEqual(status, 0, output)
        self.assertIn("127.0.0.1", output)
        self.assertIn("demo", output)
        self.assertEqual(list(home.iterdir()), [])

    def test_standard_output_has_one_json_object_per_line(self) -> None:
        server = self.server()
        server.start()
        server.stop()
        entries = [json.loads(line) for line in server.output().splitlines()]
        self.assertTrue(entries)
        for entry in entries:
            self.assertLessEqual({"time", "level", "system", "message"}, set(entry))


if os.geteuid() == 0:  # nobody else has privileges to shed; tests/test_node.py has the order for everybody

    class PrivilegeTests(ProcessTestCase):
        def test_what_twistd_makes_belongs_to_the_user_whom_it_becomes(self) -> None:
            server = self.server()
            os.chmod(server.directory, 0o755)
            home = server.directory / "home"
            home.mkdir()
            os.chown(home, UNPRIVILEGED, UNPRIVILEGED)
            text = server.config_path.read_text("utf-8").replace("var", "home/var")
            server.config_path.write_text(text, "utf-8")
            as_nobody = [f"--uid={UNPRIVILEGED}", f"--gid={UNPRIVILEGED}"]
            command = [TWISTD, "-n", "--pidfile=", *as_nobody, "afeed", "--config", str(server.config_path)]
            for _ in range(2):
                server.spawn(command, env=surroundings())
                server.wait_ready()
                server.push({"id": "1", "text": "kept"})
                self.stop_in_time(server)
            made = [home / "var", *(home / "var").iterdir()]
            self.assertGreater(len(made), 2)
            self.assertEqual({path.stat().st_uid for path in made}, {UNPRIVILEGED}, made)

        def test_a_data_directory_that_this_user_may_not_make_is_named(self) -> None:
            server = self.server()
            os.chmod(server.directory, 0o755)
            as_nobody = [f"--uid={UNPRIVILEGED}", f"--gid={UNPRIVILEGED}"]
            command = [TWISTD, "-n", "--pidfile=", *as_nobody, "afeed", "--config", str(server.config_path)]
            status, output = run(command, server.directory)
            self.assertEqual(status, 1, output)
            self.assertIn(str(server.directory / "var"), output)
            self.assertNotIn("Traceback", output)


class StoppingTests(ProcessTestCase):
    def test_sigterm_while_items_come_in_loses_nothing(self) -> None:
        server = self.server()
        server.start()
        [first] = server.push({"id": "before", "text": "before"})
        cursor = server.updates()["cursor"]
        pusher = Pusher(server)
        pusher.start()
        wait_until(lambda: len(pusher.accepted) >= 20, "some items to be accepted")
        self.stop_in_time(server)
        accepted = pusher.stop()
        server.start()
        self.assertEqual(first["seq"], 1)
        self.assertContinues(server, ["push:before", *accepted], cursor)

    def test_viewers_are_told_to_come_back(self) -> None:
        server = self.server()
        server.start()
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as viewer:
            viewer.sendall(
                f"GET /{SLUG}/stream HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode("ascii")
            )
            received = b""
            while b"event: hello" not in received:
                received += viewer.recv(65536)
            self.stop_in_time(server)
            while data := viewer.recv(65536):
                received += data
        self.assertIn(b'event: bye\ndata: {"type":"bye","retry_ms":', received)

    def test_a_second_sigterm_does_no_harm(self) -> None:
        server = self.server()
        server.start()
        server.push({"id": "1", "text": "kept"})
        server.signal(signal.SIGTERM)
        server.signal(signal.SIGTERM)
        server.wait()
        server.start()
        self.assertContinues(server, ["push:1"], server.updates("1")["cursor"])

    def test_systemd_is_told_of_the_start_and_the_stop(self) -> None:
        server = self.server()
        address = server.directory / "notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
            systemd.bind(str(address))
            systemd.settimeout(60)
            command = [TWISTD, "-n", "--pidfile=", "afeed", "--config", str(server.config_path)]
            server.spawn(command, env=surroundings(NOTIFY_SOCKET=str(address)))
            self.assertEqual(systemd.recv(1024), b"READY=1")
            self.assertEqual(server.request(f"/{SLUG}")[0], 200)
            server.signal(signal.SIGTERM)
            self.assertEqual(systemd.recv(1024), b"STOPPING=1")
        self.assertIn(server.wait(), STOPPED, server.output())


class KillingTests(ProcessTestCase):
    def test_kill_9_while_items_come_in_loses_nothing_and_shows_nothing_twice(self) -> None:
        server = self.server()
        server.start()
        pusher = Pusher(server)
        pusher.start()
        cursor = ""
        for more in (15, 40, 80):
            wait_until(lambda more=more: len(pusher.accepted) >= more, f"{more} items to be accepted")  # type: ignore[misc]
            cursor = cursor or server.updates()["cursor"]
            server.kill()
            server.start()
        accepted = pusher.stop()
        self.assertGreaterEqual(len(accepted), 80)
        self.assertContinues(server, accepted, cursor)


class RefusalTests(ProcessTestCase):
    def check(self, server: AfeedServer, *more: str) -> tuple[int, str]:
        command = [TWISTD, "-n", "--pidfile=", "afeed", "--config", str(server.config_path), *more]
        return run(command, server.directory)

    def test_check_config_says_what_would_run(self) -> None:
        server = self.server()
        status, output = self.check(server, "--check-config")
        self.assertEqual(status, 0, output)
        self.assertIn(SLUG, output)
        self.assertFalse((server.directory / "var").exists(), "something was opened")

    def break_configuration(self, server: AfeedServer) -> None:
        text = server.config_path.read_text("utf-8")
        server.config_path.write_text(
            text.replace('timezone = "UTC"', 'timezone = "Mars/Olympus"\nfoo = 1'), "utf-8"
        )

    def test_check_config_reports_every_mistake_with_its_line(self) -> None:
        server = self.server()
        self.break_configuration(server)
        status, output = self.check(server, "--check-config")
        self.assertEqual(status, 2, output)
        lines = server.config_path.read_text("utf-8").splitlines()
        for mistake in ("timezone", "foo"):
            number = next(index for index, line in enumerate(lines, 1) if line.startswith(f"{mistake} ="))
            self.assertIn(f"afeed.toml:{number}: ", output)
            self.assertIn(mistake, output)

    def test_a_faulty_configuration_does_not_start(self) -> None:
        server = self.server()
        self.break_configuration(server)
        self.assertEqual(self.check(server)[0], 2)

    def test_a_faulty_configuration_is_reported_before_daemonising(self) -> None:
        server = self.server()
        self.break_configuration(server)
        pidfile = server.directory / "afeed.pid"
        status, output = run(
            [TWISTD, f"--pidfile={pidfile}", "afeed", "--config", str(server.config_path)], server.directory
        )
        self.assertEqual(status, 2, output)
        self.assertIn("Mars/Olympus", output)
        self.assertFalse(pidfile.exists())

    def test_a_configuration_that_does_not_exist(self) -> None:
        server = self.server()
        server.config_path.unlink()
        status, output = self.check(server)
        self.assertEqual(status, 2, output)
        self.assertIn("afeed.toml", output)
        self.assertNotIn("Traceback", output)

    def test_a_missing_secret(self) -> None:
        server = self.server()
        text = server.config_path.read_text("utf-8")
        server.config_path.write_text(text.replace("AFEED_PUSH_TOKEN", "AFEED_NO_SUCH_TOKEN"), "utf-8")
        status, output = self.check(server)
        self.assertEqual(status, 2, output)
        self.assertIn("AFEED_NO_SUCH_TOKEN", output)

    def test_a_port_in_use_is_named(self) -> None:
        server = self.server()
        with socket.create_server(("127.0.0.1", server.port)):
            status, output = self.check(server)
        self.assertEqual(status, 1, output)
        self.assertIn(str(server.port), output)
        self.assertNotIn("Traceback", output)

    def test_a_data_directory_in_use_is_named(self) -> None:
        server = self.server()
        server.start()
        text = server.config_path.read_text("utf-8")
        other = server.directory / "other.toml"
        other.write_text(text.replace(str(server.port), str(free_port())), "utf-8")
        command = [TWISTD, "-n", "--pidfile=", "afeed", "--config", str(other)]
        status, output = run(command, server.directory)
        self.assertEqual(status, 1, output)
        self.assertIn(str(server.directory / "var"), output)
        self.assertNotIn("Traceback", output)


class SecretTests(ProcessTestCase):
    """Every secret is a canary that must not be seen anywhere but where it belongs."""

    X, FLICKR, PUSH, SQL = ("canary-x-7f1c", "canary-flickr-93ab", PUSH_TOKEN, "canary-sql-55e0")

    def watched(self, text: str, where: str) -> None:
        for secret in (self.X, self.FLICKR, self.PUSH, self.SQL):
            self.assertNotIn(secret, text, where)

    def test_secrets_stay_out_of_logs_health_and_errors_when_everything_fails(self) -> None:
        closed = free_port()
        secrets = {"AFEED_X": self.X, "AFEED_FLICKR": self.FLICKR, "AFEED_SQL": self.SQL}
        server = AfeedServer(
            archive=f"postgresql+psycopg://afeed@127.0.0.1:{closed}/afeed",
            sources='[[events.sources]]\ntype = "x"\nrule = "#rehearsal"\n'
            '[[events.sources]]\ntype = "flickr"\ntags = ["rehearsal"]\ninterval_s = 10\n',
            extra=f'[accounts.x]\nbearer_token_env = "AFEED_X"\napi_url = "http://127.0.0.1:{closed}"\n'
            f'[accounts.flickr]\napi_key_env = "AFEED_FLICKR"\napi_url = "http://127.0.0.1:{closed}/rest"\n',
            env=secrets,
        )
        self.addCleanup(server.close)
        text = server.config_path.read_text("utf-8")
        server.config_path.write_text(
            text.replace("[store]", '[store]\narchive_password_env = "AFEED_SQL"'), "utf-8"
        )
        status, output = run(
            [TWISTD, "-n", "--pidfile=", "afeed", "--config", str(server.config_path), "--check-config"],
            server.directory,
            **secrets,
        )
        self.assertEqual(status, 0, output)
        self.watched(output, "--check-config")

        server.launch()

        def complains() -> bool:
            assert server.running, server.output()
            try:
                told = server.request("/healthz")[2].decode()
            except OSError:
                return False
            return told.count('"failed"') + told.count('"degraded"') >= 3

        wait_until(complains, "three components to say that they fail")
        answers: list[tuple[int, Mapping[str, str], bytes]] = [
            server.request("/healthz"),
            server.request("/readyz"),
            server.request("/metrics"),
            server.request(f"/{SLUG}?before=5"),
            server.request(
                f"/{SLUG}/items", method="POST", body=b"{}", headers={"Authorization": "Bearer wrong"}
            ),
            server.request(
                f"/{SLUG}/items",
                method="POST",
                body=b'{"id":',
                headers={"Authorization": f"Bearer {self.PUSH}", "Content-Type": "application/json"},
            ),
        ]
        for status, headers, body in answers:
            self.watched(f"{status} {headers} {body.decode('utf-8', 'replace')}", "an answer")
        server.stop()
        self.watched(server.output(), "the log")
