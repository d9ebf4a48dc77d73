"""Fan-out: every contender in turn, again and again, because the machine's speed moves."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from bench.fan.contenders import CONTENDERS, Contender, Nginx, delivered_size
from bench.fan.load import Run, measure, medians, started
from bench.fan.machine import allow_files
from bench.plan import Plan, in_turn
from bench.table import Table, spread


@attrs.frozen
class Exercise:
    """What is done with each contender.  ``mode`` is the generator's, or None for the long-poll that the
    contender speaks; ``items`` are published in a round, ``few`` in a short one."""

    title: str
    about: str
    mode: str | None
    clients: int
    items: int
    few: int
    options: dict[str, object]
    contenders: Sequence[str]


def most_clients(wanted: int) -> int:
    """As many as are wanted or as the limit of open files permits, for the generator and the server each."""
    return min(wanted, allow_files() - 200)


def table(exercise: Exercise, plan: Plan) -> Table:
    clients = most_clients(exercise.clients)
    items = exercise.few if plan.short else exercise.items

    def run(name: str) -> Run:
        contender: Contender = CONTENDERS[name]()
        mode = exercise.mode or ("nchan" if isinstance(contender, Nginx) else "poll")
        with started(contender) as target:
            return measure(contender, target, mode, clients=clients, items=items, **exercise.options)

    found = in_turn(plan, {name: name for name in exercise.contenders}, run)
    rows = []
    for name, runs in found.items():
        rows.append(
            [
                CONTENDERS[name]().title,
                spread([run.cpu_us for run in runs], 2),
                spread([run.p50_ms for run in runs]),
                spread([run.p99_ms for run in runs]),
                spread([run.idle_kb for run in runs]),
                spread([run.connects for run in runs], 0),
                f"{100 * max(run.busy for run in runs):.0f} %",
            ]
        )
    about = f"{exercise.about.format(clients=f'{clients:,}', items=f'{items:,}')} {plan.said()}"
    columns = ("server", "CPU us a delivery", "p50 ms", "p99 ms", "KB a client", "connects /s", "generator")
    figures = {name: medians(runs) for name, runs in found.items()}
    figures["message"] = {"bytes": float(delivered_size())}
    return Table(exercise.title, about, columns, rows, figures)


EVERYBODY = ("afeed", "html", "nchan", "websockets", "node", "c")

EXERCISES = {
    "steady": Exercise(
        "WebSocket, ten items a second",
        "{clients} viewers, {items} items, 10 a second.",
        "ws",
        10_000,
        200,
        50,
        {"rate": 10},
        EVERYBODY,
    ),
    "lockstep": Exercise(
        "WebSocket, one item in flight",
        "{clients} viewers, {items} items, each when everybody has the last.",
        "ws",
        1_000,
        1_000,
        500,
        {"flight": 1},
        EVERYBODY,
    ),
    "burst": Exercise(
        "WebSocket, eight items in flight",
        "{clients} viewers, {items} items, eight of them on their way at any time.",
        "ws",
        1_000,
        2_400,
        1_200,
        {"flight": 8},
        EVERYBODY,
    ),
    "sse": Exercise(
        "Server-sent events, ten items a second",
        "{clients} viewers, {items} items, 10 a second.",
        "sse",
        10_000,
        200,
        50,
        {"rate": 10},
        ("afeed", "nchan"),
    ),
    "polls": Exercise(
        "Long-polls, ten items a second",
        "{clients} parked polls, {items} items, 10 a second.",
        None,
        1_000,
        200,
        50,
        {"rate": 10},
        ("afeed", "nchan"),
    ),
}
