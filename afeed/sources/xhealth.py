"""What the X source says about itself on /healthz."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from afeed.core.backoff import Fault
from afeed.core.change import timestamp
from afeed.core.health import Check
from afeed.core.health import State as Health
from afeed.core.stream import State

#: A connection that is back within this time was a hiccup; after it people are missing posts (seconds).
GRACE_S = 8.0


@attrs.define
class Vitals:
    """What is known about the connection; times are Unix time.

    ``down_since`` is None while a stream is open or none is wanted; after a stream that brought nothing it
    stays set until something of use has come.
    """

    running: bool = False
    state: State = State.IDLE
    fault: Fault | None = None
    reason: str = ""
    down_since: float | None = None
    next_attempt_at: float = 0.0
    connected_at: float | None = None
    last_byte_at: float | None = None
    last_item_at: float | None = None
    reconnects: int = 0
    barren: int = 0  # streams that opened and brought nothing, one after the other

    def started(self, now: float) -> None:
        """The source begins to run."""
        self.running, self.state, self.down_since = True, State.IDLE, now

    def went_down(self, now: float, reason: str, fault: Fault, wait: float) -> None:
        """There is no stream; the next attempt follows in ``wait`` seconds."""
        if self.down_since is None:
            self.down_since = now
        self.reason, self.fault = reason, fault
        self.next_attempt_at = now + wait
        self.connected_at = None

    def opened(self, now: float) -> None:
        """A stream is open.  Nothing has come yet, which is in order unless it was so the last time, too."""
        self.connected_at = now
        if not self.barren:
            self.down_since = None

    def stream_ended(self, *, delivered: bool) -> None:
        """A stream that was open is no more."""
        self.reconnects += 1
        self.barren = 0 if delivered else self.barren + 1

    def came_up(self) -> None:
        """Something of use has come."""
        self.down_since = None
        self.fault = None
        self.reason = ""
        self.barren = 0


def report(
    name: str,
    vitals: Vitals,
    rules: Mapping[str, Mapping[str, Any]],
    dropped: Mapping[str, int],
    now: float,
    *,
    stall_s: float,
    paused: bool,
    missing: Sequence[str] = (),
    filling: Mapping[str, int] | None = None,
) -> Check:
    """The check: ok while bytes come, degraded for the first seconds without, then failed.  ``missing`` says
    what could not be fetched after an outage, ``filling`` how many outages of each event are being filled
    in."""
    state, detail = _judge(vitals, now, stall_s, paused)
    refused = [slug for slug, rule in rules.items() if rule["state"] == "refused"]
    if refused and state == "ok":
        state = "degraded"
        detail = (
            f"{detail}; but X does not take the rule of {', '.join(refused)}: {rules[refused[0]]['reason']}; "
            "correct it in the configuration and restart afeed"
        )
    if missing:
        state = "degraded" if state == "ok" else state
        detail = f"{detail}; {missing[0]}" + (f" (and {len(missing) - 1} more)" if len(missing) > 1 else "")
    waiting = vitals.state is State.WAITING
    return Check(
        name=name,
        state=state,
        detail=detail,
        data={
            "state": vitals.state.value,
            "last_byte_at": _time(vitals.last_byte_at),
            "last_item_at": _time(vitals.last_item_at),
            "connected_at": _time(vitals.connected_at),
            "next_attempt_at": _time(vitals.next_attempt_at) if waiting else None,
            "reconnects": vitals.reconnects,
            "rules": {slug: dict(rule) for slug, rule in rules.items()},
            "dropped": dict(dropped),
            "missing": list(missing),
            "filling": dict(filling or {}),
        },
    )


def _judge(vitals: Vitals, now: float, stall_s: float, paused: bool) -> tuple[Health, str]:
    if not vitals.running:
        return "degraded", "the source is not running at present"
    if vitals.state is State.IDLE:
        return "ok", "no event wants posts from X at present"
    if vitals.state is State.STREAMING and vitals.connected_at is not None:
        if paused:
            return "degraded", "reading is paused, because the live log does not take what has come"
        since = now - max(vitals.connected_at, vitals.last_byte_at or 0.0)
        if vitals.down_since is None and since < stall_s:
            return "ok", f"the stream is open; the last byte came {max(since, 0.0):.0f} s ago"
    down = now - (vitals.down_since if vitals.down_since is not None else now)
    doing = vitals.state.value
    if vitals.state is State.WAITING:
        doing = f"next attempt at {timestamp(vitals.next_attempt_at)}"
    elif vitals.state is State.STREAMING:
        doing = "connected again, but nothing has come yet"
    detail = f"{vitals.reason}; {doing}" if vitals.reason else doing
    failed = vitals.fault is Fault.REFUSED or down >= GRACE_S
    return "failed" if failed else "degraded", detail


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else timestamp(seconds)
