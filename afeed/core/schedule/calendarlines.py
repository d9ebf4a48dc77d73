"""iCalendar as components and properties (RFC 5545, 3.1), each with its line.

The syntax of a line is the ``icalendar`` library's.  Its own reader of whole calendars is not used: it keeps
the time zones of every file that it has ever read, for all that follow.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from icalendar.parser import Contentline

from afeed.core.normalise.characters import label
from afeed.core.schedule.limits import MAX_DEPTH, MAX_ELEMENTS, MAX_TALKS
from afeed.core.schedule.problems import BadSchedule, quoted

#: Of a component, in messages; what is there is not always a name.
_LONGEST_NAME = 40
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


class Property:
    """``name;parameter=value:value``; names are upper case, ``value`` is still escaped."""

    __slots__ = ("line", "name", "parameters", "value")

    def __init__(self, name: str, parameters: dict[str, str], value: str, line: int) -> None:
        self.name = name
        self.parameters = parameters
        self.value = value
        self.line = line

    @property
    def text(self) -> str:
        """The value of a TEXT property (RFC 5545, 3.3.11)."""
        return _ESCAPED.sub(lambda found: "\n" if found[1] in "nN" else found[1], self.value).strip()

    @property
    def place(self) -> str:
        """For messages."""
        return f"line {self.line}"


class Component:
    """What stands between ``BEGIN:name`` and ``END:name``."""

    __slots__ = ("children", "line", "name", "properties")

    def __init__(self, name: str, line: int) -> None:
        self.name = name
        self.line = line
        self.properties: list[Property] = []
        self.children: list[Component] = []

    def all(self, name: str) -> list[Property]:
        """Its properties called ``name``."""
        return [one for one in self.properties if one.name == name]

    def first(self, name: str) -> Property | None:
        """The first of them that is not empty."""
        return next((one for one in self.properties if one.name == name and one.value), None)

    def components(self, name: str) -> list[Component]:
        """The components called ``name`` directly within it."""
        return [child for child in self.children if child.name == name]


def unfolded(text: str) -> Iterator[tuple[int, str]]:
    """Each line with its number, joined with those that continue it; empty ones are left out."""
    number, parts = 0, [""]
    for at, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
        if line[:1] in (" ", "\t") and parts[0]:
            parts.append(line[1:])
            continue
        if parts[0].strip():
            yield number, "".join(parts)
        number, parts = at, [line]
    if parts[0].strip():
        yield number, "".join(parts)


def calendars(text: str) -> list[Component]:
    """The outermost components of ``text``.  Raises :class:`BadSchedule` with the line."""
    root = Component("", 0)
    stack = [root]
    events = 0
    for count, (number, line) in enumerate(unfolded(text), 1):
        if count > MAX_ELEMENTS:
            raise BadSchedule([f"line {number}: it has more than {MAX_ELEMENTS:,} properties"])
        upper = line.strip().upper()
        if upper.startswith("BEGIN:"):
            name = upper[6:].strip()
            events += name == "VEVENT"
            if events > MAX_TALKS:
                raise BadSchedule(
                    [f"line {number}: it has more than {MAX_TALKS:,} entries; is it of one event?"]
                )
            if len(stack) > MAX_DEPTH:
                raise BadSchedule([f"line {number}: components are nested deeper than {MAX_DEPTH}"])
            component = Component(name, number)
            stack[-1].children.append(component)
            stack.append(component)
        elif upper.startswith("END:"):
            if len(stack) == 1 or upper[4:].strip() != stack[-1].name:
                inside = label(stack[-1].name, _LONGEST_NAME) or "nothing"
                raise BadSchedule([f"line {number}: {quoted(line.strip())} ends {inside}"])
            stack.pop()
        elif len(stack) == 1:
            raise BadSchedule(
                [f"line {number}: a calendar begins with BEGIN:VCALENDAR, not with {quoted(line)}"]
            )
        else:
            stack[-1].properties.append(_property(number, line))
    if len(stack) > 1:
        name = label(stack[-1].name, _LONGEST_NAME)
        raise BadSchedule(
            [f"line {stack[-1].line}: the {name} that begins here does not end; is the file whole?"]
        )
    return root.children


def _property(number: int, line: str) -> Property:
    parameters: Mapping[str, object]
    try:
        name, parameters, value = Contentline(line.strip()).raw_parts()
    except ValueError:
        name, colon, value = line.strip().partition(":")
        if not colon:
            raise BadSchedule([f"line {number}: {quoted(line)} is not “NAME:value”"]) from None
        name, parameters = (
            name.partition(";")[0],
            {},
        )  # parameters that nobody can read, of a property in its place
    texts = {key.upper(): one for key, one in parameters.items() if isinstance(one, str)}
    return Property(name.upper(), texts, value.strip(), number)
