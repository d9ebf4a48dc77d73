"""Coming and coming back: connects, pages of history, and a herd that resumes at once."""

from __future__ import annotations

import json
from statistics import median

from bench.fan.contenders import SLUG, Afeed, Contender, Nginx, Target
from bench.fan.load import Run, measure, medians, started
from bench.fan.measures import most_clients
from bench.plan import Plan, in_turn
from bench.table import Table, spread

PAGE, READERS, PAGE_SECONDS = 50, 32, 4.0
HERD, BEHIND = 5_000, 500


def connects(plan: Plan) -> Table:
    """New WebSocket clients a second, and what one costs that waits."""
    clients = most_clients(10_000)

    def run(contender: Contender) -> Run:
        with started(contender) as target:
            return measure(contender, target, "ws", clients=clients, items=1)

    found = in_turn(plan, {"afeed": Afeed(), "nchan": Nginx()}, run)
    names = {"afeed": Afeed().title, "nchan": Nginx.title}
    rows = [
        [names[name], spread([run.connects for run in runs], 0), spread([run.idle_kb for run in runs])]
        for name, runs in found.items()
    ]
    about = f"{clients:,} clients, 128 of them connecting at a time; then idle. {plan.said()}"
    figures = {name: medians(runs) for name, runs in found.items()}
    return Table("New WebSocket clients", about, ("server", "connects /s", "KB a client"), rows, figures)


def pages(plan: Plan) -> Table:
    """Pages of history that clients who come back ask for."""
    seconds = PAGE_SECONDS / (2 if plan.short else 1)
    size = 0

    def run(name: str) -> Run:
        nonlocal size
        afeed = Afeed()
        with started(afeed) as target:
            epoch = _fill(afeed, target, BEHIND)
            path = f"/{SLUG}/updates?since={epoch}:{BEHIND - PAGE}&limit={PAGE}&wait=0"
            if name == "afeed":
                return measure(afeed, target, "get", path=path, clients=READERS, seconds=seconds)
            page = afeed.server.request(path)[2]
        size = len(page)
        nginx = Nginx(page)
        with started(nginx) as target:
            return measure(nginx, target, "get", clients=READERS, seconds=seconds)

    names = {"afeed": "afeed", "file": "nginx, the same as a file"}
    found = in_turn(plan, {name: name for name in names}, run)
    rows = []
    figures: dict[str, dict[str, float]] = {}
    for name, runs in found.items():
        rates = [run.answers / run.seconds for run in runs]
        busy = f"{100 * max(run.busy for run in runs):.0f} %"
        rows.append([names[name], spread(rates, 0), spread([run.cpu_us for run in runs]), busy])
        figures[name] = {**medians(runs), "rate": median(rates)}
    about = (
        f"GET of {PAGE} changes ({size / 1000:.0f} KB), {READERS} connections that are kept open, "
        f"{seconds:g} s. {plan.said()}"
    )
    columns = ("server", "answers /s", "CPU us an answer", "generator")
    return Table("Pages of history", about, columns, rows, figures)


def herd(plan: Plan) -> Table:
    """Everybody comes back at once."""
    clients = most_clients(HERD)

    def run(afeed: Afeed) -> Run:
        with started(afeed) as target:
            epoch = _fill(afeed, target, BEHIND)
            path = f"/{SLUG}/ws?since={epoch}:0"
            options = {"clients": clients, "expect": BEHIND, "herd": 1, "seconds": 120}
            return measure(afeed, target, "ws", path=path, **options)

    found = in_turn(plan, {"afeed": Afeed()}, run)
    rows = [
        ["afeed", spread([run.seconds for run in runs]), spread([run.cpu_us for run in runs], 2)]
        for runs in found.values()
    ]
    about = (
        f"{clients:,} WebSocket clients connect at once, each {BEHIND} items behind: seconds from the first "
        f"connect until the last client has the last item, in order. {plan.said()}"
    )
    figures = {name: medians(runs) for name, runs in found.items()}
    return Table("A herd that comes back", about, ("server", "seconds", "CPU us an item"), rows, figures)


def _fill(afeed: Afeed, target: Target, count: int) -> str:
    """Publish ``count`` items; the epoch."""
    for start in range(1, count + 1, 100):
        numbers = range(start, start + 100)
        afeed.server.push(*(json.loads(target.body.replace("{id}", f"{number:019}")) for number in numbers))
    cursor: str = afeed.server.updates()["cursor"]
    return cursor.partition(":")[0]
