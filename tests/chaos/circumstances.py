"""What afeed is doing when it is killed at one of the moments of :mod:`tests.chaos.failpoints`.

Each function here starts a node that dies at a point, or at one after the other, starts it again as it is, and
has log, archive and viewers compared.
"""

from __future__ import annotations

import json
import signal
import threading
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import Any

import msgspec

from afeed.core.change import POSTED, compose, timestamp
from afeed.core.draft import Posted, prepare
from tests.archive.support import AS_AT_FIRST
from tests.chaos.archived import archived_count, execute
from tests.chaos.failpoints import POINTS, FailPoint
from tests.chaos.kills import Witnesses
from tests.chaos.sabotaged import SabotagedServer
from tests.chaos.table import Row, scenario
from tests.chaos.verdict import Verdict
from tests.fakes import a_post
from tests.servers import postgresql
from tests.servers.process import wait_until
from tests.servers.redis import Redis
from tests.servers.simulator import Simulator

#: As many items are taken before and after a death.
SOME = 60

#: Items a second.
RATE = 400.0

#: Little enough that trimming has something to do at once.
SMALL_WINDOW = "window = 200"


class Place(ExitStack):
    """Where a scenario has its servers; they end with it.  ``seed`` is that of the run."""

    redis: Redis

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed

    def server_for(self, point: FailPoint, **settings: Any) -> SabotagedServer:
        """A node with the kinds of log and archive that the circumstances name."""
        if point.circumstances.startswith("redis"):
            self.redis = Redis()
            self.callback(self.redis.close)
            self.redis.start()
            settings["live_log"] = self.redis.url
        if point.circumstances.startswith("postgresql"):
            settings["archive"] = postgresql.shared().create_database()
        return self.server(**settings)

    def server(self, **settings: Any) -> SabotagedServer:
        server = SabotagedServer(seed=self.seed, **settings)
        self.callback(server.close)
        return server


#: What is done around a death, by the circumstances of the point.
AT_EACH: dict[str, Callable[[Place, FailPoint], Verdict]] = {}

#: The same for all points of some circumstances, one after the other.
THROUGH_ALL: dict[str, Callable[[Place, Sequence[FailPoint]], Verdict]] = {}


def groups() -> list[tuple[FailPoint, ...]]:
    """All points: each by itself, except where the circumstances are for many."""
    singles = [(point,) for point in POINTS if point.circumstances in AT_EACH]
    return [*singles, *(tuple(p for p in POINTS if p.circumstances == name) for name in THROUGH_ALL)]


def verdict_on(points: Sequence[FailPoint], seed: int) -> Verdict:
    """Kill at ``points``, one of :func:`groups`, and judge; raises :class:`AssertionError` when a point was not
    reached, or nothing was accepted that could have been lost."""
    with Place(seed) as place:
        verdict = _verdict_at(place, points)
    if not verdict.accepted:
        raise AssertionError(f"nothing was accepted around {points[0].name}")
    return verdict


def _verdict_at(place: Place, points: Sequence[FailPoint]) -> Verdict:
    circumstances = points[0].circumstances
    if circumstances in AT_EACH:
        return AT_EACH[circumstances](place, points[0])
    return THROUGH_ALL[circumstances](place, points)


@scenario("fail-points", "kill -9 at every named moment of log, strainer, sources, start and end")
def fail_points(long: bool, seed: int) -> list[Row]:
    """Every point, in a row for all those of the same circumstances; in the short form one point of each."""
    rows = []
    for name, chosen in by_circumstances(groups()).items():
        verdicts = [(points, verdict_on(points, seed)) for points in (chosen if long else chosen[:1])]
        rows.append(_row(name, seed, verdicts))
    return rows


def by_circumstances(all_groups: Iterable[tuple[FailPoint, ...]]) -> dict[str, list[tuple[FailPoint, ...]]]:
    """The groups by the circumstances of their points."""
    found: dict[str, list[tuple[FailPoint, ...]]] = {}
    for points in all_groups:
        found.setdefault(points[0].circumstances, []).append(points)
    return found


def _row(circumstances: str, seed: int, verdicts: Sequence[tuple[Sequence[FailPoint], Verdict]]) -> Row:
    """One row for several verdicts; what was wrong is told with the name of the point."""
    count = sum(len(points) for points, _ in verdicts)
    name = f"kill -9 at {count} points: {circumstances}"
    rows = [verdict.row(points[0].name, seed, len(points)) for points, verdict in verdicts]
    return Row(
        name,
        seed,
        faults=count,
        deliveries=sum(row.deliveries for row in rows),
        lost=sum(row.lost for row in rows),
        repeated=sum(row.repeated for row in rows),
        reordered=sum(row.reordered for row in rows),
        remark="; ".join(f"{row.name}: {row.remark or 'not clean'}" for row in rows if not row.clean),
    )


def at_each(*names: str) -> Callable[[Callable[[Place, FailPoint], Verdict]], object]:
    """Register for these circumstances."""

    def register(function: Callable[[Place, FailPoint], Verdict]) -> object:
        AT_EACH.update(dict.fromkeys(names, function))
        return function

    return register


def through_all(name: str) -> Callable[[Callable[[Place, Sequence[FailPoint]], Verdict]], object]:
    """Like :func:`at_each`, for all points of these circumstances together."""

    def register(function: Callable[[Place, Sequence[FailPoint]], Verdict]) -> object:
        THROUGH_ALL[name] = function
        return function

    return register


def _ended(server: SabotagedServer, witnesses: Witnesses) -> Verdict:
    """A sound start, more load, and the verdict."""
    server.start()
    _taken(witnesses, SOME)
    return witnesses.verdict()


def _taken(witnesses: Witnesses, count: int) -> None:
    """Return when ``count`` more items were taken."""
    accepted = witnesses.publisher.accepted
    goal = len(accepted) + count
    wait_until(lambda: len(accepted) >= goal, f"{count} more items to be taken", 60)


@at_each("load", "redis load", "first start", "first migration", "postgresql first migration")
def killed_at_work(place: Place, point: FailPoint) -> Verdict:
    server = place.server_for(point)
    server.doom(point)
    with Witnesses(server, RATE) as witnesses:
        server.die(point)
        return _ended(server, witnesses)


@at_each("trimming", "redis trimming", "postgresql trimming")
def killed_while_trimming(place: Place, point: FailPoint) -> Verdict:
    server = place.server_for(point, store=SMALL_WINDOW)
    server.doom(point)
    with Witnesses(server, 5 * RATE) as witnesses:
        server.die(point)
        return _ended(server, witnesses)


@at_each("restart", "redis restart")
def killed_at_start(place: Place, point: FailPoint) -> Verdict:
    server = place.server_for(point)
    server.start()
    with Witnesses(server, RATE) as witnesses:
        _taken(witnesses, SOME)
        server.kill()
        server.doom(point)
        server.die(point)
        return _ended(server, witnesses)


@at_each("stop", "redis stop")
def killed_at_the_end(place: Place, point: FailPoint) -> Verdict:
    server = place.server_for(point)
    server.doom(point)
    with Witnesses(server, RATE) as witnesses:
        _taken(witnesses, SOME)
        server.signal(signal.SIGTERM)
        server.die(point)
        return _ended(server, witnesses)


@at_each("refill", "redis refill")
def killed_while_refilling(place: Place, point: FailPoint) -> Verdict:
    server = place.server_for(point)
    server.start()
    with Witnesses(server, RATE) as witnesses:
        _taken(witnesses, SOME)
        # The end drains the strainer as far as its time allows, and here nobody else remembers the rest.
        with witnesses.publisher.resting():
            last = max(witnesses.publisher.accepted.values())
            wait_until(lambda: archived_count(server) >= last, "everything to be archived")
            server.stop()
        if point.circumstances.startswith("redis"):
            place.redis.restart(lose=True)
        else:
            for path in (server.directory / "var").glob("live.sqlite3*"):
                path.unlink()
        server.doom(point)
        server.die(point)
        return _ended(server, witnesses)


@at_each("upgrade", "postgresql upgrade")
def killed_while_upgrading(place: Place, point: FailPoint) -> Verdict:
    server = place.server_for(point)
    server.start()
    with Witnesses(server, RATE) as witnesses:
        _taken(witnesses, SOME)
        server.stop()
        execute(server, *AS_AT_FIRST)
        server.doom(point)
        server.die(point)
        return _ended(server, witnesses)


def _through_all(server: SabotagedServer, points: Sequence[FailPoint], settled: Callable[[], bool]) -> Verdict:
    """Have ``server`` die at one point after the other, then start it as it is and wait until what came from
    the source is ``settled()``."""
    with Witnesses(server, 50.0) as witnesses:
        server.start()
        _taken(witnesses, 5)
        server.kill()
        for point in points:
            server.doom(point)
            server.die(point)
        server.start()
        _taken(witnesses, SOME)
        wait_until(settled, "everything of the source to be there", 120)
        return witnesses.verdict()


def _texts(server: SabotagedServer, source: str) -> list[str]:
    """What the log has from ``source``, in its order."""
    posted = (change for change in server.changes() if change["type"] == "item.posted")
    return [change["item"]["text"] for change in posted if change["item"]["source"] == source]


def _with_source(verdict: Verdict, expected: Sequence[str], found: Sequence[str]) -> Verdict:
    """``verdict`` together with one on what a source should have brought, and did."""
    missing, twice = Counter(expected) - Counter(found), Counter(found) - Counter(expected)
    told = [f"{text} of the source is missing" for text in list(missing)[:3]]
    told += [f"{text} of the source came too often" for text in list(twice)[:3]]
    return verdict._replace(
        lost=verdict.lost + missing.total(),
        repeated=verdict.repeated + twice.total(),
        details=(*verdict.details, *told),
    )


class Poster(threading.Thread):
    """Somebody who posts to a simulated X, twenty times a second."""

    def __init__(self, x: Simulator) -> None:
        super().__init__(name="poster", daemon=True)
        self.posted: list[str] = []
        self._x = x
        self._stopping = threading.Event()

    def run(self) -> None:
        while not self._stopping.wait(0.05):
            text = f"Post {len(self.posted)} #rehearsal"
            self._x.control("post", text=text)
            self.posted.append(text)

    def stop(self) -> None:
        self._stopping.set()
        self.join(20)


@through_all("x")
def killed_while_x_streams(place: Place, points: Sequence[FailPoint]) -> Verdict:
    x = Simulator("x", "--token", "simulated-token", "--keepalive", "1")
    server = place.server(
        sources='[[events.sources]]\ntype = "x"\nrule = "#rehearsal"\n',
        extra=f'[accounts.x]\nbearer_token_env = "AFEED_X_BEARER_TOKEN"\napi_url = "{x.url}"\n',
        env={"AFEED_X_BEARER_TOKEN": "simulated-token"},
    )
    poster = Poster(x)
    for end in (x.close, poster.stop):
        place.callback(end)
    x.start()
    poster.start()

    def settled() -> bool:
        poster.stop()
        check = json.loads(server.request("/healthz")[2])["checks"]["x"]
        return check["data"]["filling"] == {} and set(poster.posted) <= set(_texts(server, "x"))

    verdict = _through_all(server, points, settled)
    return _with_source(verdict, poster.posted, _texts(server, "x"))


@through_all("flickr")
def killed_while_flickr_is_asked(place: Place, points: Sequence[FailPoint]) -> Verdict:
    flickr = Simulator("flickr", "--tag", "rehearsal", "--every", "0.2", "--late", "0")
    rest = f"{flickr.url}/services/rest/"
    server = place.server(
        sources='[[events.sources]]\ntype = "flickr"\ntags = ["rehearsal"]\ninterval_s = 1\n',
        extra=f'[accounts.flickr]\napi_key_env = "AFEED_FLICKR_API_KEY"\napi_url = "{rest}"\n',
        env={"AFEED_FLICKR_API_KEY": "any-key-will-do"},
    )
    place.callback(flickr.close)
    flickr.start()
    uploaded: set[str] = set()

    def settled() -> bool:
        query = (
            "method=flickr.photos.search&api_key=any&tags=rehearsal&format=json&nojsoncallback=1&per_page=500"
        )
        if len(uploaded) < 10:
            with urllib.request.urlopen(f"{rest}?{query}", timeout=20) as answer:
                uploaded.update(f"flickr:{photo['id']}" for photo in json.load(answer)["photos"]["photo"])
        return uploaded <= {change["item"]["id"] for change in server.changes() if "item" in change}

    return _through_all(server, points, settled)


@through_all("replay")
def killed_while_a_recording_plays(place: Place, points: Sequence[FailPoint]) -> Verdict:
    items = [a_post(number, f"Line {number}").item for number in range(400)]
    posts = [Posted(msgspec.structs.replace(item, id=f"{item.id}-recorded"), "1") for item in items]
    lines = [compose(prepare(post), POSTED, timestamp(number)) for number, post in enumerate(posts)]
    server = place.server(sources='[[events.sources]]\ntype = "replay"\nfile = "day.jsonl"\nspeed = 40.0\n')
    (server.directory / "day.jsonl").write_bytes(b"\n".join(lines))
    texts = [post.item.text for post in posts]

    def played() -> list[str]:
        return [text for text in _texts(server, posts[0].item.source) if text.startswith("Line ")]

    verdict = _through_all(server, points, lambda: len(played()) >= len(texts))
    return _with_source(verdict, texts, played())
