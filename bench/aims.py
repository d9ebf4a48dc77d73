"""What is to be reached, and which ratios must not get worse: arithmetic on figures, no measuring."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from bench.table import Figures, Table

#: The figures of every measurement that was made, by its name.
Results = Mapping[str, Figures]


class NotMeasured(LookupError):
    """A figure that these results do not have."""


def figure(results: Results, path: str) -> float:
    """The figure at ``measurement.row.quantity``."""
    measurement, row, quantity = path.split(".")
    try:
        return results[measurement][row][quantity]
    except KeyError:
        raise NotMeasured(path) from None


Formula = Callable[[Results], float]


def one(path: str) -> Formula:
    """The figure itself."""
    return lambda results: figure(results, path)


def ratio(path: str, other: str) -> Formula:
    """One figure by another one of the same run, whatever the machine's speed was just then."""
    return lambda results: figure(results, path) / figure(results, other)


def growth(row: str, other: str) -> Formula:
    """How much more a delivery costs when there are many viewers, by how much more it costs ``other``."""
    return ratio(f"growth.{row}.factor", f"growth.{other}.factor")


@attrs.frozen
class Aim:
    """A measure that has to be below ``must`` (above, where ``more`` is better) and would better be below
    ``good``.  ``instead`` is a limit that counts where it is wider than ``must``."""

    text: str
    formula: Formula
    must: float
    good: float | None = None
    unit: str = ""
    more: bool = False
    digits: int = 2
    instead: Formula | None = None
    instead_text: str = ""

    def limit(self, results: Results) -> float:
        """What ``must`` comes to in these results."""
        return self.must if self.instead is None else max(self.must, self.instead(results))

    def reached(self, results: Results) -> str:
        """``good``, ``must``, or how far it is from that."""
        value, must = self.formula(results), self.limit(results)
        if self.good is not None and self._kept(value, self.good):
            return "good"
        if self._kept(value, must):
            return "must"
        return f"no: {100 * abs(value - must) / must:.0f} % {'below' if self.more else 'above'}"

    def _kept(self, value: float, limit: float) -> bool:
        return value >= limit if self.more else value <= limit

    def said(self, value: float | None) -> str:
        """A value as the table has it."""
        if value is None:
            return ""
        return f"{value:,.{self.digits}f}{self.unit and ' '}{self.unit}"

    def bound(self, value: float | None) -> str:
        """A limit as the table has it."""
        return "" if value is None else f"{'>=' if self.more else '<='} {self.said(value)}"


STEADY_CPU = ratio("steady.afeed.cpu_us", "steady.nchan.cpu_us")
STEADY_P99 = ratio("steady.afeed.p99_ms", "steady.nchan.p99_ms")
LOCKSTEP_CPU = ratio("lockstep.afeed.cpu_us", "lockstep.c.cpu_us")
BURST_CPU = ratio("burst.afeed.cpu_us", "burst.nchan.cpu_us")
SSE_CPU = ratio("sse.afeed.cpu_us", "sse.nchan.cpu_us")
POLLS_CPU = ratio("polls.afeed.cpu_us", "polls.nchan.cpu_us")
MEMORY = ratio("connects.afeed.idle_kb", "connects.nchan.idle_kb")
VIEWERS_GROWTH = growth("afeed", "c")
LOG_GROWTH = one("appends.embedded.factor")
REDIS_GROWTH = one("appends.redis.factor")

AIMS = (
    Aim("10,000 WebSocket clients, 10 items a second: CPU a delivery / nchan's", STEADY_CPU, 1.0, 0.87),
    Aim("the same: p99 latency / nchan's", STEADY_P99, 1.0, 0.87),
    Aim("1,000 clients, one item in flight: CPU a delivery / the C send loop's", LOCKSTEP_CPU, 1.25, 1.1),
    Aim("1,000 clients, 8 items in flight: CPU a delivery / nchan's", BURST_CPU, 0.35, 0.15),
    Aim("SSE, 10,000 clients, 10 items a second: CPU a delivery / nchan's SSE", SSE_CPU, 1.3, 1.0),
    Aim("1,000 parked long-polls, 10 items a second: CPU a delivery / nchan's", POLLS_CPU, 3.0, 1.3),
    Aim("memory of an idle WebSocket client / nchan's", MEMORY, 1, 0.6),
    Aim(
        "new WebSocket clients a second, one core", one("connects.afeed.connects"), 5_000, 12_000, "/s", True, 0
    ),
    Aim(
        "catch-up GET of 50 items, answers a second, one core",
        one("pages.afeed.rate"),
        20_000,
        44_000,
        "/s",
        True,
        0,
    ),
    Aim(
        "herd: 5,000 clients resume 500 items behind, until all have all",
        one("herd.afeed.seconds"),
        15,
        5,
        "s",
        digits=1,
    ),
    Aim(
        "CPU a delivery (an item's own cost included) at 10,000 / at 100 clients, by the C send loop's growth",
        VIEWERS_GROWTH,
        1.25,
        1.1,
    ),
    Aim("CPU an append at 1,000,000 / at 1,000 items in the log, embedded", LOG_GROWTH, 1.25, 1.1),
    Aim("the same, Redis", REDIS_GROWTH, 1.25, 1.1),
    Aim(
        "posts a second from stream bytes to durable, archived and shown to 100 clients, embedded",
        one("throughput.embedded.rate"),
        5_000,
        10_000,
        "/s",
        True,
        0,
    ),
    Aim("the same, Redis", one("throughput.redis.rate"), 5_000, 10_000, "/s", True, 0),
    Aim(
        "latency at rest, accept to browser, p99, embedded with synchronous=FULL",
        one("rest.embedded.p99_ms"),
        10,
        unit="ms",
        instead=lambda results: figure(results, "rest.embedded.sync_p99_ms") + 2,
        instead_text=" or 2 ms above the disk's own",
    ),
    Aim("the same, Redis with appendfsync everysec", one("rest.redis.p99_ms"), 10, unit="ms"),
)


def goals(results: Results) -> Table:
    """The aims beside what was measured."""
    rows = []
    for aim in AIMS:
        must = aim.bound(aim.must) + aim.instead_text
        try:
            measured = [aim.said(aim.formula(results)), aim.reached(results)]
        except NotMeasured:
            measured = ["", "not measured"]
        rows.append([aim.text, must, aim.bound(aim.good), *measured])
    about = "What afeed has to reach, what would be good, and what it does; all from this one run."
    return Table("Goals", about, ("measure", "must", "good", "measured", "reached"), rows)


@attrs.frozen
class Ratio:
    """Something of afeed by something else that was measured in the same run: it says how afeed is, and not how
    fast the machine was.  Less is better, unless ``more`` is."""

    text: str
    formula: Formula
    more: bool = False


#: By the measurement and what it is about.
RATIOS: Mapping[str, Ratio] = {
    "steady cpu": Ratio("WebSocket, 10 items a second: CPU / nchan's", STEADY_CPU),
    "steady p99": Ratio("WebSocket, 10 items a second: p99 / nchan's", STEADY_P99),
    "lockstep cpu": Ratio("WebSocket, one item in flight: CPU / the C send loop's", LOCKSTEP_CPU),
    "burst cpu": Ratio("WebSocket, 8 items in flight: CPU / nchan's", BURST_CPU),
    "sse cpu": Ratio("server-sent events: CPU / nchan's", SSE_CPU),
    "polls cpu": Ratio("long-polls: CPU / nchan's", POLLS_CPU),
    "connects memory": Ratio("memory of an idle client / nchan's", MEMORY),
    "connects rate": Ratio(
        "new clients a second / nchan's", ratio("connects.afeed.connects", "connects.nchan.connects"), more=True
    ),
    "pages cpu": Ratio(
        "GET of 50 items: CPU / nginx's for a file", ratio("pages.afeed.cpu_us", "pages.file.cpu_us")
    ),
    "herd cpu": Ratio("herd: CPU an item / the C send loop's", ratio("herd.afeed.cpu_us", "lockstep.c.cpu_us")),
    "throughput cpu": Ratio(
        "a post, embedded: CPU / a bare loop's", ratio("throughput.embedded.cpu_us", "throughput.bare.cpu_us")
    ),
    "growth cpu": Ratio("CPU at 10,000 / at 100 clients, by the C send loop's growth", VIEWERS_GROWTH),
    "appends embedded": Ratio("CPU an append, growth of the log, embedded", LOG_GROWTH),
    "appends redis": Ratio("CPU an append, growth of the log, Redis", REDIS_GROWTH),
}


def ratios(results: Results) -> dict[str, float]:
    """All those that can be told from these results."""
    found = {}
    for name, measured in RATIOS.items():
        try:
            found[name] = measured.formula(results)
        except NotMeasured:
            continue
    return found


#: By how much a ratio may be worse than the published one: two runs on the same machine differ by some of it.
TOLERANCE = 0.25


@attrs.frozen
class Compared:
    """A ratio now and as it was published; ``change`` is by how much it is worse (below 0: better)."""

    name: str
    now: float
    published: float | None
    change: float

    @property
    def alarming(self) -> bool:
        return self.change > TOLERANCE

    def __str__(self) -> str:
        line = f"{RATIOS[self.name].text:<62} {self.now:8.2f}"
        if self.published is None:
            return line
        word = "worse" if self.change > 0 else "better"
        return f"{line} {self.published:10.2f} {100 * abs(self.change):5.0f} % {word}"


def compare(now: Mapping[str, float], published: Mapping[str, float]) -> list[Compared]:
    """Every ratio of now beside the published one."""
    found = []
    for name, value in now.items():
        before = published.get(name)
        growing = 0.0 if before is None else value / before - 1
        found.append(Compared(name, value, before, -growing if RATIOS[name].more else growing))
    return found
