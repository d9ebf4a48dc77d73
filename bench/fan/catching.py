"""Coming and coming back: connects, pages of history, and a herd that resumes at once."""

from __future__ import annotations

import json
from statistics import median

from bench.fan.contenders import SLUG, Afeed, Nchan, Target
from bench.fan.load import Run, measure, started
from bench.fan.measures import ROUNDS, most_clients, size, spread
from bench.measures import Table
from tests.servers.afeed import AfeedServer

PAGE, HERD, BEHIND = 50, 5_000, 500


def connects() -> Table:
    """New WebSocket clients a second."""
    clients = most_clients(10_000)
    found: dict[str, list[Run]] = {}
    for _ in range(ROUNDS):
        for contender in (Afeed(), Nchan(size())):
            with started(contender) as target:
                run = measure(contender, target, "ws", clients=clients, items=1)
            found.setdefault(contender.name, []).append(run)
    rows = [
        [
            name,
            f"{median([run.clients / run.connect_s for run in runs]):,.0f}",
            spread([r.idle_kb for r in runs]),
        ]
        for name, runs in found.items()
    ]
    about = f"{clients:,} clients, 128 of them connecting at a time; then idle. {ROUNDS} runs of each, in turn."
    return Table("New WebSocket clients", about, ("server", "connects /s", "KB a client"), rows)


def catching_up() -> Table:
    """Pages of history, and everybody at once."""
    pages, herds = [], []
    for _ in range(ROUNDS):
        afeed = Afeed()
        with started(afeed) as target:
            epoch = _fill(afeed, target, BEHIND)
            path = f"/{SLUG}/updates?since={epoch}:{BEHIND - PAGE}&limit={PAGE}&wait=0"
            pages.append(measure(afeed, target, "get", path=path, clients=32, seconds=4))
            path = f"/{SLUG}/ws?since={epoch}:0"
            herds.append(
                measure(afeed, target, "ws", path=path, clients=most_clients(HERD), expect=BEHIND, seconds=120)
            )
    rows = [
        [f"GET of {PAGE} items", f"{median([run.answers / run.seconds for run in pages]):,.0f} /s"],
        [
            f"{herds[0].clients:,} clients resume {BEHIND} items behind",
            f"{spread([r.seconds for r in herds])} s",
        ],
    ]
    about = f"afeed alone, {ROUNDS} runs: the median, and until the last client had every item."
    return Table("Catching up", about, ("what", "result"), rows)


def _fill(afeed: Afeed, target: Target, count: int) -> str:
    """Publish ``count`` items; the epoch."""
    server = afeed.server
    assert isinstance(server, AfeedServer)
    for start in range(0, count, 100):
        server.push(*(json.loads(target.body.replace("{id}", f"{n:019}")) for n in range(start, start + 100)))
    cursor: str = server.updates()["cursor"]
    return cursor.partition(":")[0]
