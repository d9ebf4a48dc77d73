"""Every way in which a Redis is known to misbehave, with a node on it, load, and viewers.

Each fault says what begins it and what ends it; what is promised is the same for all: pages stay, health turns
and turns back, viewers are told, an item is accepted and delivered within five seconds of the end, and nothing
is lost, comes twice or is told as a gap.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.chaos.promises import HEALTH_S, RECOVERY_S, TOLD_S, within
from tests.chaos.redis_scene import Scene, Times
from tests.chaos.table import Row, scenario
from tests.chaos.verdict import Verdict
from tests.chaos.watch import complaint, unsaid
from tests.servers.process import wait_until
from tests.servers.redis import Redis

Step = Callable[[Scene], object]


class Fault(NamedTuple):
    """``seconds`` is how long it lasts, in the short and in the long form; it lasts until health has turned to
    ``turns``, if that is longer.  ``turns`` is None where it is over at once and nobody need have seen it.
    ``new_epoch`` says whether afeed has to begin one, None where it may; ``logs`` is what the process has to
    say."""

    name: str
    about: str
    begin: Step
    end: Step
    seconds: tuple[float, float]
    turns: str | None
    new_epoch: bool | None
    logs: tuple[str, ...]
    #: How many servers there are, and how the node finds them.
    scene: Callable[[bool], Scene] = Scene


def _nothing(scene: Scene) -> None:
    pass


def _kill(scene: Scene) -> None:
    scene.redis.kill()


def _start(scene: Scene) -> None:
    scene.redis.start()


def _restart(scene: Scene) -> None:
    scene.redis.restart()


def _wipe(scene: Scene) -> None:
    """Its files go while it runs; then it goes."""
    scene.redis.lose()
    scene.redis.kill()
    scene.redis.lose()


def _flush(scene: Scene) -> None:
    scene.redis.cli("FLUSHALL")


def _forget_a_second(scene: Scene) -> None:
    """Bring it back with the append-only file of some hundred items ago."""
    files = scene.redis.directory / "appendonlydir"
    copy = Path(shutil.copytree(files, scene.redis.directory / "copy"))
    before = len(scene.publisher.accepted)
    wait_until(lambda: len(scene.publisher.accepted) >= before + 100, "items that will be lost")
    scene.redis.kill()
    shutil.rmtree(files)
    copy.rename(files)


def _cut_off(scene: Scene) -> None:
    for kind in ("normal", "pubsub"):
        scene.redis.cli("CLIENT", "KILL", "TYPE", kind)


def _change_password(scene: Scene) -> None:
    scene.redis.cli("CONFIG", "SET", "requirepass", "another")
    # Whoever is connected stays so; a reconnect is what the password is for.
    for kind in ("normal", "pubsub"):
        scene.redis.cli("-a", "another", "--no-auth-warning", "CLIENT", "KILL", "TYPE", kind)


def _change_password_back(scene: Scene) -> None:
    scene.redis.cli("-a", "another", "--no-auth-warning", "CONFIG", "SET", "requirepass", "")


def _hang(scene: Scene) -> None:
    scene.redis.signal(signal.SIGSTOP)


def _go_on(scene: Scene) -> None:
    scene.redis.signal(signal.SIGCONT)


def _setting(name: str, value: str) -> Step:
    return lambda scene: scene.redis.cli("CONFIG", "SET", name, value)


def _proxy(mode: str, delay: float = 0.0) -> Step:
    def step(scene: Scene) -> None:
        scene.proxy.delay = delay
        scene.proxy.mode = mode  # type: ignore[assignment]

    return step


def _proxied(long: bool) -> Scene:
    return Scene(long, through_proxy=True)


class SentinelScene(Scene):
    """A master, a replica, and a real sentinel that knows them."""

    def __init__(self, long: bool) -> None:
        master, self.replica, self.sentinel = Redis(), Redis(), Redis()
        try:
            master.start()
            self.replica.start("--replicaof", "127.0.0.1", str(master.port))
            (self.sentinel.directory / "sentinel.conf").write_text(
                f"port {self.sentinel.port}\nbind 127.0.0.1\ndir {self.sentinel.directory}\n"
                f"sentinel monitor feed 127.0.0.1 {master.port} 1\n"
                "sentinel down-after-milliseconds feed 3000\nsentinel failover-timeout feed 6000\n"
            )
            self._wait_for_replica(master)
            self.sentinel.start_sentinel("sentinel.conf")
            wait_until(
                lambda: "slave-repl-offset" in self.sentinel.cli("SENTINEL", "REPLICAS", "feed"),
                "the sentinel to know the replica",
            )
            url = f"redis+sentinel://127.0.0.1:1,127.0.0.1:{self.sentinel.port}/feed/0"
            super().__init__(long, live_log=url, redis=master)
        except BaseException:
            for server in (self.sentinel, self.replica, master):
                server.close()
            raise

    def _wait_for_replica(self, master: Redis) -> None:
        wait_until(lambda: "state=online" in master.cli("INFO", "replication"), "the replica to follow")

    def _end(self) -> None:
        self.sentinel.close()
        self.replica.close()
        super()._end()

    def wait_for_failover(self) -> None:
        """Return when the sentinel names the replica, and it is a master."""

        def done() -> bool:
            named = self.sentinel.cli("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "feed").split()
            return named == ["127.0.0.1", str(self.replica.port)] and "role:master" in self.replica.cli(
                "INFO", "replication"
            )

        # One that was not given the processor for a while trusts its clock again after half a minute.
        wait_until(done, "the sentinel to promote the replica", 120)


def _cut_replica_off(scene: Scene) -> None:
    """The replica loses the master, items are accepted that it does not get, and the master dies."""
    scene.redis.cli("CONFIG", "SET", "requirepass", "another")
    scene.redis.cli("-a", "another", "--no-auth-warning", "CLIENT", "KILL", "TYPE", "replica")
    before = len(scene.publisher.accepted)
    wait_until(lambda: len(scene.publisher.accepted) >= before + 50, "items that the replica will not have")
    scene.redis.kill()


def _wait_for_failover(scene: Scene) -> None:
    assert isinstance(scene, SentinelScene)
    scene.wait_for_failover()


_GONE = "pages show what there is, pushes get 503, and sources hold what they have"
_BACK = "can be used again, after"
_FILLED = "was filled up to"

FAULTS = (
    Fault("crash", "SIGKILL", _kill, _start, (2, 10), "failed", True, ("refused. Start it", _GONE, _BACK)),
    Fault(
        "restart", "a restart with its data", _restart, _nothing, (0, 0), None, True, ("begins epoch", _BACK)
    ),
    Fault("wipe", "its files are deleted", _wipe, _start, (1, 10), "failed", True, (_GONE, _FILLED)),
    Fault("flush", "FLUSHALL", _flush, _nothing, (0, 0), None, True, ("it has lost changes", _FILLED)),
    Fault(
        "lost-second",
        "a restart without the last second",
        _forget_a_second,
        _start,
        (0, 5),
        "failed",
        True,
        (_FILLED,),
    ),
    Fault("cut-off", "all its connections are cut", _cut_off, _nothing, (0, 0), None, False, (_BACK,)),
    Fault(
        "password",
        "another password for a while",
        _change_password,
        _change_password_back,
        (3, 60),
        "failed",
        False,
        ("NOAUTH", "live_log_password", _GONE, _BACK),
    ),
    Fault(
        "accept-then-close",
        "connections are accepted and closed",
        _proxy("cut"),
        _proxy("pass"),
        (3, 10),
        "failed",
        False,
        ("the connection was lost", _GONE, _BACK),
        _proxied,
    ),
    Fault(
        "hang",
        "SIGSTOP",
        _hang,
        _go_on,
        (5, 60),
        "failed",
        False,
        ("did not answer", "See whether it hangs", _GONE, _BACK),
    ),
    Fault(
        "silence",
        "the network swallows everything",
        _proxy("silent"),
        _proxy("pass"),
        (5, 30),
        "failed",
        False,
        ("did not answer", "network", _GONE, _BACK),
        _proxied,
    ),
    Fault(
        "maxmemory",
        "its memory is used up",
        _setting("maxmemory", "1"),
        _setting("maxmemory", "0"),
        (2, 10),
        "failed",
        False,
        ("OOM", "raise its maxmemory", "Redis records again"),
    ),
    Fault(
        "evicting",
        "it may evict the log",
        _setting("maxmemory-policy", "allkeys-lru"),
        _setting("maxmemory-policy", "noeviction"),
        (2, 10),
        "failed",
        False,
        ("would evict the log", "CONFIG SET maxmemory-policy noeviction", _BACK),
    ),
    Fault(
        "slow",
        "every answer takes a second",
        _proxy("delay", 1.0),
        _proxy("pass"),
        (4, 30),
        "degraded",
        False,
        ("for an answer, so posts come late", "SLOWLOG", "answers in time again"),
        _proxied,
    ),
    Fault(
        "too-slow",
        "every answer takes four seconds",
        _proxy("delay", 4.0),
        _proxy("pass"),
        (5, 30),
        "failed",
        False,
        ("did not answer", _GONE, _BACK),
        _proxied,
    ),
    Fault(
        "failover",
        "the master dies, a sentinel promotes its replica",
        _kill,
        _wait_for_failover,
        (0, 0),
        "failed",
        True,
        (_GONE, "begins epoch", _BACK),
        SentinelScene,
    ),
    Fault(
        "lagging-failover",
        "the same, with a replica that lacks the last writes",
        _cut_replica_off,
        _wait_for_failover,
        (0, 0),
        "failed",
        True,
        (_GONE, _FILLED, _BACK),
        SentinelScene,
    ),
)


class Outcome(NamedTuple):
    """What came of a fault; ``problems`` are the promises that were broken, a sentence each."""

    verdict: Verdict
    times: Times
    problems: list[str]
    output: str
    #: The longest that any page or answer took, in seconds.
    slowest: float

    def row(self, fault: Fault, seed: int) -> Row:
        row = self.verdict.row(f"redis {fault.name}", seed, 1)
        remark = "; ".join([*self.problems, *([row.remark] if row.remark else [])])
        times = self.times
        notes = [f"an answer took {self.slowest:.2f} s at most"]
        if times.told is not None and times.polled is not None:
            notes.insert(0, f"told after {times.told:.1f} s by streams, {times.polled:.1f} s by polls")
        return row._replace(
            remark=remark, recovery_s=times.served, red_s=times.red, green_s=times.green, note="; ".join(notes)
        )


def run_fault(fault: Fault, long: bool) -> Outcome:
    """Inject ``fault`` into servers of its own and judge."""
    with fault.scene(long) as scene:
        epoch = scene.epoch()
        times = scene.endure(
            lambda: fault.begin(scene),
            lambda: fault.end(scene),
            fault.seconds[long],
            turns=fault.turns,
        )
        problems = late(fault, times, long)
        if fault.new_epoch is not None and (scene.epoch() != epoch) != fault.new_epoch:
            problems.append(f"the epoch was {epoch} and is {scene.epoch()}")
        continued = scene.server.updates(f"{epoch}:1", limit=1)
        if continued["gap"] is not None or continued["changes"][0]["seq"] != 2:
            problems.append(f"a cursor from before does not go on: {continued}")
        verdict = scene.judge()
        problems += scene.watch.trouble[:3]
        problems += unsaid(scene.server, fault.logs)
        output = scene.server.output()
    problems += complaint(output)
    return Outcome(verdict, times, problems, output, scene.watch.slowest)


def late(fault: Fault, times: Times, long: bool) -> list[str]:
    """What came later than is promised, a sentence each."""
    problems = []
    recovery, health, told = (within(promised, long) for promised in (RECOVERY_S, HEALTH_S, TOLD_S))
    if times.served > recovery:
        problems.append(f"service was back {times.served:.1f} s after Redis was")
    if times.green is None:
        problems.append(f"health was not green again within {health:g} s")
    if fault.turns is not None and times.red is None:
        problems.append(f"health did not turn {fault.turns} within {health:g} s")
    if fault.turns == "failed" and times.told is None:
        problems.append(f"not all viewers that stream were told within {told:g} s")
    if fault.turns == "failed" and times.polled is None:
        problems.append(f"no poll was told within {told:g} s")
    return problems


def _register(fault: Fault) -> None:
    @scenario(f"redis-{fault.name}", f"Redis: {fault.about}")
    def run(long: bool, seed: int) -> Row:
        return run_fault(fault, long).row(fault, seed)


for _fault in FAULTS:
    _register(_fault)
