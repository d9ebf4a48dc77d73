"""Which path goes where."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from afeed.sources.push import MAX_BODY
from afeed.transports.router import MAX_PAGE_BODY
from tests.web.serving import UPGRADE, House, request


class RouterTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = House()

    def test_what_is_no_hot_path_goes_to_the_pages(self) -> None:
        paths = ["/", "/e", "/e/", "/e/wall", "/nowhere", "/e/updates/", "/e/updates/x"]
        paths += ["/e//updates", "/e/UPDATES", "/e%2fupdates", "/../../etc/passwd"]
        paths += ["/%2e%2e%2fetc", "/%00.js", "//evil", "/healthz/"]
        for path in paths:
            self.house.ask(path)
        self.assertEqual([exchange.path.decode() for exchange in self.house.page_requests], paths)

    def test_an_event_that_does_not_exist_has_no_items_and_no_updates(self) -> None:
        for method, path in (("POST", "/nowhere/items"), ("GET", "/nowhere/updates"), ("GET", "/E/stream")):
            answer = self.house.ask(path, method=method)
            self.assertEqual((answer.status, answer.error), (404, "no_event"), path)

    def test_the_paths_of_no_event_are_only_read(self) -> None:
        for path in ("/healthz", "/readyz", "/metrics"):
            answer = self.house.ask(path, method="POST", body=b"{}")
            self.assertEqual((answer.status, answer.headers["allow"]), (405, "GET, HEAD"))

    def test_only_pushes_have_large_bodies(self) -> None:
        routes = self.house.routes
        self.assertEqual(routes.max_body(b"POST", b"/e/items"), MAX_BODY)
        for method, path in ((b"GET", b"/e/items"), (b"POST", b"/e"), (b"POST", b"/e/items/")):
            self.assertEqual(routes.max_body(method, path), MAX_PAGE_BODY)

    def test_viewers_are_counted_by_event_and_transport_and_at_their_peak(self) -> None:
        callers = [self.house.call(request(path)) for path in ("/e/stream", "/e/stream", "/e/updates?since=0")]
        callers.append(self.house.call(request("/e/ws", *UPGRADE)))
        counts = {("e", "websocket"): 1, ("e", "sse"): 2, ("e", "poll"): 1}
        self.assertEqual(self.house.stages.viewers(), counts)
        self.house.pass_time(1)
        for caller in callers:
            caller.leave()
        self.assertEqual(set(self.house.stages.viewers().values()), {0})
        text = self.house.metrics.text().decode()
        self.assertIn('afeed_viewers{event="e",transport="sse"} 0.0', text)
        self.assertIn('afeed_viewers_peak{event="e",transport="sse"} 2.0', text)

    def test_the_sweep_goes_on_when_an_audience_breaks(self) -> None:
        caller = self.house.call(request("/e/updates?since=0&wait=2"))
        stage = self.house.stages.of["e"]

        def broken() -> None:
            raise ZeroDivisionError

        for audience in stage.audiences.values():
            self.patch(audience, "tick", broken)
        self.house.pass_time(4)
        self.assertEqual(caller.answer.status, 200)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 16)

    def test_a_viewer_who_comes_after_the_goodbye_is_sent_away(self) -> None:
        # Nobody would say goodbye to it any more.
        self.house.hub.stop()
        self.house.routes.stop()
        for path, headers in (("/e/stream", ()), ("/e/updates?since=0", ()), ("/e/ws", UPGRADE)):
            answer = self.house.ask(path, *headers)
            self.assertEqual((answer.status, answer.error), (503, "stopping"), path)
            self.assertIn("retry-after", answer.headers)
        self.assertFalse(any(self.house.stages.viewers().values()))

    def test_after_stop_nothing_is_due(self) -> None:
        self.house.stop()
        self.house.routes.stop()
        self.assertEqual(self.house.clock.getDelayedCalls(), [])
