"""Requests with deadlines, limits and no redirects."""

from __future__ import annotations

import gzip
from typing import Any

from treq.client import HTTPClient
from treq.testing import RequestTraversalAgent
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from afeed.sources.http import (
    USER_AGENT,
    Answer,
    HttpFault,
    IdentityAgent,
    discard,
    fetch,
    header,
    make_client,
    open_stream,
    read_body,
)
from tests.servers.process import PATIENCE_S, free_port

URL = "http://api.example/2/things?key=s3cret"


class Canned(Resource):
    """Answers every request alike and remembers them."""

    isLeaf = True

    def __init__(self, status: int = 200, headers: dict[str, str] | None = None, body: bytes = b"{}") -> None:
        super().__init__()
        self.status, self.headers, self.body = status, headers or {}, body
        self.requests: list[Any] = []
        self.bodies: list[bytes] = []

    def render(self, request: Any) -> bytes:
        self.requests.append(request)
        self.bodies.append(request.content.read())
        request.setResponseCode(self.status)
        for name, value in self.headers.items():
            request.setHeader(name, value)
        return self.body


class Silent(Resource):
    """Never answers; ``head`` sends the head and the start of a body first."""

    isLeaf = True

    def __init__(self, head: bool = False) -> None:
        super().__init__()
        self.head = head
        self.gone: list[Deferred[Any]] = []

    def render(self, request: Any) -> int:
        self.gone.append(request.notifyFinish())
        self.gone[-1].addErrback(lambda _: None)
        if self.head:
            request.write(b"{")
        return NOT_DONE_YET


def client(resource: Resource) -> HTTPClient:
    return HTTPClient(IdentityAgent(RequestTraversalAgent(resource)))


class FetchTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()

    def fetch(self, resource: Resource, **options: Any) -> Deferred[Answer]:
        options.setdefault("clock", self.clock)
        return Deferred.fromCoroutine(fetch(client(resource), "GET", URL, **options))

    def fault(self, resource: Resource, **options: Any) -> HttpFault:
        return self.failureResultOf(self.fetch(resource, **options), HttpFault).value

    def test_answer_has_status_headers_and_body(self) -> None:
        answer = self.successResultOf(self.fetch(Canned(404, {"X-Why": "none"}, b'{"a":1}')))
        self.assertEqual((answer.status, answer.body), (404, b'{"a":1}'))
        self.assertEqual(header(answer.headers, "x-why"), "none")
        self.assertIsNone(header(answer.headers, "x-nothing"))

    def test_says_who_asks_and_wants_no_compression(self) -> None:
        resource = Canned()
        self.successResultOf(self.fetch(resource, params=[("b", "1 ä")], headers={"Authorization": "Bearer t"}))
        (request,) = resource.requests
        self.assertEqual(request.getHeader("user-agent"), USER_AGENT)
        self.assertEqual(request.requestHeaders.getRawHeaders("accept-encoding"), ["identity"])
        self.assertEqual(request.getHeader("authorization"), "Bearer t")
        self.assertEqual(request.args, {b"key": [b"s3cret"], b"b": ["1 ä".encode()]})

    def test_no_redirect_is_followed_and_the_fault_names_the_target_only(self) -> None:
        for target in ("http://evil.example/?x=1", "https://user:pw@api.example/", "/login", "http://[broken"):
            resource = Canned(302, {"Location": target})
            fault = self.fault(resource)
            self.assertEqual(fault.kind, "redirect")
            self.assertEqual(len(resource.requests), 1)
            self.assertNotIn("s3cret", str(fault))
            self.assertNotIn("pw", str(fault))
        self.assertIn(
            "redirects to http://evil.example;",
            str(self.fault(Canned(307, {"Location": "http://evil.example/?x"}))),
        )

    def test_body_beyond_the_limit_is_a_fault(self) -> None:
        self.assertEqual(len(self.successResultOf(self.fetch(Canned(body=b"x" * 100), limit=100)).body), 100)
        self.assertEqual(self.fault(Canned(body=b"x" * 101), limit=100).kind, "oversize")

    def test_upstream_26_compressed_answer_is_not_unpacked(self) -> None:
        bomb = gzip.compress(b"0" * 5_000_000)
        for encoding in ("gzip", "gzip, gzip, gzip", "br"):
            self.assertEqual(self.fault(Canned(200, {"Content-Encoding": encoding}, bomb)).kind, "encoding")

    def test_no_head_in_time(self) -> None:
        waiting = self.fetch(Silent(), timeout_s=5)
        self.clock.advance(4.9)
        self.assertNoResult(waiting)
        self.clock.advance(0.2)
        fault = self.failureResultOf(waiting, HttpFault).value
        self.assertEqual((fault.kind, str(fault)), ("timeout", "api.example did not answer within 5 s"))

    def test_deadline_covers_the_body(self) -> None:
        waiting = self.fetch(Silent(head=True), timeout_s=5)
        self.clock.advance(5.1)
        self.assertEqual(self.failureResultOf(waiting, HttpFault).value.kind, "timeout")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cancelling_is_no_fault(self) -> None:
        for head in (False, True):
            waiting = self.fetch(Silent(head=head))
            waiting.cancel()
            self.failureResultOf(waiting, CancelledError)
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cancelling_while_it_connects_is_no_fault(self) -> None:
        class Connecting:
            def request(self, *arguments: Any) -> Deferred[Any]:
                return Deferred(lambda waiting: waiting.errback(ConnectingCancelledError(None)))

        http = HTTPClient(Connecting())
        waiting = Deferred.fromCoroutine(fetch(http, "GET", URL, clock=self.clock))
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)


class Counting(Factory):
    """Listens, counts what is connected and sends ``greeting`` to whoever connects."""

    noisy = False

    def __init__(self, greeting: bytes = b"") -> None:
        self.greeting = greeting
        self.asked: Deferred[None] = Deferred()
        self.closed: Deferred[None] = Deferred()

    def buildProtocol(self, addr: object) -> Protocol:
        factory = self

        class Raw(Protocol):
            def dataReceived(self, data: bytes) -> None:
                if not factory.asked.called:
                    factory.asked.callback(None)
                self.transport.write(factory.greeting)

            def connectionLost(self, reason: object = None) -> None:
                if not factory.closed.called:
                    factory.closed.callback(None)

        return Raw()


class SocketTests(TestCase):
    def listen(self, factory: Factory) -> str:
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return f"http://127.0.0.1:{port.getHost().port}/"

    async def fault(self, url: str, **options: Any) -> HttpFault:
        with self.assertRaises(HttpFault) as caught:
            await fetch(make_client(reactor), "GET", url, clock=reactor, **options)
        return caught.exception

    async def test_posts_json(self) -> None:
        resource = Canned(201)
        url = self.listen(Site(resource))
        answer = await fetch(make_client(reactor), "POST", url, clock=reactor, json={"add": [{"value": "ä"}]})
        self.assertEqual(answer.status, 201)
        self.assertEqual(resource.bodies, [b'{"add":[{"value":"\\u00e4"}]}'])

    async def test_nobody_listens(self) -> None:
        self.assertEqual((await self.fault(f"http://127.0.0.1:{free_port()}/")).kind, "network")

    async def test_connection_closed_before_an_answer(self) -> None:
        self.assertEqual((await self.fault(self.listen(Counting(b"nonsense\r\n\r\n")))).kind, "network")

    async def test_bad_chunk_size_is_a_network_fault(self) -> None:
        greeting = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\nxyz\r\n"
        self.assertEqual((await self.fault(self.listen(Counting(greeting)))).kind, "network")

    async def test_timeout_closes_the_connection(self) -> None:
        server = Counting()
        clock = Clock()
        waiting = fetch(make_client(reactor), "GET", self.listen(server), clock=clock, timeout_s=5)
        fetching = Deferred.fromCoroutine(waiting)
        await server.asked.addTimeout(PATIENCE_S, reactor)
        clock.advance(5)
        fault = await self.assertFailure(fetching, HttpFault)
        self.assertEqual(fault.kind, "timeout")
        await server.closed.addTimeout(PATIENCE_S, reactor)

    async def test_discarding_a_stream_closes_it(self) -> None:
        server = Counting(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{")
        response = await open_stream(make_client(reactor), "GET", self.listen(server), clock=reactor)
        self.assertEqual(response.code, 200)
        discard(response)
        await server.closed.addTimeout(PATIENCE_S, reactor)

    async def test_body_that_ends_with_the_connection(self) -> None:
        response = await open_stream(make_client(reactor), "GET", self.listen(Site(Canned())), clock=reactor)
        self.assertEqual(await read_body(response), b"{}")
