"""Whether a viewer costs more when there are many."""

from __future__ import annotations

from statistics import median

import attrs

from bench.fan.contenders import CONTENDERS
from bench.fan.load import Run, measure, started
from bench.fan.measures import most_clients
from bench.plan import Plan, in_turn
from bench.table import Table, spread

FEW, MANY = 100, 10_000
FEW_ITEMS, MANY_ITEMS = 3_000, 100


def growth(plan: Plan) -> Table:
    """CPU for each delivery, one item in flight, to few and to many."""
    many = most_clients(MANY)
    shortened = 4 if plan.short else 1

    def run(size: int, items: int) -> dict[str, list[Run]]:
        def one(name: str) -> Run:
            contender = CONTENDERS[name]()
            with started(contender) as target:
                return measure(contender, target, "ws", clients=size, items=items // shortened, flight=1)

        return in_turn(once, {"afeed": "afeed", "nchan": "nchan", "c": "c"}, one)

    once = attrs.evolve(plan, rounds=1)
    costs: dict[str, tuple[list[float], list[float]]] = {}
    for _ in range(plan.rounds):
        small, large = run(FEW, FEW_ITEMS), run(many, MANY_ITEMS)
        for name in small:
            few, lots = costs.setdefault(name, ([], []))
            few.append(small[name][0].cpu_us)
            lots.append(large[name][0].cpu_us)
    rows, figures = [], {}
    for name, (few, lots) in costs.items():
        factors = [b / a for a, b in zip(few, lots, strict=True)]
        rows.append([CONTENDERS[name]().title, spread(few, 2), spread(lots, 2), spread(factors, 2)])
        figures[name] = {"few_us": median(few), "many_us": median(lots), "factor": median(factors)}
    about = (
        f"CPU us a delivery with one item in flight, to {FEW} and to {many:,} WebSocket viewers. What an item "
        f"costs before it goes out, its log and its JSON, is shared by all who get it. {plan.said()}"
    )
    columns = ("server", f"{FEW} viewers", f"{many:,} viewers", "growth")
    return Table("A viewer more", about, columns, rows, figures)
