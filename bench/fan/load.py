"""One run of the generator against one contender."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import attrs

from bench.fan.contenders import Contender, Target
from bench.fan.machine import GENERATOR_CORE, SERVER_CORE, compiled, cpu_seconds, pin, resident_kb


@attrs.frozen
class Run:
    """What one run gave.  ``cpu_us`` is the server's processor time for each delivery (or answer, in mode get),
    ``idle_kb`` its memory for each client that waits, ``busy`` how much of its core the generator used."""

    clients: int
    connect_s: float
    deliveries: int
    answers: int
    seconds: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    idle_kb: float
    busy: float


@contextmanager
def started(contender: Contender) -> Iterator[Target]:
    """The contender on its core, ended afterwards."""
    try:
        target = contender.start()
        pin(contender.pids(), SERVER_CORE)
        yield target
    finally:
        contender.close()


def measure(contender: Contender, target: Target, mode: str, *, path: str | None = None, **options: Any) -> Run:
    """Let the generator loose; ``options`` are its own (see ``load.c``)."""
    command = [str(compiled("load")), mode, f"127.0.0.1:{target.port}", path or target.paths[mode]]
    command += ["marker", target.marker]
    if "items" in options:
        command += ["publish", target.publish, "body", target.body, "token", target.token]
        command += ["port", str(target.publish_port or target.port)]
    for name, value in options.items():
        command += [name, str(value)]
    pids = contender.pids()
    empty = resident_kb(pids)
    generator = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {GENERATOR_CORE}),
    )
    try:
        assert generator.stdin is not None
        assert generator.stdout is not None
        _expect_ready(generator.stdout)
        idle = resident_kb(pids)
        before = cpu_seconds(pids)
        _say(generator.stdin)
        line = generator.stdout.readline()
        used = cpu_seconds(pids) - before
        if not line:
            raise AssertionError(f"{contender.name}: the generator failed")
        result = json.loads(line)
        _say(generator.stdin)
        generator.wait(60)
    finally:
        generator.kill()
        generator.wait()
    if result["errors"]:
        raise AssertionError(f"{contender.name}: {result}")
    whole = result["clients"] * result["items"]
    if "items" in options and result["deliveries"] != whole:
        raise AssertionError(f"{contender.name} delivered {result['deliveries']} of {whole}: {result}")
    count = result["answers"] if mode == "get" else result["deliveries"]
    return Run(
        clients=result["clients"],
        connect_s=result["connect_s"],
        deliveries=result["deliveries"],
        answers=result["answers"],
        seconds=result["seconds"],
        p50_ms=result["p50_ms"],
        p99_ms=result["p99_ms"],
        cpu_us=1e6 * used / max(1, count),
        idle_kb=(idle - empty) / result["clients"],
        busy=result["own_cpu_s"] / max(1e-9, result["seconds"] + result["connect_s"]),
    )


def _expect_ready(stream: IO[str]) -> None:
    line = stream.readline()
    if line != "ready\n":
        raise AssertionError("the clients could not connect")


def _say(stream: IO[str]) -> None:
    stream.write("go\n")
    stream.flush()
