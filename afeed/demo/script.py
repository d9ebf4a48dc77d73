"""Reading ``day.txt``, the script of the demo conference, whose head explains its form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec


class ScriptError(Exception):
    """The script says something that cannot be; the message names the line."""


class Person(msgspec.Struct, frozen=True):
    """Someone who posts; ``avatar`` is the name of a drawing or None."""

    who: str
    name: str
    avatar: str | None


class Photo(msgspec.Struct, frozen=True):
    """A drawing that belongs to a post."""

    file: str
    alt: str
    licence: str


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One post, edit or removal as it stands in the script.

    ``options`` are those with a value (``id``, ``re``, ``quote``, ``by``, ``edit``, ``remove``).
    """

    line: int
    who: str
    lang: str = "en"
    flickr: bool = False
    options: dict[str, str]
    text: str
    photo: Photo | None = None


class Section(msgspec.Struct, frozen=True):
    """Entries that happen between two times of the day, in seconds since midnight."""

    name: str
    start: int
    end: int
    entries: list[Entry]


class Script(msgspec.Struct, frozen=True):
    """The whole day."""

    people: dict[str, Person]
    sections: list[Section]


_OPTIONS = frozenset({"id", "re", "quote", "by", "edit", "remove"})


def read_script(lines: Iterable[str]) -> Script:
    """The script in ``lines``; raises :class:`ScriptError`."""
    people: dict[str, Person] = {}
    sections: list[Section] = []
    for number, head, body in _blocks(lines):
        try:
            match head[:1]:
                case "~":
                    who, name, avatar = _cells(head[1:], 3)
                    people[who] = Person(who, name, None if avatar == "-" else avatar)
                case "=":
                    start, end, name = head.removeprefix("==").strip().split(" ", 2)
                    sections.append(Section(name, _seconds(start), _seconds(end), []))
                case "@":
                    sections[-1].entries.append(_entry(number, head[1:], body))
                case _:
                    raise ValueError("a line begins with ~, ==, @ or two spaces")
        except (ValueError, IndexError) as error:
            raise ScriptError(f"line {number}: {error}") from None
    script = Script(people, sections)
    _check(script)
    return script


def _blocks(lines: Iterable[str]) -> Iterator[tuple[int, str, list[str]]]:
    """Each line that is not indented, with its number and the indented or empty lines below it."""
    number, head, body = 0, "", list[str]()
    for at, raw in enumerate(lines, 1):
        line = raw.rstrip()
        if not line or line.startswith("  "):
            body.append(line.removeprefix("  "))
        elif not line.startswith("#"):
            if head:
                yield number, head, body
            number, head, body = at, line, []
    if head:
        yield number, head, body


def _cells(text: str, count: int) -> list[str]:
    cells = [cell.strip() for cell in text.split("|")]
    if len(cells) != count:
        raise ValueError(f"expected {count} parts between bars, not {len(cells)}")
    return cells


def _seconds(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 3600 + int(minutes) * 60


def _entry(number: int, head: str, body: list[str]) -> Entry:
    words, _, first = head.partition("|")
    who, *rest = words.split()
    lang, flickr, options = "en", False, dict[str, str]()
    for word in rest:
        name, equals, value = word.partition("=")
        if equals and name in _OPTIONS:
            options[name] = value
        elif word == "flickr":
            flickr = True
        elif not equals and 2 <= len(word) <= 3:
            lang = word
        else:
            raise ValueError(f"unknown option {word}")
    photo = None
    if body and any(line.startswith("photo: ") for line in body):
        index = next(i for i, line in enumerate(body) if line.startswith("photo: "))
        photo = Photo(*_cells(body.pop(index).removeprefix("photo:"), 3))
    text = "\n".join([first.strip(), *body]).strip()
    return Entry(line=number, who=who, lang=lang, flickr=flickr, options=options, text=text, photo=photo)


def _check(script: Script) -> None:
    """Every name that an entry uses is known by then."""
    named: set[str] = set()
    for section in script.sections:
        for entry in section.entries:
            unknown = {entry.who, entry.options.get("by", entry.who)} - script.people.keys()
            unknown |= {
                entry.options[key] for key in ("re", "quote", "edit", "remove") if key in entry.options
            } - named
            if unknown:
                raise ScriptError(f"line {entry.line}: {', '.join(sorted(unknown))} is not known there")
            if bool(entry.text) == ("remove" in entry.options):
                raise ScriptError(f"line {entry.line}: a post has a text, and a removal has none")
            if "id" in entry.options:
                named.add(entry.options["id"])
