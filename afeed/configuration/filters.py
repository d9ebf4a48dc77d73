"""What an event keeps from the screen: ``[events.filters]``."""

from __future__ import annotations

from afeed.configuration import values
from afeed.configuration.problems import Wrong, quoted
from afeed.configuration.table import Key, Surroundings, Table
from afeed.core import filters as core
from afeed.core.filters import Filters


def _mode(value: str) -> str:
    if value not in core.MODES:
        raise Wrong(f"must be one of {', '.join(core.MODES)}, not {quoted(value)}")
    return value


def _muted(value: str) -> str:
    flaw = core.muted_flaw(value)
    if flaw is not None:
        raise Wrong(f"{quoted(value)} {flaw}; write a word, a phrase or a hashtag such as #ad")
    return value


def _author(value: str) -> str:
    found = core.named_author(value)
    if found is None or len(value) > core.LONGEST_TRUSTED:
        raise Wrong(f"must be a handle such as @ann, or one at a source such as x:@ann, not {quoted(value)}")
    return found


_KEYS = {
    "mode": Key(str, _mode),
    "hold_s": Key(
        float, values.between(core.LEAST_HOLD_S, core.MOST_HOLD_S, "it counts the seconds that posts wait")
    ),
    "muted": Key(str, _muted, many=True, most=core.MOST_MUTED),
    "trusted": Key(str, _author, many=True, most=core.MOST_TRUSTED),
    "blocked": Key(str, _author, many=True, most=core.MOST_BLOCKED),
    "hide_sensitive": Key(bool),
    "hide_replies": Key(bool),
    "hide_reposts": Key(bool),
    "per_author_per_minute": Key(
        int, values.between(1, core.MOST_PER_MINUTE, "it counts posts; leave it out for no limit")
    ),
}


def filters(event: Table, around: Surroundings) -> tuple[Filters, tuple[str, ...]]:
    """What ``event`` keeps back, and who is blocked; nothing and nobody where it does not say, or after a
    report."""
    table = event.table("filters")
    found = {} if table.has_problems else table.read(_KEYS)
    twice = core.same_twice(found.get("muted", ()))
    if twice is not None:
        table.wrong("muted", f"names {quoted(twice)} twice (capitals and punctuation make no difference)")
    blocked = tuple(found.pop("blocked", ()))
    trusted = found.get("trusted", ())
    for key, authors in (("trusted", trusted), ("blocked", blocked)):
        if len(set(authors)) < len(authors):
            table.wrong(key, "names somebody twice (capitals make no difference)")
    both = sorted({*trusted} & {*blocked})
    if both:
        table.wrong("blocked", f"{quoted(both[0])} is trusted, too; nobody can be both")
    if found.get("mode") == "trusted" and not table.has_problems and not found.get("trusted"):
        table.wrong("mode", "nobody is trusted, so that nothing would be shown; name somebody in trusted")
    if found.get("mode") == "approve" and not around.organised:
        table.wrong("mode", "there is nobody who could approve anything; add an [[admin.users]] table")
    if table.has_problems:
        event.has_problems = True
        return Filters(), ()
    return Filters(**found), blocked
