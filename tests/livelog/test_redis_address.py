"""Redis URLs."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from afeed.livelog.redis_address import RedisAddress, parse_redis_url


class AddressTests(SynchronousTestCase):
    def test_urls_that_mean_something(self) -> None:
        for url, address in {
            "redis://localhost": RedisAddress(hosts=(("localhost", 6379),)),
            "redis://localhost:6380/3": RedisAddress(hosts=(("localhost", 6380),), db=3),
            "redis://[::1]:6380/": RedisAddress(hosts=(("::1", 6380),)),
            "rediss://h/0": RedisAddress(hosts=(("h", 6379),), tls=True),
            "redis://:p%40ss%2F@h": RedisAddress(hosts=(("h", 6379),), password="p@ss/"),
            "redis://ann:pw@h": RedisAddress(hosts=(("h", 6379),), username="ann", password="pw"),
            "redis+sentinel://:pw@a,b:7/feed/2": RedisAddress(
                hosts=(("a", 26379), ("b", 7)), service="feed", password="pw", db=2
            ),
        }.items():
            self.assertEqual(parse_redis_url(url), address, url)

    def test_urls_that_mean_nothing(self) -> None:
        for url, words in {
            "localhost:6379": "begins with",
            "http://localhost": "begins with",
            "redis://": "needs a host",
            "redis://:secret@/0": "needs a host",
            "redis://:secret@h:99999/0": "port",
            "redis://:secret@h:x/0": "port",
            "redis://:secret@h/zero": "database",
            "redis://:secret@h/0/1": "database",
            "redis://:secret@h/²": "database",
            "redis+sentinel://:secret@h": "names the service",
            "redis+sentinel://h//:secret@a,b/feed": "stand before the first sentinel",
            "redis://ann:x@[secret]/0": "in [brackets]",
        }.items():
            error = self.assertRaises(ValueError, parse_redis_url, url)
            self.assertIn(words, str(error), url)
            self.assertNotIn("secret", str(error))

    def test_a_password_is_never_shown(self) -> None:
        address = parse_redis_url("redis+sentinel://ann:secret@a,b/feed")
        self.assertNotIn("secret", f"{address} {address!r}")
        self.assertEqual(str(address), "a:26379, b:26379 (feed)")
