"""What is promised when something breaks (docs/architecture.rst), in seconds, and what a run may add to it."""

from __future__ import annotations

#: Until viewers are told that new posts are delayed.
TOLD_S = 5.0
#: From the end of a fault until everything is served again.
RECOVERY_S = 5.0
#: From a fault, and from its end, until health tells it.
HEALTH_S = 10.0
#: Whatever is broken: until a page or an answer without a wait is there.  Longer is a page that hangs.
ANSWER_S = 2.0
#: Whatever is broken that the feed does not need: from pushing an item until every viewer has it.
DELIVERY_S = 1.0
#: From the moment an item was accepted until another node shows it, when no hint comes.
UNHINTED_S = 1.5

#: What a machine that runs other tests as well may add in the short form.
SLACK_S = 6.0


def within(promised: float, long: bool) -> float:
    """The limit that a run judges by: the promise itself in the long form."""
    return promised if long else promised + SLACK_S
