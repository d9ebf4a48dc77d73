"""Requests that repeat the headers of the one before are read without a parser, and like any other."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.http import Header
from afeed.core.request import split_path
from afeed.web.exchange import Exchange
from afeed.web.reading import RequestReader


class Gate:
    """Admits everybody, and keeps a list of what it was asked: whole heads, and paths alone."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.paths: list[bytes] = []

    def admit(self, method: bytes, version: bytes, url: bytes, headers: list[Header]) -> tuple[Exchange, int]:
        self.heads.append(url)
        return self._exchange(method, version, url, headers), 1000

    def admit_again(self, before: Exchange, url: bytes) -> Exchange | None:
        self.paths.append(url)
        return self._exchange(b"GET", b"1.1", url, before.headers)

    def _exchange(self, method: bytes, version: bytes, url: bytes, headers: list[Header]) -> Exchange:
        connection: Any = None
        return Exchange(connection, method, version, *split_path(url), headers, "127.0.0.1", True)


REST = b"Host: feed.example\r\nAccept: */*\r\n\r\n"
FIRST = b"GET /e/updates?since=e1:1 HTTP/1.1\r\n" + REST


class RepetitionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.gate = Gate()
        self.reader = RequestReader(self.gate, lambda: 0.0)

    def read(self, *pieces: bytes) -> list[Exchange]:
        """The requests, taken out as they come."""
        found = []
        for piece in pieces:
            self.reader.feed(piece)
            found += self.reader.ready
            self.reader.ready.clear()
        return found

    def test_only_the_path_differs(self) -> None:
        first, second = self.read(FIRST, FIRST.replace(b"e1:1", b"e1:27"))
        self.assertEqual((second.path, second.query), (b"/e/updates", b"since=e1:27"))
        self.assertEqual(second.headers, first.headers)
        self.assertEqual(
            (second.method, second.version, second.body, second.last), (b"GET", b"1.1", b"", False)
        )
        self.assertEqual(
            (self.gate.heads, self.gate.paths), ([b"/e/updates?since=e1:1"], [b"/e/updates?since=e1:27"])
        )

    def test_whatever_else_differs_is_read_by_the_parser(self) -> None:
        for other in (
            FIRST.replace(b"*/*", b"*/ *"),
            FIRST.replace(b"GET", b"HEAD"),
            FIRST.replace(b"1.1", b"1.0"),
            FIRST.replace(b" HTTP", b"  HTTP"),
            FIRST.replace(b"GET ", b"GET  "),
            FIRST.replace(b"/e/", b"http://feed.example/e/"),
            FIRST.replace(b"e1:1", b"e1:\x801"),
            FIRST + FIRST,
            FIRST[:-1],
            b"\r\n" + FIRST,
            FIRST.replace(b"GET /e", b"GET /x HTTP/1.1\r\nA: b\r\n\r\nGET /e"),
            REST,
            REST[1:],
        ):
            self.setUp()
            self.read(FIRST)
            self.reader.feed(other)
            self.assertEqual(self.gate.paths, [], other)

    def test_requests_with_a_body_or_the_last_of_a_connection_are_not_remembered(self) -> None:
        for first in (
            FIRST.replace(b"GET", b"POST"),
            FIRST.replace(b"Accept: */*", b"Content-Length: 2") + b"{}",
            FIRST.replace(b"Accept: */*", b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
            FIRST.replace(b"Accept: */*", b"Connection: close"),
            FIRST.replace(b"Accept: */*", b"Expect: 100-continue"),
            FIRST.replace(b"Accept: */*", b"A: " + b"b" * 3000),
        ):
            self.setUp()
            self.read(first)
            if self.reader.refusal is None:
                self.reader.feed(first)
            self.assertEqual(self.gate.paths, [], first)

    def test_the_parser_goes_on_where_it_was(self) -> None:
        other = b"POST /e/items HTTP/1.1\r\nHost: feed.example\r\nContent-Length: 2\r\n\r\n{}"
        found = self.read(FIRST, FIRST, other, FIRST, other[:-1], other[-1:], FIRST)
        self.assertEqual([one.method for one in found], [b"GET", b"GET", b"POST", b"GET", b"POST", b"GET"])
        self.assertEqual([one.body for one in found], [b"", b"", b"{}", b"", b"{}", b""])
        self.assertEqual(len(self.gate.paths), 3)

    def test_nothing_is_kept_when_the_connection_ends(self) -> None:
        self.read(FIRST)
        self.reader.forget()
        self.assertIsNone(self.reader._before)
