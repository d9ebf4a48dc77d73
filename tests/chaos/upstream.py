"""X and Flickr are away, refuse, fall silent or answer nonsense: what was posted meanwhile comes, and once.

Thousands of such faults, and stops and kills of afeed between them, are gone through in memory, with a clock
that is moved by hand; some of each kind with real servers and real time.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from random import Random
from typing import NamedTuple
from unittest import TestResult

from twisted.trial.unittest import SynchronousTestCase

from tests.chaos.account import Account
from tests.chaos.kills import Witnesses
from tests.chaos.promises import HEALTH_S
from tests.chaos.reading import Reading
from tests.chaos.table import Row, scenario
from tests.servers.afeed import AfeedServer
from tests.servers.cluster import TOKEN, check
from tests.servers.process import wait_until
from tests.servers.simulator import Simulator
from tests.sources import test_flickr_outages, test_x_completeness

# -- in memory


def outcome(history: type[SynchronousTestCase], seed: int) -> tuple[Counter[str], str]:
    """What one history of that kind amounts to, and what was wrong with it, "" if nothing was."""
    found: list[Counter[str]] = []

    class One(history):  # type: ignore[misc,valid-type]
        def once(self) -> None:
            found.append(self.history(seed))

    result = TestResult()
    One("once").run(result)
    wrong = [trace.strip().rpartition("\n")[2] for _, trace in [*result.failures, *result.errors]]
    if not found and not wrong:
        wrong.append("it was not gone through")
    return found[0] if found else Counter(), "; ".join(wrong)


def histories_row(
    name: str, history: type[SynchronousTestCase], besides: Sequence[str], seeds: Iterable[int], seed: int
) -> Row:
    """All histories of those seeds; ``besides`` are the counts that are no faults."""
    total = Counter[str]()
    wrong = []
    for number in seeds:
        counts, problem = outcome(history, number)
        total.update(counts)
        if problem:
            wrong.append(f"seed {number}: {problem}")
    faults = sum(count for kind, count in total.items() if kind not in besides)
    note = ", ".join(f"{total[kind]:,} {kind}" for kind in besides)
    return Row(name, seed, faults, 0, len(wrong), 0, 0, "; ".join(wrong[:3]), note=note, counted=False)


# -- with real servers


class Fault(NamedTuple):
    """What the simulator is told, in steps; whether health has to turn, as it has not when afeed is connected
    again at once or the silence is not yet noticed."""

    name: str
    controls: Sequence[dict[str, str]]
    turns: bool


def _x(name: str, *controls: dict[str, str], turns: bool = True) -> Fault:
    return Fault(f"X {name}", controls, turns)


X_FAULTS = (
    _x("503", {"name": "unavailable", "times": "2"}, {"name": "abort"}),
    _x("429", {"name": "rate-limited", "reset_in": "8"}, {"name": "close"}),
    _x("a captive portal", {"name": "html"}, {"name": "abort"}),
    _x(
        "503, and its search 429",
        {"name": "rate-limited", "on": "search", "reset_in": "5"},
        {"name": "unavailable"},
        {"name": "abort"},
    ),
    _x("falls silent", {"name": "stall"}, turns=False),
    _x("disconnects", {"name": "disconnect"}, turns=False),
    _x("is cut off", {"name": "abort"}, turns=False),
)
#: Each lasts for about a quarter of a minute, after which Flickr is asked again.
FLICKR_FAULTS = tuple(
    Fault(f"Flickr {name}", ({"name": name},), True) for name in ("502", "201", "html", "truncated", "close")
)

#: A post each, and a photo after so many of them (seconds).
EVERY_S, PHOTO_EVERY = 0.1, 5
#: So long people post around each fault (seconds).
AROUND_S = 2.0
#: X's search hides its newest half minute; then what was missed is fetched (seconds).
FILLED_S = 150.0


class People(threading.Thread):
    """Somebody posts to X and uploads to Flickr, all the time.

    :ivar posts: the texts of the posts; ``photos``: the ids of the photos, as items.
    """

    def __init__(self, x: Simulator, flickr: Simulator) -> None:
        super().__init__(name="people", daemon=True)
        self.posts: list[str] = []
        self.photos: list[str] = []
        self._x = x
        self._flickr = flickr
        self._stopping = threading.Event()

    def run(self) -> None:
        while not self._stopping.wait(EVERY_S):
            text = f"Post {len(self.posts)} #rehearsal"
            self._x.control("post", text=text)
            self.posts.append(text)
            if len(self.posts) % PHOTO_EVERY == 0:
                self.photos.append(f"flickr:{self._flickr.control('upload', tags='rehearsal')}")

    def stop(self) -> None:
        self._stopping.set()
        self.join(20)
        assert not self.is_alive(), "people do not stop posting"


class World:
    """A node with both sources, people who post, programs that push, and viewers."""

    def __init__(self, stack: ExitStack, account: Account) -> None:
        self.account = account
        self.faults = 0
        self.x = Simulator("x", "--token", TOKEN, "--keepalive", "1")
        self.flickr = Simulator("flickr", "--tag", "rehearsal", "--every", "100000", "--late", "0")
        self.server = AfeedServer(
            sources='[[events.sources]]\ntype = "x"\nrule = "#rehearsal"\n'
            '[[events.sources]]\ntype = "flickr"\ntags = ["rehearsal"]\ninterval_s = 1\n',
            extra=f'[accounts.x]\nbearer_token_env = "AFEED_X_BEARER_TOKEN"\napi_url = "{self.x.url}"\n'
            '[accounts.flickr]\napi_key_env = "AFEED_FLICKR_API_KEY"\n'
            f'api_url = "{self.flickr.url}/services/rest/"\n',
            env={"AFEED_X_BEARER_TOKEN": TOKEN, "AFEED_FLICKR_API_KEY": "any-key-will-do"},
        )
        for one in (self.x, self.flickr, self.server):
            stack.callback(one.close)
            one.start()
        wait_until(self.live, "X's stream to be live")
        self.reading = Reading()
        self.people = People(self.x, self.flickr)
        # The simulator begins with a photo of its own.
        wait_until(self._first_photo, "the first photo to be there")
        self.witnesses = stack.enter_context(Witnesses(self.server, 50.0))
        stack.callback(self.people.stop)
        self.people.start()

    def _first_photo(self) -> bool:
        self.reading.read(self.server)
        self.people.photos[:] = self.reading.ids("flickr")
        return bool(self.people.photos)

    def live(self) -> bool:
        told = check(self.server, "x")
        return told["state"] == "ok" and told["data"]["last_byte_at"] is not None

    def well(self) -> bool:
        return all(check(self.server, name)["state"] == "ok" for name in ("x", "flickr:rehearsal"))

    def endure(self, x: Fault, flickr: Fault) -> None:
        """Let both happen, and return when afeed is connected again."""
        time.sleep(AROUND_S)
        together = f"{x.name}, {flickr.name}"
        since = time.monotonic()
        for fault, upstream in ((x, self.x), (flickr, self.flickr)):
            for control in fault.controls:
                upstream.control("fault", **control)
            self.faults += 1
        for fault, name in ((x, "x"), (flickr, "flickr:rehearsal")):
            if fault.turns:
                self.account.awaited(
                    lambda name=name: check(self.server, name)["state"] != "ok",  # type: ignore[misc]
                    f"health to tell of it ({fault.name})",
                    HEALTH_S,
                    since=since,
                    measure="red",
                )
        time.sleep(AROUND_S)
        wait_until(self.answered, f"both to be asked again ({together})", 90)
        self.account.awaited(self.well, f"health to be well again ({together})", HEALTH_S, measure="green")

    def answered(self) -> bool:
        """Whether both upstreams answer and afeed has noticed: a stream that gets bytes, a search since."""
        data = check(self.server, "flickr:rehearsal")["data"]
        return self.x.control("streams") == "1" and data["failures"] == 0

    def there(self) -> bool:
        """Whether everything is in the log that people have posted."""
        self.reading.read(self.server)
        found = {*self.reading.texts("x"), *self.reading.ids("flickr")}
        return found >= {*self.people.posts, *self.people.photos}

    def difference(self) -> tuple[Counter[str], Counter[str]]:
        """What is missing in the log, and what is in it too often."""
        expected = Counter([*self.people.posts, *self.people.photos])
        found = Counter([*self.reading.texts("x"), *self.reading.ids("flickr")])
        return expected - found, found - expected


def away_row(rounds: int, long: bool, seed: int) -> Row:
    """So many times some fault of X, and one of Flickr, in an order of chance."""
    rng = Random(seed)
    account = Account(long)
    with ExitStack() as stack:
        world = World(stack, account)
        for x, flickr in zip(drawn(rng, X_FAULTS, rounds), drawn(rng, FLICKR_FAULTS, rounds), strict=True):
            world.endure(x, flickr)
        world.people.stop()
        wait_until(world.there, "everything to be there that was posted", FILLED_S)
        wait_until(lambda: check(world.server, "x")["data"]["filling"] == {}, "the filling to end", FILLED_S)
        verdict = world.witnesses.verdict()
        world.there()
        missing, twice = world.difference()
        account.holds(not missing, f"{missing.total()} are missing, such as {list(missing)[:3]}")
        account.holds(not twice, f"{twice.total()} came too often, such as {list(twice)[:3]}")
        account.holds(not world.reading.gaps, f"gaps were told: {world.reading.gaps[:3]}")
        account.holds("Traceback" not in world.server.output(), "there is a traceback in the log")
        account.notes.append(f"{len(world.people.posts):,} posts, {len(world.people.photos):,} photos")
        row = account.row(verdict.row("X and Flickr misbehave", seed, world.faults))
    return row._replace(lost=row.lost + missing.total(), repeated=row.repeated + twice.total())


def drawn(rng: Random, faults: Sequence[Fault], count: int) -> list[Fault]:
    """``count`` of them: each before any comes again."""
    found: list[Fault] = []
    while len(found) < count:
        found += rng.sample(faults, len(faults))
    return found[:count]


#: How many histories of each are gone through: in the short form those that a test has.
X_HISTORIES, FLICKR_HISTORIES = 400, 150


@scenario("upstream", "X and Flickr away, refusing, silent, talking nonsense; thousands of times in memory")
def upstream(long: bool, seed: int) -> list[Row]:
    rng = Random(seed)

    def seeds(count: int, few: Sequence[int]) -> Sequence[int]:
        return [rng.randrange(10**6) for _ in range(count if long else len(few))]

    return [
        away_row(7 if long else 1, long, seed),
        histories_row(
            "X, in memory",
            test_x_completeness.CompletenessTests,
            ("posts",),
            seeds(X_HISTORIES, test_x_completeness.SEEDS),
            seed,
        ),
        histories_row(
            "Flickr, in memory",
            test_flickr_outages.CompletenessTests,
            ("photos", "outages"),
            seeds(FLICKR_HISTORIES, test_flickr_outages.SEEDS),
            seed,
        ),
    ]
