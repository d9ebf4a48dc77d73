"""Which rules of the filtered stream to add and which to delete.

All events share one stream.  A rule of afeed carries the tag ``afeed:<slug>``, by which the stream says which
events a post is for; every other tag belongs to somebody else and its rule is never touched.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

TAG_PREFIX = "afeed:"


class Rule(msgspec.Struct, frozen=True):
    """A rule as X lists it.  ``tag`` may be empty or absent."""

    id: str
    value: str
    tag: str | None = None


class NewRule(msgspec.Struct, frozen=True):
    """A rule to add."""

    value: str
    tag: str


class Plan(NamedTuple):
    """What to do, in this order: ids to delete because their value is in the way of one to add, rules to add,
    ids to delete after that (so that a changed rule leaves no moment without any)."""

    delete_first: tuple[str, ...]
    add: tuple[NewRule, ...]
    delete_after: tuple[str, ...]

    def __bool__(self) -> bool:
        return any(self[:])


def tag_of(slug: str) -> str:
    """The tag of the rule of the event ``slug``."""
    return TAG_PREFIX + slug


def slugs_of(tags: Iterable[str], wanted: Collection[str]) -> list[str]:
    """The events that a post with these tags of matching rules is for, each once."""
    found: dict[str, None] = {}
    for tag in tags:
        slug = tag.removeprefix(TAG_PREFIX)
        if slug != tag and slug in wanted:
            found[slug] = None
    return list(found)


def plan(existing: Sequence[Rule], wanted: Mapping[str, str]) -> Plan:
    """What makes X's ``existing`` rules those of ``wanted`` (slug -> rule) and leaves foreign ones alone.

    X refuses a second rule with the same value, whatever its tag.  Where two events want the same, or a
    foreign rule has it already, a rule is put into parentheses until it is unique: that changes nothing of what
    it matches.
    """
    ours = [rule for rule in existing if (rule.tag or "").startswith(TAG_PREFIX)]
    taken = {_normal(rule.value) for rule in existing if rule not in ours}
    desired: dict[str, str] = {}
    for slug in sorted(wanted):
        value = _normal(wanted[slug])
        while value in taken:
            value = f"({value})"
        taken.add(value)
        desired[tag_of(slug)] = value
    kept: set[str] = set()
    gone: list[Rule] = []
    for rule in ours:
        tag = rule.tag or ""
        if tag not in kept and desired.get(tag) == _normal(rule.value):
            kept.add(tag)
        else:
            gone.append(rule)
    add = tuple(NewRule(value, tag) for tag, value in desired.items() if tag not in kept)
    coming = {rule.value for rule in add}
    return Plan(
        tuple(rule.id for rule in gone if _normal(rule.value) in coming),
        add,
        tuple(rule.id for rule in gone if _normal(rule.value) not in coming),
    )


def _normal(value: str) -> str:
    """``value`` without surrounding blanks, which X does not keep."""
    return value.strip()
