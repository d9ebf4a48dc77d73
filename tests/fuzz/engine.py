"""Running a target: case after case, what it raised, what it cost."""

from __future__ import annotations

import gc
import math
import resource
import tempfile
import time
import traceback
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import NamedTuple

from tests.fuzz.mutation import Mutator

#: Reads one case.  What it returns names the outcome: a case with a new one is kept to be mutated further.
#: What it raises is a defect; documented errors it catches itself.
Check = Callable[[bytes], Hashable]

#: After this part of the cases everything that is made once has been made, and memory is to stay as it is.
_WARM = 0.2
#: How much the process may grow after that (KB): what caches of bounded size and the allocator take.
MAX_GROWTH_KB = 24 * 1024
#: CPU time after which a single case counts as one that never ends (seconds); the usual one takes 0.0001.
MAX_CASE_S = 5.0
#: Memory that may be in use while a case is looked at, beyond what was before the first one.
MAX_CASE_BYTES = 1024**3
#: A target that is as broken as this need not be looked at further.
_MAX_CRASHES = 10
_MAX_OUTCOMES = 100_000
#: Of a trace that is printed; the case is kept.
_LONGEST_LINE = 600


class Target(NamedTuple):
    """Something that reads what others send.

    ``reads`` says what; ``open`` makes its check, and leaves what has to be closed afterwards on the stack.
    ``tokens`` are words that the parser looks for; ``json`` says that most cases are to be JSON, ``sound`` how
    many of the others are to begin as good ones.
    """

    name: str
    reads: str
    samples: Callable[[], Sequence[bytes]]
    open: Callable[[ExitStack], Check]
    tokens: Sequence[bytes] = ()
    json: bool = False
    sound: float = 0.0


class Crash(NamedTuple):
    """A defect: the number of the case, where it was kept, what was raised and where."""

    case: int
    kept: Path
    error: str


class Result(NamedTuple):
    """What became of a target: how many different ``outcomes``, CPU microseconds for a case (making it
    included), milliseconds of the slowest, how much memory was in use (KB) after the first fifth of the cases
    and how much more at the end, and seconds by the clock."""

    name: str
    cases: int
    outcomes: int
    micros: float
    slowest_ms: float
    warm_kb: int
    grown_kb: int
    seconds: float
    crashes: tuple[Crash, ...]

    @property
    def sound(self) -> bool:
        return not self.crashes and self.grown_kb <= MAX_GROWTH_KB

    def row(self) -> str:
        verdict = "ok" if self.sound else f"{len(self.crashes)} crashes" if self.crashes else "grows"
        return (
            f"{self.name:<12} {self.cases:>9,} {self.outcomes:>9,} {self.micros:>8.0f} "
            f"{self.slowest_ms:>10.1f} {self.warm_kb:>9,} {self.grown_kb:>8,} {self.seconds:>7.0f}  {verdict}"
        )


HEADING = (
    f"{'target':<12} {'cases':>9} {'outcomes':>9} {'us/case':>8} {'slowest ms':>10} {'RSS KB':>9} "
    f"{'grew KB':>8} {'seconds':>7}  verdict"
)


def resident_kb() -> int:
    """The memory that this process has in use now."""
    gc.collect()
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("the kernel does not tell how much memory is in use")


def run(target: Target, cases: int, seed: int, most_s: float = math.inf) -> Result:
    """Send ``cases`` cases, the same ones for the same ``seed``, and tell what came of it.  After ``most_s``
    seconds by the clock no more are sent."""
    rng = Random(f"{seed}:{target.name}")
    mutator = Mutator(rng, target.samples(), target.tokens, target.json, target.sound)
    outcomes: set[Hashable] = set()
    crashes: dict[str, Crash] = {}
    slowest, warm, before = 0.0, int(cases * _WARM), 0
    clock = time.perf_counter
    with ExitStack() as stack:
        stack.enter_context(_collected_seldom())
        stack.enter_context(_limited_memory())
        check = target.open(stack)
        started, opened = time.process_time(), clock()
        for number in range(cases):
            passed = clock() - opened
            if not before and (number >= warm or passed > most_s * _WARM):
                before = resident_kb()
            if passed > most_s:
                cases = number
                break
            case = mutator.make()
            began = clock()
            try:
                outcome = check(case)
                took = clock() - began
                if took > slowest:
                    slowest = max(slowest, _cpu(check, case))
            except Exception as error:
                _keep(crashes, target.name, number, case, error)
                if len(crashes) >= _MAX_CRASHES:
                    cases = number + 1
                    break
                continue
            if outcome not in outcomes and len(outcomes) < _MAX_OUTCOMES:
                outcomes.add(outcome)
                mutator.learn(case)
        spent = time.process_time() - started
        seconds = clock() - opened
        grown = resident_kb() - before if before else 0
    found = tuple(crashes.values())
    micros = spent / max(cases, 1) * 1e6
    return Result(target.name, cases, len(outcomes), micros, slowest * 1000, before, grown, seconds, found)


def _cpu(check: Check, case: bytes) -> float:
    """CPU seconds for ``case``: it took long, which may have been the machine.  Raises :class:`TimeoutError`
    for one that takes as good as for ever."""
    began = time.thread_time()
    check(case)
    took = time.thread_time() - began
    if took > MAX_CASE_S:
        raise TimeoutError(f"a case takes {took:.1f} s")
    return took


def _keep(crashes: dict[str, Crash], name: str, number: int, case: bytes, error: Exception) -> None:
    """Remember the first case of each kind of crash, in a file of its own."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    kind = f"{type(error).__name__} {place}"
    if kind in crashes:
        return
    with tempfile.NamedTemporaryFile(prefix=f"afeed-fuzz-{name}-", delete=False) as file:
        file.write(case)
    trace = "".join(line[-_LONGEST_LINE:] for line in traceback.format_exception(error)[-4:])
    crashes[kind] = Crash(number, Path(file.name), trace)


@contextmanager
def _limited_memory() -> Iterator[None]:
    """A case that wants more than :data:`MAX_CASE_BYTES` gets a :class:`MemoryError`."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MAX_CASE_BYTES, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


class _collected_seldom(AbstractContextManager[None]):
    """What the samples are made of is not looked at again by every collection."""

    def __enter__(self) -> None:
        gc.collect()
        gc.freeze()

    def __exit__(self, *error: object) -> None:
        gc.unfreeze()
