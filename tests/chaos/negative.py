"""Runs without one of the protections (:mod:`tests.chaos.controls`), in which the harness has to find what that
does; and the same runs with it, in which it may find nothing."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import Sequence
from contextlib import ExitStack, closing
from typing import NamedTuple

from msgspec import structs

from afeed.core.change import POSTED, compose, timestamp
from afeed.core.draft import Posted, prepare
from tests.chaos.archived import archived_count
from tests.chaos.failpoints import BY_NAME
from tests.chaos.followers import EventStream
from tests.chaos.kills import LOGS, Witnesses
from tests.chaos.sabotaged import SabotagedServer
from tests.chaos.table import Row, scenario
from tests.chaos.verdict import Verdict, judge
from tests.fakes import an_item
from tests.servers import postgresql
from tests.servers.process import wait_until
from tests.servers.redis import Redis


def _redis(stack: ExitStack, *, append_only: bool = True) -> Redis:
    redis = Redis(append_only=append_only)
    stack.callback(redis.close)
    redis.start()
    return redis


# -- deduplication


def dedupe(log: str, without: Sequence[str], seed: int) -> Verdict:
    """A publisher that was not answered, because the node died before it did, sends again."""
    with ExitStack() as stack:
        live_log = _redis(stack).url if log == "redis" else "embedded"
        server = SabotagedServer(live_log=live_log, without=without, seed=seed)
        stack.callback(server.close)
        point = BY_NAME["push.before-answer"]
        server.doom(point)
        with Witnesses(server, 400) as witnesses:
            server.die(point)
            server.start()
            accepted = witnesses.publisher.accepted
            wait_until(lambda: len(accepted) > 100, "a hundred items to be taken")
            return witnesses.verdict()


# -- epochs

#: Items that Redis, the archive and the viewer have; that Redis and the viewer have; that come afterwards.
KEPT, LOST, NEW = 20, 30, 60


class Seen(NamedTuple):
    """What a viewer was given and told."""

    verdict: Verdict
    gaps: list[tuple[int, str]]
    void: int


def epochs(without: Sequence[str]) -> Seen:
    """A viewer has more than what is left of a log, because Redis lost what the archive did not have, and as
    many new items have taken the numbers of the lost ones."""
    with ExitStack() as stack:
        redis = _redis(stack, append_only=False)
        server = SabotagedServer(live_log=redis.url, without=without)
        stack.callback(server.close)
        server.start()
        viewer = EventStream(server.port, server.slug)
        viewer.start()
        stack.callback(viewer.stop)
        server.push(*_items("kept", KEPT))
        wait_until(lambda: archived_count(server) == KEPT, "what is kept to be archived")
        path = server.directory / server.archive.removeprefix("sqlite:///")
        with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as locker:
            locker.execute("BEGIN IMMEDIATE")
            server.push(*_items("lost", LOST))
            wait_until(lambda: viewer.seq == KEPT + LOST, "the viewer to have everything")
            viewer.sleep()
            server.kill()
            redis.restart(lose=True)
        server.start()
        server.push(*_items("new", NEW))
        viewer.wake()
        wait_until(lambda: viewer.seq == KEPT + NEW, "the viewer to have everything again")
        viewer.stop()
        told = [(gap["from"], gap["reason"]) for gap in viewer.gaps]
        return Seen(judge(server.changes(), {}, [viewer]), told, viewer.void)


def _items(name: str, count: int) -> list[dict[str, str]]:
    return [{"id": f"{name}-{number}", "text": f"{name} {number}"} for number in range(count)]


# -- the fencing token


def fencing(without: Sequence[str]) -> int:
    """How often a leader that was paused wrote after the other had begun to lead.

    Each node plays a recording of its own, so that the log tells who wrote."""
    with ExitStack() as stack:
        redis = _redis(stack)
        archive = postgresql.shared().create_database()
        nodes = []
        for name in ("first", "second"):
            node = SabotagedServer(
                live_log=redis.url,
                archive=archive,
                without=without,
                sources='[[events.sources]]\ntype = "replay"\nfile = "day.jsonl"\n',
            )
            stack.callback(node.close)
            (node.directory / "day.jsonl").write_bytes(_recording(name))
            nodes.append(node)
        first, second = nodes
        first.start()
        wait_until(lambda: "first" in _texts(first), "the first node to play its recording")
        second.start()
        first.signal(signal.SIGSTOP)
        wait_until(lambda: "second" in _texts(second), "the second node to lead")
        first.signal(signal.SIGCONT)
        wait_until(lambda: _resting(first), "the first node to know that it does not lead")
        # What the first one wrote it knows itself; the second hears of it a moment later.
        _, _, head = first.updates(limit=1)["cursor"].partition(":")
        texts = _texts(second, int(head))
        return texts[texts.index("second") :].count("first")


def _recording(name: str) -> bytes:
    """Ten posts a second, for minutes."""
    items = (structs.replace(an_item(number, name), id=f"push:{name}-{number}") for number in range(3000))
    lines = [compose(prepare(Posted(i, "1")), POSTED, timestamp(n / 10)) for n, i in enumerate(items)]
    return b"\n".join(lines)


def _texts(node: SabotagedServer, upto: int = 0) -> list[str]:
    return [change["item"]["text"] for change in node.changes(upto) if change["type"] == POSTED]


def _resting(node: SabotagedServer) -> bool:
    told = json.loads(node.request("/healthz")[2])["checks"]["replay:rehearsal"]
    return bool(told["data"].get("state") == "resting")


# -- the rows


def control(name: str, seed: int, red: bool, found: str) -> Row:
    """The row of a run without ``name``: clean only when the harness went ``red``; ``found`` says how."""
    remark = "" if red else f"without {name} nothing was found: {found}"
    return Row(
        f"without {name}", seed, 1, 0, 0, 0, 0, remark, note=f"goes red: {found}" if red else "", counted=False
    )


def dedupe_row(log: str, seed: int) -> Row:
    found = dedupe(log, ["dedupe"], seed)
    red = found.repeated > 0 and "is in the log more than once" in "; ".join(found.details)
    return control(f"dedupe, {log} log", seed, red and not found.clean, f"{found.repeated} repeated")


def epochs_row(seed: int) -> Row:
    """Without a gap that says so, the viewer has the lost ones where the log has others."""
    found = epochs(["epochs"])
    red = (found.gaps, found.verdict.gaps, found.verdict.differing) == ([], 0, LOST)
    return control("epochs", seed, red, f"{found.verdict.differing} others than the log has, and no gap")


def told_row(seed: int) -> Row:
    """The same with epochs: the viewer is told, and has the rest."""
    found = epochs([])
    row = found.verdict._replace(gaps=0).row("Redis loses what nobody else has", seed, 1)
    if (found.gaps, found.void) != ([(KEPT + 1, "epoch")], LOST):
        row = row._replace(remark=f"{row.remark}; the viewer was told {found.gaps}, void {found.void}")
    return row


def fencing_row(seed: int) -> Row:
    late = fencing(["fencing"])
    return control("fencing", seed, late > 0, f"{late} written by a node whose term was over")


def fenced_row(seed: int) -> Row:
    late = fencing([])
    remark = f"{late} were written by a node whose term was over" if late else ""
    return Row("a paused leader goes on", seed, 1, 0, 0, 0, 0, remark)


@scenario("controls", "without deduplication, epochs, fencing: the harness has to go red, and not with them")
def controls(long: bool, seed: int) -> list[Row]:
    rows = [*(dedupe_row(log, seed) for log in LOGS), epochs_row(seed), fencing_row(seed)]
    return [*rows, told_row(seed), fenced_row(seed)] if long else rows
