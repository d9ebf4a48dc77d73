"""An hour of an ordinary busy event: 50 items a second, 500 viewers coming and going, and nothing may grow."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from tests.chaos.clients import RECORDING, at_rest, remarks, row
from tests.chaos.crowd import Crowd, Habits
from tests.chaos.load import Load, write_recording
from tests.chaos.table import Row, scenario
from tests.servers.afeed import AfeedServer

#: Items a second: pushed, and from a recording with edits and removals.
PUSHED_RATE, RECORDED_RATE = 45.0, 5.0
SAMPLE_EVERY_S = 10.0
CATCH_UP_S = 60.0
#: People at an event: some stay for a second, some for minutes.
HABITS = Habits(
    stay_s=(1.0, 300.0),
    cut=0.2,
    cut_bytes=(100.0, 10_000_000.0),
    pause=0.1,
    pause_after_s=(0.5, 60.0),
    pause_s=(0.5, 40.0),
    narrow=0.2,
    away_s=(0.05, 30.0),
    at_head=0.2,
    rewind=0.05,
    rewind_by=(1.0, 5000.0),
    poll_s=(1.0, 5.0),
    rich=0.5,
)


class Sample(NamedTuple):
    """What the node's process took, ``at`` seconds after the start; ``fds`` without those of the viewers."""

    at: float
    rss_mb: float
    fds: float
    threads: float
    viewers: int
    cpu_s: float


class Extent(NamedTuple):
    """How long, with how many, and how much more may be taken at the end than at the beginning: growth that the
    samples after ``warm_up_s`` show."""

    viewers: int
    seconds: float
    warm_up_s: float
    rss_mb: float
    fds: float
    threads: float
    #: So much of the load has to be accepted, or the run shows nothing.
    least_load: float


#: The keys of deduplication live as long as the event, and SQLite's own memory grows a little with its files:
#: both together take some megabytes for the 180,000 items of an hour.
LONG = Extent(viewers=500, seconds=3600, warm_up_s=600, rss_mb=10, fds=10, threads=2, least_load=0.9)
#: Here memory still grows, as the window fills, and a node that was held up for a moment has not yet heard of
#: those who left meanwhile.
SHORT = Extent(viewers=100, seconds=20, warm_up_s=5, rss_mb=20, fds=50, threads=5, least_load=0.5)


def take_sample(pid: int, began: float, viewers: int) -> Sample:
    """Ask the kernel about process ``pid``, at which ``viewers`` are connected."""
    process = Path(f"/proc/{pid}")
    resident = re.search(r"VmRSS:\s+(\d+) kB", (process / "status").read_text("ascii"))
    assert resident is not None, "the kernel does not say how much memory is resident"
    fields = (process / "stat").read_text("ascii").rpartition(")")[2].split()
    ticks = os.sysconf("SC_CLK_TCK")
    return Sample(
        at=time.monotonic() - began,
        rss_mb=int(resident[1]) / 1024,
        fds=len(list((process / "fd").iterdir())) - viewers,
        threads=len(list((process / "task").iterdir())),
        viewers=viewers,
        cpu_s=(int(fields[11]) + int(fields[12])) / ticks,
    )


def slope(points: Sequence[tuple[float, float]]) -> float:
    """How much the second member grows with each unit of the first: the line of least squares."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


MEASURES: tuple[tuple[str, str, Callable[[Sample], float], Callable[[Extent], float]], ...] = (
    ("resident memory", "MB", lambda sample: sample.rss_mb, lambda extent: extent.rss_mb),
    ("open files", "", lambda sample: sample.fds, lambda extent: extent.fds),
    ("threads", "", lambda sample: sample.threads, lambda extent: extent.threads),
)


def growths(samples: Sequence[Sample], extent: Extent) -> list[tuple[str, str, float, float]]:
    """For each measure its name, its unit, how much it grew in the time after the warm-up, and how much it
    may."""
    later = [sample for sample in samples if sample.at >= extent.warm_up_s]
    lasted = later[-1].at - later[0].at
    return [
        (name, unit, slope([(sample.at, of(sample)) for sample in later]) * lasted, allowed(extent))
        for name, unit, of, allowed in MEASURES
    ]


def too_much(samples: Sequence[Sample], extent: Extent) -> list[str]:
    """What grew by more than it may, in sentences."""
    return [
        f"{name} grew by {grown:.1f} {unit}".rstrip()
        for name, unit, grown, allowed in growths(samples, extent)
        if grown > allowed
    ]


def figures(samples: Sequence[Sample], extent: Extent) -> str:
    """From where to where each measure went after the warm-up, and what it grew by, in one line."""
    later = [sample for sample in samples if sample.at >= extent.warm_up_s]
    ends = {name: (of(later[0]), of(later[-1])) for name, _, of, _ in MEASURES}
    return "; ".join(
        f"{name} {ends[name][0]:.0f} to {ends[name][1]:.0f} {unit}".rstrip()
        + f", growth {grown:.2f} (at most {allowed:g})"
        for name, unit, grown, allowed in growths(samples, extent)
    )


def told(samples: Sequence[Sample], extent: Extent) -> str:
    """A small table of the samples."""
    lines = ["minute  RSS MB  files  threads  viewers  CPU %"]
    step = max(1, len(samples) // 12)
    for earlier, sample in zip(samples[::step], samples[step::step], strict=False):
        cpu = 100 * (sample.cpu_s - earlier.cpu_s) / (sample.at - earlier.at)
        lines.append(
            f"{sample.at / 60:6.1f}  {sample.rss_mb:6.1f}  {sample.fds:5.0f}  {sample.threads:7.0f}"
            f"  {sample.viewers:7}  {cpu:5.1f}"
        )
    return "\n".join(lines)


def soak(extent: Extent, seed: int) -> Row:
    """Let it be an ordinary event for so long, and judge what everybody was told and what grew."""
    with ExitStack() as stack:
        server = AfeedServer(sources=RECORDING)
        stack.callback(server.close)
        write_recording(server.directory / "recording.jsonl", extent.seconds, RECORDED_RATE, seed)
        server.start()
        crowd = Crowd([server.port], server.slug, extent.viewers, seed, HABITS)
        stack.callback(crowd.close)
        load = Load([server], PUSHED_RATE, batch=5, seed=seed)
        load.start()
        try:
            samples = _observe(server, crowd, extent)
        finally:
            load.stop()
        print(told(samples, extent), flush=True)
        log = at_rest([server])
        crowd.catch_up(log[-1].seq, CATCH_UP_S)
        wrong = [*too_much(samples, extent), *remarks(crowd, log)]
        least = extent.least_load * PUSHED_RATE * extent.seconds
        if len(load.accepted) < least:
            wrong.append(f"only {len(load.accepted)} items were accepted, not {least:.0f}")
        lasted = f"{extent.seconds / 60:.0f} min" if extent.seconds >= 120 else f"{extent.seconds:.0f} s"
        found = row(f"soak, {lasted}", seed, crowd, load, 0, wrong, log)
        return found._replace(note=figures(samples, extent))


def _observe(server: AfeedServer, crowd: Crowd, extent: Extent) -> list[Sample]:
    began = time.monotonic()
    samples: list[Sample] = []
    every = min(SAMPLE_EVERY_S, extent.seconds / 10)
    while (left := extent.seconds - (time.monotonic() - began)) > 0:
        crowd.run(min(every, left))
        sample = take_sample(server.pid, began, crowd.connected)
        if sample.at // 60 > (samples[-1].at if samples else 0.0) // 60:
            print(f"{sample.at / 60:.0f} min: {sample}, {crowd.tally.deliveries:,} deliveries", flush=True)
        samples.append(sample)
    return samples


@scenario("soak", "an hour at 50 items a second with 500 viewers coming and going: memory, files, threads")
def an_hour(long: bool, seed: int) -> Row:
    return soak(LONG if long else SHORT, seed)
