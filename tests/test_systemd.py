"""Telling systemd."""

from __future__ import annotations

import socket
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase

from afeed.systemd import notify


class NotifyTests(SynchronousTestCase):
    def listen(self, address: str) -> socket.socket:
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(channel.close)
        channel.bind(address)
        channel.settimeout(60)
        return channel

    def directory(self) -> Path:
        folder = TemporaryDirectory()  # a path short enough for a socket
        self.addCleanup(folder.cleanup)
        return Path(folder.name)

    def test_the_state_arrives(self) -> None:
        path = str(self.directory() / "notify")
        channel = self.listen(path)
        notify("READY=1", {"NOTIFY_SOCKET": path})
        self.assertEqual(channel.recv(100), b"READY=1")

    def test_an_abstract_socket(self) -> None:
        name = f"afeed-test-{id(self)}"
        channel = self.listen("\0" + name)
        notify("STOPPING=1", {"NOTIFY_SOCKET": "@" + name})
        self.assertEqual(channel.recv(100), b"STOPPING=1")

    def test_without_systemd_nothing_happens(self) -> None:
        notify("READY=1", {})
        notify("READY=1", {"NOTIFY_SOCKET": ""})

    def test_a_systemd_that_is_gone_does_no_harm(self) -> None:
        notify("READY=1", {"NOTIFY_SOCKET": str(self.directory() / "gone")})

    def test_a_systemd_that_does_not_read_stops_nobody(self) -> None:
        path = str(self.directory() / "notify")
        channel = self.listen(path)
        for _ in range(5000):
            notify("READY=1", {"NOTIFY_SOCKET": path})
        self.assertEqual(channel.recv(100), b"READY=1")
