"""Whom a request is for, and who asks."""

from __future__ import annotations

from ipaddress import ip_network

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.errors import BadInput
from afeed.core.http import (
    Names,
    bounded_number,
    client_address,
    is_internal,
    query_members,
    response_head,
)

PROXIES = (ip_network("10.0.0.0/8"), ip_network("::1/128"))
LOCAL = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


class NamesTests(SynchronousTestCase):
    def test_localhost_and_127_0_0_1_are_one(self) -> None:
        names = Names("http://127.0.0.1:8080")
        for host in (b"127.0.0.1:8080", b"localhost:8080", b"LOCALHOST:8080"):
            self.assertTrue(names.is_ours(host), host)
        for host in (b"", b"127.0.0.1", b"localhost:80", b"evil.example", b"127.0.0.1:8080.evil.example"):
            self.assertFalse(names.is_ours(host), host)

    def test_the_default_port_may_be_given_or_left_out(self) -> None:
        names = Names("https://feed.example.org")
        self.assertTrue(names.is_ours(b"feed.example.org"))
        self.assertTrue(names.is_ours(b"feed.example.org:443"))
        self.assertFalse(names.is_ours(b"feed.example.org:80"))

    def test_ws_02_foreign_origins_may_not_connect(self) -> None:
        names = Names("https://feed.example.org", ["https://wall.example.org"])
        for origin in (
            None,
            b"https://feed.example.org",
            b"https://FEED.example.org",
            b"https://wall.example.org",
        ):
            self.assertTrue(names.may_connect(origin), origin)
        for origin in (
            b"null",
            b"",
            b"https://evil.example",
            b"http://feed.example.org",
            b"https://feed.example.org:8443",
            b"https://feed.example.org.evil.example",
        ):
            self.assertFalse(names.may_connect(origin), origin)


class AddressTests(SynchronousTestCase):
    def test_http_40_only_trusted_proxies_are_believed(self) -> None:
        spoofed = [(b"x-forwarded-for", b"1.2.3.4")]
        self.assertEqual(client_address("203.0.113.9", spoofed, PROXIES), "203.0.113.9")
        self.assertEqual(client_address("10.1.1.1", spoofed, PROXIES), "1.2.3.4")
        self.assertEqual(client_address("10.1.1.1", spoofed, ()), "10.1.1.1")

    def test_http_40_the_last_untrusted_hop_is_the_client(self) -> None:
        chain = [(b"x-forwarded-for", b"6.6.6.6, 198.51.100.7"), (b"x-forwarded-for", b"10.0.0.2")]
        self.assertEqual(client_address("10.1.1.1", chain, PROXIES), "198.51.100.7")

    def test_http_40_long_or_broken_chains_stop_at_what_is_known(self) -> None:
        self.assertEqual(
            client_address("10.1.1.1", [(b"x-forwarded-for", b"junk, 10.0.0.2")], PROXIES), "10.0.0.2"
        )
        self.assertEqual(
            client_address("10.1.1.1", [(b"x-forwarded-for", b"fe80::1%eth0")], PROXIES), "fe80::1%eth0"
        )
        for zone in (b"", b"a b", b"<script>", b"\xff", b"0" * 17):
            chain = [(b"x-forwarded-for", b"fe80::1%" + zone + b", 10.0.0.2")]
            self.assertEqual(client_address("10.1.1.1", chain, PROXIES), "10.0.0.2", zone)
        many = [(b"x-forwarded-for", b", ".join([b"10.0.0.3"] * 5000))]
        self.assertEqual(client_address("10.1.1.1", many, PROXIES), "10.0.0.3")

    def test_an_ipv4_client_on_an_ipv6_socket_is_the_same_client(self) -> None:
        self.assertTrue(is_internal("::ffff:127.0.0.1", [], (), LOCAL))

    def test_http_49_forwarding_headers_from_an_untrusted_peer_are_never_internal(self) -> None:
        self.assertTrue(is_internal("127.0.0.1", [], (), LOCAL))
        for name in (b"x-forwarded-for", b"forwarded", b"x-real-ip"):
            self.assertFalse(is_internal("127.0.0.1", [(name, b"127.0.0.1")], (), LOCAL), name)
        self.assertFalse(is_internal("10.1.1.1", [(b"x-forwarded-for", b"8.8.8.8")], PROXIES, LOCAL))
        self.assertTrue(is_internal("10.1.1.1", [(b"x-forwarded-for", b"127.0.0.1")], PROXIES, LOCAL))

    def test_a_client_that_its_proxy_does_not_name_is_never_internal(self) -> None:
        proxies = (ip_network("127.0.0.0/8"),)  # the proxy on this very machine, which is internal too
        self.assertTrue(is_internal("127.0.0.1", [], proxies, LOCAL))
        for headers in (
            [(b"x-real-ip", b"127.0.0.1")],
            [(b"forwarded", b"for=127.0.0.1")],
            [(b"x-forwarded-proto", b"https")],
            [(b"x-forwarded-port", b"443")],
            [(b"via", b"1.1 proxy")],
            [(b"x-forwarded-for", b"")],
            [(b"x-forwarded-for", b"unknown")],
            [(b"x-forwarded-for", b"_hidden, 127.0.0.1")],
            [(b"x-forwarded-for", b"127.0.0.1, unknown")],
            [(b"x-forwarded-for", b"127.0.0.1:http")],
            [(b"x-forwarded-for", b"203.0.113.7:5555")],
            [(b"x-forwarded-for", b"127.0.0.1"), (b"x-forwarded-for", b"")],
            [(b"x-forwarded-for", b", ".join([b"127.0.0.1"] * 5000))],
        ):
            self.assertFalse(is_internal("127.0.0.1", headers, proxies, LOCAL), headers)
        for headers in ([(b"x-real-ip", b"1.2.3.4")], [(b"x-forwarded-for", b"unknown")]):
            self.assertEqual(client_address("127.0.0.1", headers, proxies), "127.0.0.1")

    def test_a_client_on_the_proxys_own_machine_is_internal(self) -> None:
        proxies = (ip_network("127.0.0.0/8"),)
        for value in (
            b"127.0.0.1",
            b"127.0.0.9:5555",
            b"[::1]",
            b"[::1]:5555",
            b"::1",
            b"127.0.0.1, 127.0.0.2",
        ):
            self.assertTrue(is_internal("127.0.0.1", [(b"x-forwarded-for", value)], proxies, LOCAL), value)

    def test_the_port_that_some_proxies_add_is_no_part_of_the_address(self) -> None:
        for given, address in (
            (b"203.0.113.7:5555", "203.0.113.7"),
            (b"[2001:db8::7]:5555", "2001:db8::7"),
            (b"[2001:db8::7]", "2001:db8::7"),
            (b"2001:db8::7", "2001:db8::7"),
            (b"::ffff:203.0.113.7", "203.0.113.7"),
            (b"203.0.113.7:x", "10.1.1.1"),
            (b"[203.0.113.7", "10.1.1.1"),
        ):
            self.assertEqual(client_address("10.1.1.1", [(b"x-forwarded-for", given)], PROXIES), address)


class QueryTests(SynchronousTestCase):
    def test_members_are_decoded(self) -> None:
        self.assertEqual(
            query_members(b"since=a%3A1&render=html&x="), {"since": "a:1", "render": "html", "x": ""}
        )

    def test_repeated_undecodable_and_too_many_members_are_refused(self) -> None:
        for raw in (
            b"a=1&a=2",
            b"a=%ff",
            b"a=b%00",
            b"%00=b",
            b"\xff=1",
            b"&".join(b"k%d=1" % i for i in range(21)),
        ):
            with self.assertRaises(BadInput):
                query_members(raw)

    def test_http_25_numbers_are_clamped_and_anything_else_is_refused(self) -> None:
        self.assertEqual(bounded_number({}, "limit", 7, 1, 200), 7)
        for text, number in (("0", 1), ("-1", 1), ("5", 5), ("1000000000", 200), ("9" * 24, 200)):
            self.assertEqual(bounded_number({"limit": text}, "limit", 7, 1, 200), number)
        for text in ("", "NaN", "1e9", "5.0", "٣", "+5", "0x5"):
            with self.assertRaises(BadInput):
                bounded_number({"limit": text}, "limit", 7, 1, 200)


class HeadTests(SynchronousTestCase):
    def test_a_head_without_length_ends_with_the_connection(self) -> None:
        self.assertEqual(
            response_head(200, [(b"A", b"b")], None, False),
            b"HTTP/1.1 200 OK\r\nA: b\r\nConnection: close\r\n\r\n",
        )
        self.assertEqual(
            response_head(204, [], 0, False), b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"
        )
