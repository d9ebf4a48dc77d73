"""Pages: from the front door to twisted.web and back."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site
from twisted.web.static import Data

from afeed.settings import Server
from afeed.web.app import Pages
from afeed.web.bridge import hand_over
from tests.web.samples import NOW, FakeFeed, make_event, make_item
from tests.web.serving import SERVER, House, LiveHouse, answers, request

LARGE = bytes(range(256)) * 8192  # 2 MB


class Page(Resource):
    """Does what a test wants with each request."""

    isLeaf = True

    def __init__(self, render: Any) -> None:
        super().__init__()
        self._render = render

    def render(self, request: Request) -> Any:
        return self._render(request)


def site(resource: Resource) -> Any:
    served = Site(resource)
    return lambda exchange: hand_over(exchange, served)


class BridgeTests(SynchronousTestCase):
    def serve(self, render: Any, server: Server = SERVER) -> House:
        return House(pages=site(Page(render)), server=server)

    def test_the_request_arrives_as_it_was_sent(self) -> None:
        seen: dict[str, Any] = {}

        def render(request: Request) -> bytes:
            seen.update(
                method=request.method,
                uri=request.uri,
                path=request.path,
                args=request.args,
                body=request.content.read(),
                cookie=request.getCookie(b"a"),
                secure=request.isSecure(),
                accept=request.requestHeaders.getRawHeaders("Accept"),
                peer=request.getClientAddress().host,
            )
            return b"ok"

        headers = ("Cookie: a=b", "Accept: x", "Accept: y")
        body = b"a=1&b=2"
        answer = self.serve(render).ask(
            "/p/q%20r?x=1&y=%26", *headers, method="POST", body=body, peer="9.9.9.9"
        )
        self.assertEqual((answer.status, answer.body), (200, b"ok"))
        self.assertEqual(
            seen,
            {
                "method": b"POST",
                "uri": b"/p/q%20r?x=1&y=%26",
                "path": b"/p/q%20r",
                "args": {b"x": [b"1"], b"y": [b"&"]},
                "body": body,
                "cookie": b"b",
                "secure": False,
                "accept": ["x", "y"],
                "peer": "9.9.9.9",
            },
        )

    def test_pages_know_that_viewers_come_by_https(self) -> None:
        house = self.serve(
            lambda request: str(request.isSecure()).encode(), Server(public_url="https://feed.example")
        )
        self.assertEqual(house.ask("/").body, b"True")

    def test_the_connection_goes_on_to_its_next_request(self) -> None:
        caller = self.serve(lambda request: request.path).call(
            request("/a") + request("/readyz") + request("/b")
        )
        self.assertEqual(
            [answer.body for answer in caller.answers], [b"/a", b'{"ready":true,"checks":{}}', b"/b"]
        )

    def test_a_page_that_takes_its_time_keeps_the_order(self) -> None:
        slow: list[Request] = []

        def render(request: Request) -> Any:
            slow.append(request)
            return NOT_DONE_YET

        caller = self.serve(render).call(request("/a") + request("/readyz"))
        self.assertEqual(caller.received, b"")
        slow[0].write(b"first ")
        slow[0].write(b"page")
        slow[0].finish()
        self.assertEqual(
            [answer.body for answer in caller.answers], [b"first page", b'{"ready":true,"checks":{}}']
        )
        self.assertEqual(caller.answers[0].headers["transfer-encoding"], "chunked")

    def test_a_page_of_unknown_length_for_http_1_0_ends_with_the_connection(self) -> None:
        def render(request: Request) -> Any:
            request.write(b"page")
            request.finish()
            return NOT_DONE_YET

        caller = self.serve(render).call(request("/", version="1.0"))
        self.assertEqual((caller.answer.headers["connection"], caller.answer.body), ("close", b"page"))
        self.assertTrue(caller.closed)

    def test_head_has_no_body(self) -> None:
        answer = self.serve(lambda request: b"page").ask("/", method="HEAD")
        self.assertEqual((answer.status, answer.headers["content-length"], answer.body), (200, "4", b""))

    def test_connection_close(self) -> None:
        caller = self.serve(lambda request: b"page").call(request("/", "Connection: close"))
        self.assertEqual((caller.answer.headers["connection"], caller.answer.body), ("close", b"page"))
        self.assertTrue(caller.closed)

    def test_a_page_is_told_when_its_reader_leaves(self) -> None:
        left: list[object] = []

        def render(request: Request) -> Any:
            request.notifyFinish().addErrback(left.append)
            return NOT_DONE_YET

        house = self.serve(render)
        caller = house.call(request("/"))
        caller.leave()
        self.assertEqual(len(left), 1)
        self.assertTrue(house.nobody_is_left())

    def test_a_page_that_gives_up_closes_the_connection(self) -> None:
        caller = self.serve(lambda request: request.loseConnection() or NOT_DONE_YET).call(request("/"))
        self.assertTrue(caller.closed)

    def test_a_page_that_writes_at_its_readers_pace_hands_the_transport_back(self) -> None:
        class Producer:
            def __init__(self, request: Request) -> None:
                self.request = request
                self.pieces = [b"a", b"b", b"c"]
                request.registerProducer(self, False)

            def resumeProducing(self) -> None:
                if self.pieces:
                    self.request.write(self.pieces.pop(0))
                else:
                    self.request.unregisterProducer()
                    self.request.finish()

            def stopProducing(self) -> None:
                self.pieces.clear()

        caller = self.serve(lambda request: Producer(request) and NOT_DONE_YET).call(request("/"))
        while caller.transport.producer is not caller.protocol:
            caller.transport.producer.resumeProducing()
        self.assertEqual(caller.answer.body, b"abc")
        caller.send(request("/readyz"))
        self.assertEqual(len(caller.answers), 2)

    def test_multipart_bodies_are_not_taken_apart(self) -> None:
        seen: list[Any] = []

        def render(request: Request) -> bytes:
            seen.append(request.args)
            return b""

        part = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n'
        self.serve(render).ask(
            "/", "Content-Type: multipart/form-data; boundary=x", method="POST", body=part * 1000
        )
        self.assertEqual(seen, [{}])


class RealPagesTests(SynchronousTestCase):
    """The pages of afeed through the front door: the row http-31 and its neighbours."""

    def setUp(self) -> None:
        pages = Pages((make_event("e"),), FakeFeed(make_item()), SERVER, lambda: NOW)
        self.house = House(pages=site(pages.resource()))

    def test_paths_that_try_to_leave(self) -> None:
        for path in (
            "/../../etc/passwd",
            "/static/../../../etc/passwd",
            "/%2e%2e%2f%2e%2e%2fetc/passwd",
            "/static/%00.js",
            "/..%5c..%5cetc",
            "//evil",
            "//evil/..",
            "/static//etc/passwd",
            "/static/..%2f..%2fsetup.cfg",
            "/%ff",
        ):
            answer = self.house.ask(path)
            self.assertEqual(answer.status, 404, path)
            self.assertNotIn("location", answer.headers)
            self.assertNotIn(b"root:", answer.body)

    def test_the_page_and_what_protects_it(self) -> None:
        answer = self.house.ask("/e")
        self.assertEqual(answer.status, 200)
        self.assertIn("content-security-policy", answer.headers)
        self.assertIn(b"post 1", answer.body)

    def test_a_range_of_a_thousand_ranges_gets_no_more_than_the_page(self) -> None:
        plain = self.house.ask("/e")
        answer = self.house.ask("/e", "Range: bytes=" + ",".join(["0-"] * 1000))
        self.assertEqual((answer.status, len(answer.body)), (200, len(plain.body)))


class RealConnectionTests(TestCase):
    async def test_a_large_page_reaches_a_reader_that_stops_now_and_then(self) -> None:
        from twisted.internet import reactor

        root = Resource()
        root.putChild(b"large", Data(LARGE, "application/octet-stream"))
        live = await LiveHouse(reactor, pages=site(root)).open()
        self.addCleanup(lambda: Deferred.fromCoroutine(live.close()))
        wire = await live.connect(request("/large") + request("/large", method="HEAD") + request("/readyz"))
        for goal in (1, len(LARGE) // 2):
            await wire.until(lambda goal=goal: len(wire.received) >= goal, reactor)
            wire.transport.pauseProducing()
            turn: Deferred[None] = Deferred()
            reactor.callLater(0.01, turn.callback, None)
            await turn
            wire.transport.resumeProducing()
        await wire.until(lambda: wire.received.endswith(b'{"ready":true,"checks":{}}'), reactor)
        first = answers(wire.received)[0]
        self.assertTrue(first.body == LARGE, "the page was damaged on the way")
