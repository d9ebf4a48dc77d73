"""The life of a stream connection: one activity per state, one table of what follows it.

Each state stands for one thing being done; when that is over its outcome is an :class:`Outcome`, and
:data:`TABLE` says which state follows and, where that is a wait, on which ladder of
:mod:`afeed.core.backoff` its length is found.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

from afeed.core.backoff import Fault


class State(Enum):
    """What is being done."""

    IDLE = "idle"  # no event wants anything: look again from time to time
    SYNCING = "syncing rules"
    CONNECTING = "connecting"
    STREAMING = "streaming"
    WAITING = "waiting"


class Outcome(Enum):
    """How it ended."""

    WANTED = "an event wants the stream"
    UNWANTED = "no event wants the stream"
    SYNCED = "the rules are in place"
    OPENED = "the stream is open"
    DROPPED = "a stream that had delivered ended"
    BARREN = "a stream ended before it delivered anything"
    NETWORK_ERROR = "no connection"
    HTTP_ERROR = "an answer that may be better next time"
    RATE_LIMITED = "too many requests or connections"
    REFUSED = "an answer that will not change by itself"
    NO_RULES = "there are no rules"
    DUE = "the wait is over"
    DUE_UNSYNCED = "the wait is over and the rules are not known to be in place"


class Move(NamedTuple):
    """The next state and, for a wait, the ladder it is on."""

    state: State
    fault: Fault | None = None


_RETRY: Mapping[Outcome, Move] = {
    Outcome.NETWORK_ERROR: Move(State.WAITING, Fault.NETWORK),
    Outcome.HTTP_ERROR: Move(State.WAITING, Fault.HTTP),
    Outcome.RATE_LIMITED: Move(State.WAITING, Fault.RATE),
    Outcome.REFUSED: Move(State.WAITING, Fault.REFUSED),
}

TABLE: Mapping[State, Mapping[Outcome, Move]] = {
    State.IDLE: {Outcome.WANTED: Move(State.SYNCING)},
    State.SYNCING: {
        Outcome.SYNCED: Move(State.CONNECTING),
        Outcome.UNWANTED: Move(State.IDLE),
        # X has taken none of the rules: nothing to connect for until somebody corrects them.
        Outcome.NO_RULES: Move(State.WAITING, Fault.REFUSED),
        **_RETRY,
    },
    State.CONNECTING: {
        Outcome.OPENED: Move(State.STREAMING),
        # X says there are none (409): somebody deleted them, or they are not in force yet.
        Outcome.NO_RULES: Move(State.WAITING, Fault.HTTP),
        **_RETRY,
    },
    State.STREAMING: {
        Outcome.DROPPED: Move(State.WAITING, Fault.DROP),
        Outcome.BARREN: Move(State.WAITING, Fault.HTTP),
        # A connection that broke before the first byte is a connection that was not made.
        Outcome.NETWORK_ERROR: Move(State.WAITING, Fault.NETWORK),
        # The last event is over: once more to the rules, to take ours away.
        Outcome.UNWANTED: Move(State.SYNCING),
    },
    State.WAITING: {
        Outcome.DUE: Move(State.CONNECTING),
        Outcome.DUE_UNSYNCED: Move(State.SYNCING),
        Outcome.UNWANTED: Move(State.IDLE),
    },
}


def follow(state: State, outcome: Outcome) -> Move:
    """What comes after ``outcome`` in ``state``; raises :class:`KeyError` for one that cannot happen there."""
    return TABLE[state][outcome]


def fault_of(outcome: Outcome) -> Fault:
    """The ladder for a request that ended so and is to be made again."""
    move = _RETRY.get(outcome)
    return move.fault if move is not None and move.fault is not None else Fault.HTTP


def outcome_of_status(status: int) -> Outcome:
    """What an answer with this HTTP status means (X API docs: *Response codes and errors*)."""
    if 200 <= status < 300:
        return Outcome.OPENED
    if status == 409:
        return Outcome.NO_RULES
    if status in (420, 429):
        return Outcome.RATE_LIMITED
    if 400 <= status < 500 and status not in (408, 425):
        return Outcome.REFUSED
    return Outcome.HTTP_ERROR


def drawn() -> str:
    """The table as text, one line per move."""
    lines = []
    for state, moves in TABLE.items():
        for outcome, move in moves.items():
            wait = f" ({move.fault.value})" if move.fault is not None else ""
            lines.append(f"{state.name:<10} {outcome.name:<13} -> {move.state.name}{wait}")
    return "\n".join(lines)
