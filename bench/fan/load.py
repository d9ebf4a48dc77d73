"""One run of the generator against one contender."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from statistics import median
from typing import Any

import attrs

from bench.fan.contenders import Contender, Target
from bench.fan.machine import GENERATOR_CORE, compiled, cpu_seconds, resident_kb


class RunFailed(AssertionError):
    """A run that measured nothing, with what the generator and the server said."""


@attrs.frozen
class Run:
    """What one run gave.  ``cpu_us`` is the processor time of those who serve for each delivery (or answer, in
    mode get), ``beside_us`` that of what stands before them, ``idle_kb`` the memory for each client that waits,
    ``busy`` how much of its core the generator used, ``sync_p99_ms`` what the disk alone took."""

    clients: int
    connect_s: float
    deliveries: int
    answers: int
    seconds: float
    p50_ms: float
    p99_ms: float
    sync_p50_ms: float
    sync_p99_ms: float
    cpu_us: float
    beside_us: float
    idle_kb: float
    busy: float

    @property
    def connects(self) -> float:
        """New clients a second."""
        return self.clients / self.connect_s


def medians(runs: list[Run]) -> dict[str, float]:
    """The median of every quantity, by its name."""
    found = {field.name: median([getattr(run, field.name) for run in runs]) for field in attrs.fields(Run)}
    return {**found, "connects": median([run.connects for run in runs]) if runs[0].connect_s else 0.0}


@contextmanager
def started(contender: Contender) -> Iterator[Target]:
    """The contender on its core, ended afterwards."""
    try:
        target = contender.start()
        contender.pin()
        yield target
    finally:
        contender.close()


class Load:
    """The generator at work on ``target``; ``options`` are its own (see ``load.c``).  Connected when this
    returns, unless as a ``herd``."""

    def __init__(self, target: Target, mode: str, *, path: str | None = None, **options: Any) -> None:
        command = [str(compiled("load")), mode, f"127.0.0.1:{target.port}", path or target.paths[mode]]
        command += ["marker", target.marker]
        if "items" in options:
            command += ["publish", target.publish, "body", target.body, "token", target.token]
            command += ["port", str(target.publish_port or target.port)]
        for name, value in options.items():
            command += [name, str(value)]
        self._expected = options.get("items")
        self._everything = "expect" in options
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {GENERATOR_CORE}),
        )
        try:
            if self._line() != "ready\n":
                raise RunFailed(f"the clients could not connect: {self._complaints()}")
        except BaseException:
            self.close()
            raise

    def go(self) -> None:
        """Say that it may begin."""
        self._say()

    def result(self) -> dict[str, Any]:
        """What came of it: returns when it is done, with every client still connected."""
        line = self._line()
        if not line:
            raise RunFailed(f"the generator ended: {self._complaints()}")
        result: dict[str, Any] = json.loads(line)
        return result

    def finish(self, result: Mapping[str, Any]) -> None:
        """Let everybody go; fails when not everybody had everything."""
        self._say()
        complaints = self._complaints()
        if result["errors"]:
            raise RunFailed(f"{result['errors']} errors, the first: {complaints}")
        if self._expected is not None and result["deliveries"] != result["clients"] * self._expected:
            whole = result["clients"] * self._expected
            raise RunFailed(f"{result['deliveries']:,} of {whole:,} deliveries in {result['seconds']:.0f} s")
        if self._everything and result["complete"] != result["clients"]:
            raise RunFailed(f"{result['complete']:,} of {result['clients']:,} clients had everything")

    def close(self) -> None:
        """End it, whatever it is doing."""
        self._process.kill()
        self._process.communicate()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def _say(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def _complaints(self) -> str:
        """Wait for its end; what it said on standard error."""
        try:
            _, said = self._process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            _, said = self._process.communicate()
        return said.strip() or f"exit status {self._process.returncode}"


@contextmanager
def loaded(target: Target, mode: str, **options: Any) -> Iterator[Load]:
    """The generator, ended afterwards."""
    load = Load(target, mode, **options)
    try:
        yield load
    finally:
        load.close()


def measure(contender: Contender, target: Target, mode: str, **options: Any) -> Run:
    """One run; raises :class:`RunFailed`, also where not every client had every item."""
    pids, beside = contender.pids(), contender.beside()
    empty = resident_kb(pids)
    try:
        with loaded(target, mode, **options) as load:
            idle = resident_kb(pids)
            before = cpu_seconds(pids), cpu_seconds(beside)
            load.go()
            result = load.result()
            used = cpu_seconds(pids) - before[0], cpu_seconds(beside) - before[1]
            load.finish(result)
    except RunFailed as error:
        raise RunFailed(f"{contender.title}: {error}\n{contender.output()}") from error
    if not used[0]:
        raise RunFailed(
            f"{contender.title} used no processor time: those who serve are not those who were watched"
        )
    count = max(1, result["answers"] if mode == "get" else result["deliveries"])
    copied = {field.name: result[field.name] for field in attrs.fields(Run) if field.name in result}
    return Run(
        **copied,
        cpu_us=1e6 * used[0] / count,
        beside_us=1e6 * used[1] / count,
        idle_kb=(idle - empty) / result["clients"],
        busy=result["own_cpu_s"] / max(1e-9, result["seconds"] + result["connect_s"]),
    )
