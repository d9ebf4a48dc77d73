"""Endpoint strings: what afeed accepts, Twisted accepts as well."""

from __future__ import annotations

import subprocess

from twisted.internet.endpoints import serverFromString
from twisted.internet.testing import MemoryReactor
from twisted.trial.unittest import SynchronousTestCase

from afeed.configuration.endpoints import endpoint, public_url
from afeed.configuration.problems import Wrong
from tests.configuration.files import temporary_folder
from tests.servers.process import program


class EndpointTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = temporary_folder(self)

    def _wrong(self, value: str) -> str:
        return str(self.assertRaises(Wrong, endpoint(self.folder), value))

    def test_what_is_accepted_can_be_listened_on(self) -> None:
        for value in (
            "tcp:8080",
            "tcp:port=8080:interface=0.0.0.0:backlog=1000",
            r"tcp:8080:interface=\:\:1",
            "tcp6:8080",
            f"unix:{self.folder}/http.sock:mode=660:lockfile=0",
        ):
            self.assertEqual(endpoint(self.folder)(value), value)
            self.assertIsNotNone(serverFromString(MemoryReactor(), value))

    def test_a_systemd_socket_is_accepted(self) -> None:
        for value in ("systemd:domain=INET:index=0", "systemd:INET6:name=http"):
            self.assertEqual(endpoint(self.folder)(value), value)

    def test_config_07_ports(self) -> None:
        for port in ("80a", "0", "-1", "65536", "", "8_0", "+80", "1" * 5000, "٨٠"):
            self.assertIn("1 to 65535", self._wrong(f"tcp:{port}"), port)

    def test_strings_that_are_no_endpoint(self) -> None:
        for value in (
            "",
            "8080",
            "http:8080",
            "TCP:8080",
            "tcp=1:8080",
            "stdio:",
            "launchd:x",
            "haproxy:tcp:8080",
        ):
            self.assertIn("tcp:8080", self._wrong(value))

    def test_options_that_make_no_sense(self) -> None:
        for value, message in (
            ("tcp:8080:127.0.0.1", "too many parts"),
            ("tcp:8080:port=8081", "too many parts"),
            ("tcp:8080:interfaces=127.0.0.1", "know no 'interfaces'"),
            ("tcp:8080:interface=localhost", "must be an IP address"),
            ("tcp:8080:interface=::1", "too many parts"),
            ("tcp:8080:backlog=0", "backlog"),
            ("unix:", "needs a path"),
            ("unix:.", "is a folder"),
            ("unix:nowhere/http.sock", "there is no folder"),
            ("unix:http.sock:mode=888", "octal"),
            ("unix:http.sock:lockfile=yes", "lockfile"),
            (f"unix:{'a' * 120}", "107 bytes"),
            ("systemd:domain=INET", "either index or name"),
            ("systemd:domain=INET:index=x", "must be a number"),
            ("systemd:domain=TCP:index=0", "INET, INET6 or UNIX"),
            ("ssl:443", "privateKey"),
            ("ssl:443:privateKey=none.pem", "cannot read privateKey"),
        ):
            self.assertIn(message, self._wrong(value), value)

    def test_relative_paths_start_at_the_configuration(self) -> None:
        self.assertEqual(endpoint(self.folder)("unix:http.sock"), f"unix:{self.folder}/http.sock")

    def test_a_colon_in_a_resolved_path_stays_one_argument(self) -> None:
        folder = self.folder / "a:b=c"
        folder.mkdir()
        resolved = endpoint(folder)("unix:http.sock")
        serverFromString(reactor := MemoryReactor(), resolved).listen(object())  # type: ignore[arg-type]
        self.assertEqual(reactor.unixServers[0][0], f"{folder}/http.sock")

    def test_config_32_certificate_and_key_must_belong_together(self) -> None:
        for name in ("a", "b"):
            self._certificate(name)
        self.assertEqual(
            endpoint(self.folder)("ssl:8443:privateKey=a.key:certKey=a.crt"),
            f"ssl:8443:privateKey={self.folder}/a.key:certKey={self.folder}/a.crt",
        )
        self.assertIn("KEY_VALUES_MISMATCH", self._wrong("ssl:8443:privateKey=a.key:certKey=b.crt"))
        self.assertIn(
            "cannot read extraCertChain", self._wrong("ssl:8443:privateKey=a.key:extraCertChain=no.pem")
        )

    def test_config_32_an_encrypted_key_is_refused_and_nobody_is_asked_for_its_password(self) -> None:
        self._certificate("a", "-passout", "pass:abcdefgh")
        self.assertIn("encrypted key", self._wrong("ssl:8443:privateKey=a.key:certKey=a.crt"))

    def test_the_public_url_of_an_endpoint(self) -> None:
        self.assertEqual(public_url("tcp:8081:interface=127.0.0.1"), "http://127.0.0.1:8081")
        self.assertEqual(public_url("ssl:port=8443:privateKey=a"), "https://127.0.0.1:8443")
        self.assertIsNone(public_url("unix:/run/afeed.sock"))

    def _certificate(self, name: str, *password: str) -> None:
        subprocess.run(
            [
                program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                "-subj", "/CN=localhost", "-days", "2", "-keyout", f"{name}.key", "-out", f"{name}.crt",
                *(password or ("-nodes",)),
            ],
            cwd=self.folder, check=True, capture_output=True, timeout=60,
        )  # fmt: skip
