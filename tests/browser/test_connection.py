"""Which transport the live page uses, and how it comes back: in a real browser, against a server that
refuses, falls silent and goes away."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from tests.browser.chromium import DIALS, Watched
from tests.browser.scenario import ScriptedCase

#: The whole of the page's state machine, as its documentation draws it.
TRANSITIONS = """\
asking: answered -> connecting (stepDown)
asking: unanswered -> waiting (backOff)
connecting: bye -> waiting (obey)
connecting: failed -> waiting (backOff)
connecting: failedTwice -> asking (askOnce)
connecting: message -> live (settle)
live: bye -> waiting (obey)
live: failed -> waiting (backOff)
live: failedTwice -> asking (askOnce)
live: message -> live (listen)
live: stale -> connecting (open)
waiting: due -> connecting (open)
waiting: wake -> connecting (open)
"""


class TableTests(ScriptedCase):
    def test_the_state_machine_is_the_one_that_is_documented(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            self.open(watched)
            table, actions = watched.page.evaluate(
                """() => import('/static/connection.js').then(({TABLE, Connection}) => [
                    TABLE, Object.getOwnPropertyNames(Connection.prototype)])"""
            )
            found = [
                f"{state}: {event} -> {after} ({action})\n"
                for state, events in table.items()
                for event, (after, action) in events.items()
            ]
            self.assertEqual("".join(sorted(found)), TRANSITIONS)
            used = {action for events in table.values() for _, action in events.values()}
            self.assertEqual(used - set(actions), set())

        return self.browse(scenario)


class TransportTests(ScriptedCase):
    def dials(self, watched: Watched) -> list[int]:
        """When the page opened a WebSocket, by its own clock."""
        found: list[int] = watched.page.evaluate("dials")
        return found

    def test_a_websocket_is_the_first_choice(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            self.open(watched)
            watched.wait_live("websocket")
            self.assertEqual(watched.state(), "Live")
            self.assertEqual(self.server.asked, [("websocket", "k3f9:3")])
            self.post(4)
            watched.wait_for_item("push:4")
            self.assertEqual(watched.ids(), ["push:4", "push:3", "push:2", "push:1"])

        return self.browse(scenario)

    def test_a_refused_websocket_falls_back_to_events(self) -> Deferred[None]:
        self.server.refused = {"websocket"}

        def scenario(watched: Watched) -> None:
            self.open(watched)
            watched.wait_live("sse")
            self.assertEqual(
                [asked for asked, _ in self.server.asked], ["websocket", "websocket", "poll", "sse"]
            )
            self.post(4)
            watched.wait_for_item("push:4")

        return self.browse(scenario)

    def test_where_only_requests_get_through_it_asks(self) -> Deferred[None]:
        self.server.refused = {"websocket", "sse"}

        def scenario(watched: Watched) -> None:
            self.open(watched)
            watched.wait_live("longpoll")
            self.post(4)
            watched.wait_for_item("push:4")

        return self.browse(scenario)

    def test_each_transport_can_be_asked_for(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            number = 3
            for name in ("websocket", "sse", "longpoll", "poll"):
                number += 1
                self.open(watched, f"?transport={name}")
                watched.wait_live(name)
                self.post(number)
                watched.wait_for_item(f"push:{number}")
            self.assertEqual(watched.state(), "Live, every few seconds")

        return self.browse(scenario)

    def test_a_server_that_is_away_is_waited_for_on_the_same_transport(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            self.open(watched)
            watched.wait_live("websocket")
            self.server.refused = {"websocket", "sse", "poll"}
            self.do(self.server.drop)
            watched.until(lambda: ("poll", "k3f9:3") in self.server.asked, "the page to look for the server")
            watched.wait_state("Connection lost, trying again")
            self.post(4)
            self.do(self.server.recover)
            watched.wait_live("websocket")
            watched.wait_for_item("push:4")
            self.assertNotIn("sse", [asked for asked, _ in self.server.asked])
            self.assertEqual(watched.ids(), ["push:4", "push:3", "push:2", "push:1"])

        return self.browse(scenario)

    def test_a_better_transport_takes_over_when_it_works_again(self) -> Deferred[None]:
        self.server.refused = {"websocket"}

        def scenario(watched: Watched) -> None:
            watched.page.clock.install()
            watched.page.add_init_script(DIALS)
            self.open(watched)
            watched.wait_live("sse")
            self.server.refused = set()
            tried = self.dials(watched)
            number = 3
            for second in range(80):
                if second % 14 == 0:  # or silence would end the present connection
                    number += 1
                    self.post(number)
                    watched.wait_for_item(f"push:{number}")
                # Only until it tries: the answer comes over a real socket, in real time.
                watched.page.clock.run_for(1_000)
                if self.dials(watched) != tried:
                    break
            watched.wait_live("websocket")
            watched.until(lambda: self.server.viewers == ["websocket"], "the old connection to end")
            self.post(number + 1)
            watched.wait_for_item(f"push:{number + 1}")
            self.assertEqual(watched.ids(), [f"push:{one}" for one in range(number + 1, 0, -1)])

        return self.browse(scenario)

    def test_two_missed_pings_give_a_transport_up(self) -> Deferred[None]:
        self.server.mute = {"websocket"}

        def scenario(watched: Watched) -> None:
            watched.page.clock.install()
            self.open(watched)
            watched.until(lambda: "websocket" in self.server.viewers, "a connection")
            # Not a word on it, twice, while a poll gets through.
            watched.page.clock.run_for(10_500)
            watched.page.clock.run_for(2_000)
            watched.until(lambda: len(self.server.asked) >= 2, "the second try")
            watched.page.clock.run_for(10_500)
            watched.wait_live("sse")
            watched.page.clock.run_for(25_000)
            watched.wait_live("sse")
            watched.page.clock.run_for(8_000)
            watched.until(lambda: self.server.asked[-1][0] == "poll", "silence to be noticed")
            watched.wait_live("longpoll")

        return self.browse(scenario)

    def test_pings_keep_a_connection(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            watched.page.clock.install()
            self.open(watched)
            watched.wait_live("websocket")
            for _ in range(6):
                watched.page.clock.run_for(15_000)
                self.do(self.server.send, {"type": "ping", "cursor": self.server.head})
                self.post(len(self.server.changes) + 1)
                watched.wait_for_item(f"push:{len(self.server.changes)}")
            self.assertEqual(self.server.asked, [("websocket", "k3f9:3")])

        return self.browse(scenario)

    def test_a_goodbye_is_obeyed(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            watched.page.clock.install()
            watched.page.add_init_script(DIALS)
            self.open(watched)
            watched.wait_live("websocket")
            told = watched.page.evaluate("Date.now()")
            self.do(self.server.send, {"type": "bye", "retry_ms": 60_000})
            watched.page.wait_for_selector('#connection[data-state="waiting"]')

            def comes_back() -> bool:
                watched.page.clock.run_for(1_000)
                return len(self.dials(watched)) == 2

            watched.until(comes_back, "the page to come back")
            watched.wait_live("websocket")
            self.assertGreaterEqual(self.dials(watched)[1] - told, 60_000)
            self.assertEqual(len(self.server.asked), 2)

        return self.browse(scenario)

    def test_coming_back_to_the_tab_ends_the_wait(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            self.open(watched)
            watched.wait_live("websocket")
            self.do(self.server.send, {"type": "bye", "retry_ms": 3_600_000})
            watched.page.wait_for_selector('#connection[data-state="waiting"]')
            self.post(4)
            watched.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
            watched.wait_live("websocket")
            watched.wait_for_item("push:4")

        return self.browse(scenario)
