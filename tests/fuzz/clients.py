"""Targets: what clients send, up to the whole front door and an open WebSocket."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from contextlib import ExitStack
from ipaddress import ip_network
from itertools import pairwise
from random import Random
from typing import Any

from twisted.logger import LogEvent, LogLevel, globalLogPublisher

from afeed.core.cursor import MAX_SEQ, Ancestor, parse_cursor, resume
from afeed.core.errors import BadCursor, BadInput
from afeed.core.framing import MAX_CHANGES
from afeed.core.http import Header, client_address, is_internal, query_members
from afeed.core.request import check_body, raw_head, read_target, split_path
from afeed.transports.asking import MAX_WAIT_S, asking
from afeed.web.exchange import Exchange
from afeed.web.reading import RequestReader
from tests.fuzz.engine import Check, Target
from tests.transports.frames import CLOSE, PING, PONG, TEXT, frame, frames
from tests.web.serving import TOKEN, UPGRADE, House, answers, request

_ANCESTORS = (Ancestor("a1", 90), Ancestor("a2", 7))


def _cursor(stack: ExitStack) -> Check:
    def check(case: bytes) -> Hashable:
        text = case.decode("utf-8", "replace")
        try:
            cursor = parse_cursor(text)
        except BadCursor as refusal:
            return str(refusal)
        assert str(cursor) == text and 0 <= cursor.seq <= MAX_SEQ
        for oldest, head in ((1, 0), (1, 100), (50, 100), (101, 100)):
            found = resume(cursor, "k3f9", _ANCESTORS if head else (), oldest, head)
            assert oldest - 1 <= found.seq <= max(head, oldest - 1), (text, oldest, head, found)
            known = cursor.epoch in (None, "k3f9")
            if found.gap is None:  # never a silent gap, and nothing twice
                assert found.seq == cursor.seq or cursor.seq == 0 or not known, (text, found)
            elif found.gap.first is not None and found.gap.last is not None:
                assert found.gap.first <= found.gap.last, (text, found)
        return cursor.epoch is None, cursor.seq > 100

    return check


def _asking(stack: ExitStack) -> Check:
    """The query, and behind a line end the Last-Event-ID."""

    def check(case: bytes) -> Hashable:
        query, newline, last_event_id = case.partition(b"\n")
        try:
            asked = asking(query_members(query), last_event_id if newline else None)
        except (BadInput, BadCursor) as refusal:
            assert len(str(refusal).splitlines()) == 1
            return str(refusal)
        assert 0 <= asked.wait <= MAX_WAIT_S and 1 <= asked.limit <= MAX_CHANGES
        if newline:
            assert str(asked.cursor).encode() == last_event_id
        return asked.rich, asked.cursor is None, asked.wait, asked.limit > 1

    return check


_PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
_INSIDE = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


def _forwarded(stack: ExitStack) -> Check:
    def check(case: bytes) -> Hashable:
        headers: list[Header] = []
        for line in case.split(b"\n"):
            name, _, value = line.partition(b":")
            headers.append((name.lower(), value.strip()))
        assert client_address("203.0.113.9", headers, _PROXIES) == "203.0.113.9"
        client = client_address("10.0.0.1", headers, _PROXIES)
        internal = is_internal("10.0.0.1", headers, _PROXIES, _INSIDE)
        assert not internal or client.startswith("127.") or client.partition("%")[0] == "::1", client
        assert not is_internal("203.0.113.9", headers, _PROXIES, _INSIDE)
        return client.count("."), client.count(":"), internal

    return check


class _Nowhere:
    """A connection of which only the limits matter."""

    closing = False
    common: tuple[Header, ...] = ()


class _Gate:
    """Admits as the front door does; with a memory, also what it has seen before."""

    def __init__(self, memory: bool) -> None:
        self._memory = memory

    def admit(self, method: bytes, version: bytes, url: bytes, headers: list[Header]) -> tuple[Exchange, int]:
        _, path, query = read_target(method, version, url, headers)
        check_body(version, headers, 4096)
        return self._exchange(method, version, path, query, headers), 4096

    def admit_again(self, before: Exchange, url: bytes) -> Exchange | None:
        if not self._memory:
            return None
        return self._exchange(b"GET", b"1.1", *split_path(url), before.headers)

    def _exchange(
        self, method: bytes, version: bytes, path: bytes, query: bytes, headers: list[Header]
    ) -> Exchange:
        connection: Any = _Nowhere()
        return Exchange(connection, method, version, path, query, headers, "127.0.0.1", True)


def _read(
    pieces: Sequence[bytes], memory: bool = False
) -> tuple[list[tuple[Any, ...]], int | None, bytes | None]:
    """The requests, the status of the refusal behind them, and what is left for a WebSocket."""
    reader = RequestReader(_Gate(memory), lambda: 0.0)
    leaving = b""
    found: list[tuple[Any, ...]] = []
    for piece in pieces:
        if reader.refusal is not None:
            break
        if reader.leaving is not None:
            leaving += piece
            continue
        reader.feed(piece)
        found += [
            (one.method, one.target, one.version, one.headers, one.body, one.last) for one in reader.ready
        ]
        reader.ready.clear()
    status = reader.refusal.status if reader.refusal is not None else None
    return found, status, None if reader.leaving is None else reader.leaving + leaving


def _head(stack: ExitStack) -> Check:
    def check(case: bytes) -> Hashable:
        whole = _read([case])
        rng = Random(len(case))
        cuts = sorted({0, len(case), *(int(rng.random() * len(case)) for _ in range(4))})
        pieces = _read([case[start:end] for start, end in pairwise(cuts)])
        # Who remembers the headers of the request before reads the same as who does not.
        others = [case, case.replace(b"/", b"/other?", 1), case, case[:-1], case]
        assert _read(others, memory=True) == _read(others), case
        # Where it is cut decides how much of a request comes before the refusal, not what the requests are.
        least = min(len(whole[0]), len(pieces[0]))
        assert whole[0][:least] == pieces[0][:least], (whole, pieces)
        if whole[1] is None:
            assert whole == pieces, (whole, pieces)
        for method, target, version, headers, body, _ in whole[0]:
            assert len(body) <= 4096
            assert not any(byte in line for header in headers for line in header for byte in b"\r\n\0"), headers
            again, status, _ = _read([raw_head(method, target, version, headers, b"transfer-encoding") + body])
            if not any(name == b"transfer-encoding" for name, _ in headers):
                assert status is None and again[0][:2] == (method, target), (target, again, status)
        return len(whole[0]) if len(whole[0]) < 4 else 4, whole[1], whole[2] is None

    return check


# -- the whole front door


class _Errors:
    """What is logged as an error while a case runs is a defect."""

    def __init__(self) -> None:
        self.events: list[LogEvent] = []

    def __call__(self, event: LogEvent) -> None:
        if event.get("log_level") in (LogLevel.error, LogLevel.critical):
            self.events.append(event)

    def raised(self) -> None:
        """Raise what was logged."""
        events, self.events = self.events, []
        for event in events:
            failure = event.get("log_failure")
            if failure is not None:
                raise failure.value
            raise AssertionError(event.get("log_format"))


def _watched(stack: ExitStack) -> _Errors:
    errors = _Errors()
    globalLogPublisher.addObserver(errors)
    stack.callback(globalLogPublisher.removeObserver, errors)
    return errors


def _front(stack: ExitStack) -> Check:
    errors = _watched(stack)
    house = House()
    stack.callback(house.stop)
    house.post(3)

    def check(case: bytes) -> Hashable:
        caller = house.call()
        try:
            caller.send(case[: len(case) // 2])
            if not caller.closed:
                caller.send(case[len(case) // 2 :])
        finally:
            caller.leave()
        house.page_requests.clear()  # it remembers them for other tests
        received = caller.received
        upgraded = b"HTTP/1.1 101" in received
        found = answers(received.partition(b"HTTP/1.1 101")[0]) if b"HEAD" not in case else []
        errors.raised()
        assert house.nobody_is_left()
        assert b"HTTP/1.1 500" not in received, received
        return upgraded, tuple(answer.status for answer in found[:2])

    return check


def _frames(stack: ExitStack) -> Check:
    errors = _watched(stack)
    house = House()
    stack.callback(house.stop)
    opening = request("/e/ws", *UPGRADE)

    def check(case: bytes) -> Hashable:
        caller = house.call(opening)
        for at in range(0, len(case), 1 + len(case) // 3):
            if caller.transport.disconnected:
                break
            caller.send(case[at : at + 1 + len(case) // 3])
        received = caller.received.partition(b"\r\n\r\n")[2]
        sent = frames(received)
        caller.leave()
        errors.raised()
        house.clock.advance(11)
        assert house.nobody_is_left()
        assert sum(len(one.payload) + 2 + 2 * (len(one.payload) > 125) for one in sent) == len(received), (
            received
        )
        kinds = [one.opcode for one in sent]
        assert set(kinds) <= {TEXT, PING, PONG, CLOSE}, kinds
        assert CLOSE not in kinds[:-1], "something followed the close frame"
        code = sent[-1].code if kinds and kinds[-1] == CLOSE else None
        assert code in (None, 0, 1000, 1001, 1002, 1003, 1007, 1008, 1009) or code >= 3000, code
        return code, kinds.count(PONG) > 0

    return check


_HOST = b"Host: feed.example"
_REQUESTS = (
    request("/e/updates?since=e1:0&wait=0&limit=2", "Accept: */*"),
    request("/e/stream", "Last-Event-ID: e1:1"),
    request("/e/ws", *UPGRADE, "Origin: http://feed.example"),
    request("/e/ws", *UPGRADE) + frame(PING, b"x") + frame(CLOSE, b"\x03\xe8"),
    request("/healthz", method="HEAD"),
    request("/e/items", f"Authorization: Bearer {TOKEN}", "Content-Type: application/json", method="POST",
            body=b'{"id":"1","text":"x"}'),
    b"POST /e/items HTTP/1.1\r\n" + _HOST
    + b"\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n",
    b"GET http://feed.example/e HTTP/1.0\r\n\r\n",
    request("/", "Connection: close") + request("/e"),
    request("/readyz", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c",
    "HTTP2-Settings: AA") + request("/"),
    request("/metrics", "X-Forwarded-For: 10.0.0.1, 127.0.0.1", "Expect: 100-continue"),
)  # fmt: skip
_HTTP_WORDS = (
    b"GET", b"HEAD", b"POST", b"PUT", b"HTTP/1.1", b"HTTP/0.9", b"HTTP/2.0", b"Host: evil.example\r\n", _HOST,
    b"Content-Length: 5\r\n", b"Content-Length: +5\r\n", b"Content-Length: 99999999999999999999\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: identity\r\n", b"Connection: close\r\n",
    b"0\r\n\r\n",
    b"Connection: Upgrade\r\n", b"Upgrade: websocket\r\n", b"Sec-WebSocket-Key: x\r\n",
    b"Expect: 100-continue\r\n",
    b"Sec-WebSocket-Version: 8\r\n", b"Sec-WebSocket-Extensions: permessage-deflate\r\n", b"Origin: null\r\n",
    b"\r\n folded\r\n", b" : ", b"?since=", b"%2e%2e/", b"//evil.example", b"#", b"/e/ws", b"/e/items",
)  # fmt: skip
_QUERIES = (
    b"since=k3f9:42&wait=25&limit=200&render=html", b"wait=0", b"limit=-1", b"", b"since=17",
    b"since=e1:0\nk3f9:42", b"\na1:7",
)  # fmt: skip
_CURSORS = (b"k3f9:42", b"a1:91", b"a2:7", b"17", b"k3f9:0", b"9007199254740991", b"k3f9:9007199254740992")
_HEADERS = (
    b"X-Forwarded-For: 203.0.113.7, 10.0.0.2", b"x-forwarded-for: [2001:db8::1]:443, 127.0.0.1:80\nvia: 1.1 x",
    b"x-forwarded-for: 127.0.0.1", b"forwarded: for=127.0.0.1\nx-forwarded-for: ::1", b"accept: */*",
)  # fmt: skip
_FRAMES = (
    frame(PING, b"hello"), frame(PONG, b"late"), frame(CLOSE, b"\x03\xe8bye"), frame(CLOSE), frame(TEXT, b"{}"),
    frame(TEXT, b"a", fin=False) + frame(0, b"b"), frame(TEXT, b"x" * 200), frame(PING) + frame(PING,
    b"y" * 125),
    frame(3, b"x"), frame(2, rsv=4), frame(CLOSE, b"\x03\xed"), frame(PING, b"x", masked=False),
    frame(PING) * 70,
    frame(PING, b"z", length=b"\x7e\x00\x01"), frame(TEXT, length=b"\x7f" + (1 << 40).to_bytes(8, "big")),
)  # fmt: skip

CLIENTS = (
    Target("cursor", "positions that clients bring back", lambda: _CURSORS, _cursor, (b"k3f9:", b"a1:",
    b"e1:500")),
    Target(
        "asking", "queries and Last-Event-ID", lambda: _QUERIES, _asking, (b"since=", b"wait=", b"limit=",
        b"&", b"\n")
    ),
    Target(
        "forwarded", "who a proxy says has asked", lambda: _HEADERS, _forwarded,
        (b"x-forwarded-for:", b"x-real-ip:", b"10.0.0.9", b"127.0.0.1", b"fe80::1%eth0", b"::ffff:127.0.0.1"),
    ),
    Target("head", "requests, as a reader of bytes", lambda: _REQUESTS, _head, _HTTP_WORDS),
    Target("front", "requests, through the front door", lambda: _REQUESTS, _front, _HTTP_WORDS),
    Target("frames", "frames of a WebSocket that is open", lambda: _FRAMES, _frames, _FRAMES),
)  # fmt: skip
