"""Which part a node has among several: one activity per state, one table of what follows it.

The lease is asked for every second and a half, and lasts four times as long: a leader that is killed has a
successor after seven and a half seconds, and one request that comes to nothing costs no term.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

#: How often the lease is taken or renewed, and for how long, in seconds.
EVERY_S, LEASE_S = 1.5, 6.0
#: A leader that knows of other nodes and has not been able to renew its lease for this long lets the sources go
#: (seconds): an upstream that grants one connection would keep refusing the node that others can reach.
GRACE_S = 20.0
#: For this long nothing need be known before health tells of it (seconds).
UNKNOWN_S = 8.0
#: For so long sources may take to end before health tells of it, and before it says that they do not (seconds).
SLOW_S, STUCK_S = 5.0, 8.0


class State(Enum):
    """What the node does."""

    FOLLOWING = "follows"  # tries to take the lease
    LEADING = "leads"  # runs the sources and renews the lease
    LEAVING = "leaves"  # waits for its sources to end
    OVER = "over"  # afeed stops


class Outcome(Enum):
    """What became of it."""

    GRANTED = "the lease is this node's"
    REFUSED = "the lease is another's"
    UNANSWERED = "nobody could be asked"
    EXPIRED = "nobody could be asked for too long"
    ENDED = "the sources have ended"
    STOPPED = "afeed stops"


TABLE: Mapping[State, Mapping[Outcome, State]] = {
    State.FOLLOWING: {
        Outcome.GRANTED: State.LEADING,
        Outcome.REFUSED: State.FOLLOWING,
        Outcome.UNANSWERED: State.FOLLOWING,
        Outcome.STOPPED: State.OVER,
    },
    State.LEADING: {
        Outcome.GRANTED: State.LEADING,
        Outcome.REFUSED: State.LEAVING,
        # What is recorded is compared with the lease anyway, so nothing is risked by going on.
        Outcome.UNANSWERED: State.LEADING,
        Outcome.EXPIRED: State.LEAVING,
        Outcome.STOPPED: State.OVER,
    },
    State.LEAVING: {
        Outcome.ENDED: State.FOLLOWING,
        Outcome.STOPPED: State.OVER,
    },
    # Answers that come late change nothing.
    State.OVER: dict.fromkeys(Outcome, State.OVER),
}


def follow(state: State, outcome: Outcome) -> State:
    """What comes after ``outcome`` in ``state``; raises :class:`KeyError` for one that cannot happen there."""
    return TABLE[state][outcome]


def drawn() -> str:
    """The table as text, one line per move."""
    return "\n".join(
        f"{state.name:<9} {outcome.name:<10} -> {then.name}"
        for state, moves in TABLE.items()
        for outcome, then in moves.items()
    )


def name_in(token: str) -> str:
    """The node that a token of a term belongs to."""
    return token.rpartition(" ")[0] or token
