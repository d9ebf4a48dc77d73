"""Taking keys out of a TOML table, one at a time, so that every mistake is found and not only the first."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import msgspec

from afeed.configuration.positions import KeyPath
from afeed.configuration.problems import Report, Wrong, described, dotted, quoted

_NATIVE = (date, datetime, time)

_EXPECTED: dict[type, str] = {
    bool: "must be true or false",
    int: "must be an integer, such as 60",
    float: "must be a number, such as 60 or 0.5",
    str: "must be a string in quotes",
    date: "must be a date without quotes, such as 2026-11-21",
}

_LOOKS_SECRET = re.compile(r"token|secret|passw|api_?key|bearer|credential", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def _as_it_is(value: Any) -> Any:
    return value


@attrs.frozen
class Key:
    """What one key may hold: a value of TOML type ``type``, or an array of ``least`` or more of them where
    ``many``.  ``check`` turns each into what the settings hold or raises :class:`Wrong`.  Messages about a
    ``private`` key, one beside which a secret is easily put by mistake, never quote its value."""

    type: type
    check: Callable[[Any], Any] = _as_it_is
    many: bool = False
    least: int = 0
    most: int = 1000
    required: bool = False
    private: bool = False


@attrs.frozen
class Surroundings:
    """What checks may need beside a value: the folder where relative paths start, the environment, which
    accounts the file has (also those with mistakes of their own), and whether it names organisers
    (likewise)."""

    folder: Path
    environ: Mapping[str, str]
    accounts: Collection[str]
    organised: bool = False


class Table:
    """One table of the file and where it stands."""

    def __init__(self, values: Mapping[str, Any], path: KeyPath, report: Report) -> None:
        self._values = values
        self.path = path
        self.report = report
        self.has_problems = False

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def wrong(self, key: str | None, message: str) -> None:
        """Report a problem with ``key``, or with the table as a whole."""
        self.has_problems = True
        self.report.add(self.path if key is None else (*self.path, key), message)

    def read(self, keys: Mapping[str, Key], tables: Collection[str] = ()) -> dict[str, Any]:
        """The valid values among ``keys``; what is missing, wrong or unknown is reported.  ``tables`` names
        keys that somebody else reads.  Absent optional keys are absent from the result, so that the one place
        for defaults is :mod:`afeed.settings`."""
        found: dict[str, Any] = {}
        for name, key in keys.items():
            if name in self._values:
                self._take(name, key, found)
            elif key.required:
                expected = 'must be an array, such as ["..."]' if key.many else _EXPECTED[key.type]
                self.wrong(name, f"is missing; it {expected}")
        known = {*keys, *tables}
        for name in self._values:
            if name not in known:
                self.wrong(name, _unknown(name, known))
        return found

    def checked(self, name: str, check: Callable[[Any], Any], value: Any) -> Any:
        """What ``check`` makes of ``value``; None after a report."""
        try:
            return check(value)
        except Wrong as wrong:
            self.wrong(name, str(wrong))
            return None

    def type_of(self, known: Sequence[str]) -> str | None:
        """What ``type`` says this table is, one of ``known``; None after a report."""
        value = self._values.get("type")
        if value in known:
            return str(value)
        if "type" not in self._values:
            self.wrong("type", f"is missing; it must be one of {', '.join(known)}")
        elif not isinstance(value, str):
            self.wrong("type", f"{_EXPECTED[str]}, not {described(value)}")
        else:
            near = get_close_matches(value, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            self.wrong("type", f"unknown type {quoted(value)}; {hint}")
        return None

    def tables(self, key: str) -> list[Table]:
        """The elements of the array of tables ``key``."""
        value = self._values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(element, dict) for element in value):
            self.wrong(key, f"must be an array of tables: write [[{dotted((*_names(self.path), key))}]]")
            return []
        return [Table(element, (*self.path, key, index), self.report) for index, element in enumerate(value)]

    def table(self, key: str) -> Table:
        """The table ``key``; an empty one where it is missing, one that has problems where it is something
        else."""
        value = self._values.get(key, {})
        if isinstance(value, dict):
            return Table(value, (*self.path, key), self.report)
        nothing = Table({}, (*self.path, key), self.report)
        nothing.wrong(None, f"must be a table: write [{dotted((*_names(self.path), key))}]")
        return nothing

    def _take(self, name: str, key: Key, found: dict[str, Any]) -> None:
        value = self._values[name]
        path = (*self.path, name)
        if not key.many:
            self._one(path, key, value, partial(found.__setitem__, name))
            return
        if not isinstance(value, list):
            self.wrong(name, f"must be an array, such as [{_example(value)}], not {described(value)}")
        elif not key.least <= len(value) <= key.most:
            limits = f"{key.least} to {key.most:,}" if key.least else f"at most {key.most:,}"
            self.wrong(name, f"must have {limits} elements, not {len(value):,}")
        else:
            elements: list[Any] = []
            for index, element in enumerate(value):
                self._one((*path, index), key, element, elements.append)
            if len(elements) == len(value):
                found[name] = tuple(elements)

    def _one(self, path: KeyPath, key: Key, value: Any, use: Callable[[Any], object]) -> None:
        try:
            use(key.check(_converted(value, key)))
        except Wrong as wrong:
            self.has_problems = True
            self.report.add(path, str(wrong))


def _converted(value: Any, key: Key) -> Any:
    try:
        converted: Any = msgspec.convert(value, key.type, builtin_types=_NATIVE)
    except msgspec.ValidationError:
        what = "" if key.private else f", not {described(value)}"
        raise Wrong(f"{_EXPECTED[key.type]}{what}") from None
    if isinstance(converted, str) and _CONTROL.search(converted):
        raise Wrong("holds a control character (a newline, a tab, ...); remove it")
    return converted


def _example(value: Any) -> str:
    return quoted(value) if isinstance(value, str) and len(value) < 40 else '"..."'


def _names(path: KeyPath) -> KeyPath:
    """``path`` as a table header writes it: without indexes."""
    return tuple(part for part in path if isinstance(part, str))


def _unknown(name: str, known: Collection[str]) -> str:
    references = sorted(key for key in known if key.endswith(("_env", "_file")))
    near = get_close_matches(name, sorted(known), n=1)
    if _LOOKS_SECRET.search(name) and (not near or f"{name}_env" in known):
        if not references:
            return "a secret does not belong in this file, and no secret is needed here; remove it"
        wanted = [key for key in references if key in (f"{name}_env", f"{name}_file")] or references
        return (
            "a secret does not belong in this file: name the environment variable or the file that holds it "
            f"with {' or '.join(wanted)}"
        )
    if near:
        return f"unknown key; did you mean {near[0]}?"
    return f"unknown key; known here: {', '.join(sorted(known)) or 'none'}"
