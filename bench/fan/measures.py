"""The table of fan-out: every contender in turn, again and again, because the machine's speed moves."""

from __future__ import annotations

import resource
from collections.abc import Callable, Sequence
from functools import cache
from statistics import median

import attrs

from bench.fan.contenders import Afeed, Broadcast, Contender, Nchan, NodeWs, SendLoop, delivered_size
from bench.fan.load import Run, measure, started
from bench.measures import Table

ROUNDS = 3

Make = Callable[[], Contender]


@attrs.frozen
class Exercise:
    """What is done with each contender.  ``mode`` is the generator's, or None for the long-poll that the
    contender speaks."""

    title: str
    about: str
    mode: str | None
    clients: int
    options: dict[str, object]
    contenders: Sequence[Make]


@cache
def size() -> int:
    return delivered_size()


def most_clients(wanted: int) -> int:
    """As many as are wanted or as the limit of open files permits, for the generator and the server each."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard - 200)


def afeed() -> Contender:
    return Afeed()


def afeed_html() -> Contender:
    return Afeed(html=True)


def nchan() -> Contender:
    return Nchan(size())


def send_loop() -> Contender:
    return SendLoop(size())


def broadcast() -> Contender:
    return Broadcast(size())


def node_ws() -> Contender:
    return NodeWs(size())


EVERYBODY: Sequence[Make] = (afeed, afeed_html, nchan, broadcast, node_ws, send_loop)


def _mode(contender: Contender) -> str:
    return "nchan" if isinstance(contender, Nchan) else "poll"


def runs(exercise: Exercise, rounds: int) -> dict[str, list[Run]]:
    """The runs of every contender, by its name; they take turns."""
    found: dict[str, list[Run]] = {}
    clients = most_clients(exercise.clients)
    for _ in range(rounds):
        for make in exercise.contenders:
            contender = make()
            with started(contender) as target:
                mode = exercise.mode or _mode(contender)
                run = measure(contender, target, mode, clients=clients, **exercise.options)
            found.setdefault(contender.name, []).append(run)
    return found


def spread(values: Sequence[float], digits: int = 1) -> str:
    """The median, and the least and the most."""
    return f"{median(values):.{digits}f} ({min(values):.{digits}f} - {max(values):.{digits}f})"


def table(exercise: Exercise, rounds: int = ROUNDS) -> Table:
    found = runs(exercise, rounds)
    rows = []
    for name, results in found.items():
        rows.append(
            [
                name,
                spread([run.cpu_us for run in results]),
                spread([run.p50_ms for run in results]),
                spread([run.p99_ms for run in results]),
                spread([run.idle_kb for run in results]),
                f"{median([run.clients / run.connect_s for run in results]):,.0f}",
                f"{100 * max(run.busy for run in results):.0f} %",
            ]
        )
    clients = most_clients(exercise.clients)
    about = exercise.about.format(clients=f"{clients:,}")
    about += f" {rounds} runs of each, in turn: median (least - most)."
    columns = ("server", "CPU us a delivery", "p50 ms", "p99 ms", "KB a client", "connects /s", "generator")
    return Table(exercise.title, about, columns, rows)


EXERCISES = {
    "steady": Exercise(
        "WebSocket, ten items a second",
        "{clients} viewers, 10 items a second for 20 s.",
        "ws",
        10_000,
        {"items": 200, "rate": 10},
        EVERYBODY,
    ),
    "lockstep": Exercise(
        "WebSocket, one item in flight",
        "{clients} viewers, the next item when everybody has the last.",
        "ws",
        1_000,
        {"items": 1_000, "flight": 1},
        EVERYBODY,
    ),
    "burst": Exercise(
        "WebSocket, eight items in flight",
        "{clients} viewers, eight items on their way at any time.",
        "ws",
        1_000,
        {"items": 4_000, "flight": 8},
        EVERYBODY,
    ),
    "sse": Exercise(
        "Server-sent events, ten items a second",
        "{clients} viewers, 10 items a second for 20 s.",
        "sse",
        10_000,
        {"items": 200, "rate": 10},
        (afeed, nchan),
    ),
    "polls": Exercise(
        "Long-polls, ten items a second",
        "{clients} parked polls, 10 items a second for 20 s.",
        None,
        1_000,
        {"items": 200, "rate": 10},
        (afeed, nchan),
    ),
}
