"""``rediss://``: a real Redis that speaks TLS, and everything for which a connection to one must be refused."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from afeed.livelog.redis import RedisLog
from tests.livelog.contract import eventually, new
from tests.livelog.patience import Patience
from tests.livelog.samples import post
from tests.servers.certificates import Authority
from tests.servers.redis import Redis

#: Which file OpenSSL reads the authorities from, in place of the system's.
VARIABLE = "SSL_CERT_FILE"


class TlsTests(TestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir(parents=True)
        self.patience = Patience(self)
        self.authority = Authority(self.directory)
        self.server = Redis()
        self.addCleanup(self.server.close)
        before = os.environ.get(VARIABLE)
        self.addCleanup(lambda: os.environ.pop(VARIABLE, None) if before is None else self.trust(Path(before)))
        self.trust(self.authority.path)

    def trust(self, path: Path) -> None:
        os.environ[VARIABLE] = str(path)

    async def open(self, url: str) -> RedisLog:
        log = RedisLog(url, reactor, lambda: 0.0, Random(1), window=10, max_log_bytes=10**9)
        self.addCleanup(log.stop)
        await log.start(["e"], [])
        return log

    async def refused(self, url: str, *words: str) -> None:
        """The server was told nothing, least of all the password; and health says why, with ``words``."""
        log = await self.open(url.replace("://", "://:a-secret@"))
        self.assertEqual(log.check().state, "failed")
        # The first attempts may just have taken too long.
        await eventually(lambda: all(word in log.check().detail for word in words), f"the words {words}")
        check = log.check()
        self.assertFalse(log._hints.up)
        self.assertNotIn("a-secret", check.detail)
        commands = self.server.cli("INFO", "commandstats")
        for told in ("auth", "script", "subscribe"):
            self.assertNotIn(f"cmdstat_{told}", commands)

    async def test_a_log_is_kept_through_tls(self) -> None:
        log = await self.open(self.server.start_tls(*self.authority.issue("127.0.0.1")))
        self.assertEqual(await log.append("e", None, [post(1)]), new(1))
        await eventually(lambda: log._hints.up, "the hint channel")
        self.assertEqual(log.check().state, "ok", log.check())
        self.assertEqual(self.server.cli("EXISTS", "afeed:{e}:meta"), "1")

    async def test_a_connection_that_ends_is_made_again(self) -> None:
        log = await self.open(self.server.start_tls(*self.authority.issue("127.0.0.1")))
        for kind in ("normal", "pubsub"):
            self.server.cli("CLIENT", "KILL", "TYPE", kind)
        await eventually(lambda: log._link.up and log._hints.up, "both connections")
        self.assertEqual(await log.append("e", None, [post(1)]), new(1))

    async def test_a_certificate_for_another_host_is_refused(self) -> None:
        url = self.server.start_tls(*self.authority.issue("redis.example.org"))
        await self.refused(url, "the host in live_log is not one that the certificate of Redis names")

    async def test_a_certificate_that_has_expired_is_refused(self) -> None:
        url = self.server.start_tls(*self.authority.issue("127.0.0.1", begins=-9))
        await self.refused(url, "certificate verify failed", "valid now")

    async def test_a_certificate_that_is_not_valid_yet_is_refused(self) -> None:
        url = self.server.start_tls(*self.authority.issue("127.0.0.1", begins=2))
        await self.refused(url, "certificate verify failed")

    async def test_an_authority_that_nobody_trusts_is_refused(self) -> None:
        self.trust(Authority(self.directory, "Another authority").path)
        url = self.server.start_tls(*self.authority.issue("127.0.0.1"))
        await self.refused(url, "certificate verify failed", "update-ca-certificates", VARIABLE)

    async def test_a_server_that_speaks_no_tls_is_refused(self) -> None:
        self.server.start()
        self.patience.ends()
        await self.refused(f"rediss://127.0.0.1:{self.server.port}/0", "did not answer", "speaks TLS")

    async def test_a_server_that_wants_a_certificate_of_afeed_s_is_told_as_such(self) -> None:
        url = self.server.start_tls(*self.authority.issue("127.0.0.1"), "--tls-auth-clients", "yes")
        await self.refused(url, "certificate required", "tls-auth-clients no")

    async def test_a_good_certificate_is_taken_as_soon_as_it_is_there(self) -> None:
        url = self.server.start_tls(*self.authority.issue("127.0.0.1", begins=-9))
        log = await self.open(url)
        self.assertEqual(log.check().state, "failed")
        certificate, key = self.authority.issue("127.0.0.1")
        setting = ("tls-cert-file", str(certificate), "tls-key-file", str(key))
        self.server.cli("CONFIG", "SET", *setting, "tls-ca-cert-file", str(certificate))
        await eventually(lambda: log.check().state == "ok", "health to turn green")
