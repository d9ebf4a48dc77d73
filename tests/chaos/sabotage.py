"""``python -m tests.chaos.sabotage [--fail-point NAME [--seed N]] [--without NAME] -- ARGUMENTS``: ``twistd``
with those arguments, which kills itself at a named moment, or lacks one of its protections.

afeed contains nothing for this: what it does is changed from outside, before it is started.
"""

from __future__ import annotations

import argparse
import functools
import inspect
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.scripts.twistd import run

from tests.chaos.controls import CONTROLS
from tests.chaos.failpoints import BY_NAME, FailPoint, resolve

#: A death during a call comes at most so long after its beginning (seconds).
WITHIN_S = 0.003


def said_at(point: FailPoint) -> str:
    """The last words of a process that reached ``point``."""
    return f"killed at the fail point {point.name}"


def die(point: FailPoint) -> None:
    """End this process as ``kill -9`` would, without another instruction."""
    os.write(2, f"{said_at(point)}\n".encode())
    os.kill(os.getpid(), signal.SIGKILL)


def arm(point: FailPoint, rng: Random) -> None:
    """Have this process die at ``point``; ``rng`` says when within a call, where that is left to chance."""
    for target, value in point.adjust.items():
        holder, name, _ = resolve(target)
        setattr(holder, name, value)
    holder, name, function = resolve(point.target)
    setattr(holder, name, armed(point, function, rng, lambda: die(point)))


def armed(point: FailPoint, function: Callable[..., Any], rng: Random, end: Callable[[], object]) -> Any:
    """``function``, with ``end`` called where ``point`` says."""
    passes = 0
    lock = threading.Lock()

    def due() -> bool:
        nonlocal passes
        with lock:
            passes += 1
            return passes == point.passes

    def soon() -> None:
        time.sleep(WITHIN_S * rng.random())
        end()

    async def awaited(result: Any) -> Any:
        value = await result
        if due():
            end()
        return value

    def fired(value: Any) -> Any:
        if due():
            end()
        return value

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if point.only is not None and not point.only(*args, **kwargs):
            return function(*args, **kwargs)
        if point.when == "before" and due():
            end()
        if point.when == "during" and due():
            threading.Thread(target=soon, daemon=True).start()
        result = function(*args, **kwargs)
        if point.when != "after":
            return result
        if inspect.iscoroutine(result):
            return awaited(result)
        if isinstance(result, Deferred):
            return result.addCallback(fired)
        return fired(result)

    return wrapper


def main(arguments: list[str]) -> None:
    """Do as the module says."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.sabotage")
    parser.add_argument("--fail-point", choices=sorted(BY_NAME))
    parser.add_argument("--seed", type=int, default=0, help="of the moment within a call")
    parser.add_argument("--without", choices=sorted(CONTROLS), action="append", default=[])
    parser.add_argument("arguments", nargs="+", help="what twistd is given")
    options = parser.parse_args(arguments)
    for name in options.without:
        CONTROLS[name]()
    if options.fail_point is not None:
        arm(BY_NAME[options.fail_point], Random(f"{options.fail_point}/{options.seed}"))
    sys.argv = ["twistd", *options.arguments]
    run()


if __name__ == "__main__":
    main(sys.argv[1:])
