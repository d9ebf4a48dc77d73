"""Whether a live log may be kept in a server, by what that says of itself."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.errors import LogUnavailable
from afeed.livelog.redis_health import advice
from afeed.livelog.redis_server import Server, examine


def info(**changed: str) -> bytes:
    """A good server's reply to INFO, with what is ``changed``."""
    report = {"run_id": "r", "aof_enabled": "1", "role": "master", "maxmemory_policy": "noeviction", **changed}
    return b"# Server\r\n" + "".join(f"{name}:{value}\r\n" for name, value in report.items()).encode()


class ExamineTests(SynchronousTestCase):
    def refused(self, **changed: str) -> str:
        return str(self.assertRaises(LogUnavailable, examine, info(**changed)))

    def test_a_good_server(self) -> None:
        self.assertEqual(examine(info()), Server("r", None))

    def test_a_policy_that_evicts_anything_is_refused(self) -> None:
        for policy in ("allkeys-lru", "allkeys-lfu", "allkeys-random", "one-that-is-yet-to-come"):
            trouble = self.refused(maxmemory_policy=policy)
            self.assertIn(policy, trouble)
            self.assertIn("CONFIG SET maxmemory-policy noeviction", advice(trouble))

    def test_a_policy_that_evicts_what_has_a_time_limit_is_a_warning_for_that_is_the_lease(self) -> None:
        for policy in ("volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"):
            warning = examine(info(maxmemory_policy=policy)).warning
            assert warning is not None
            self.assertIn(f"may evict the lease of the leading node (maxmemory-policy {policy})", warning)
            self.assertIn("set maxmemory-policy noeviction", warning)

    def test_all_that_is_worth_a_warning_is_told(self) -> None:
        warning = examine(info(maxmemory_policy="volatile-lru", aof_enabled="0")).warning
        assert warning is not None
        self.assertIn("set appendonly yes. ", warning)
        self.assertIn("noeviction", warning)

    def test_a_server_that_cannot_be_used_is_refused(self) -> None:
        self.assertIn("loading", self.refused(loading="1"))
        self.assertIn("replica", self.refused(role="slave"))
        self.assertRaises(LogUnavailable, examine, b"aof_enabled:1\r\n")
