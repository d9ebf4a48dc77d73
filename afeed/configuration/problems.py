"""What is wrong with a configuration, collected until everything has been looked at."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Sequence
from typing import Any

import attrs

from afeed.configuration.positions import KeyPath, Positions
from afeed.core.errors import AfeedError
from afeed.settings import hide_password

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+\Z")
_LONGEST_SHOWN = 160


class Wrong(Exception):
    """Raised by a check: what is wrong with one value, and what would be right.  The text follows the key."""


@attrs.frozen
class Problem:
    """One thing to put right.  ``line`` is None where the file as a whole is meant, ``key`` then empty."""

    file: str
    line: int | None
    key: str
    message: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return ": ".join(part for part in (place, self.key, self.message) if part)


class ConfigurationError(AfeedError):
    """The configuration cannot be used.  ``problems`` holds every reason, in the order of the file's lines;
    ``str`` is one line for each, without any secret."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = list(problems)


def dotted(path: KeyPath) -> str:
    """``events[1].sources[0].interval_s``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if _BARE_KEY.match(part) else json.dumps(part)
            text += f".{name}" if text else name
    return text


def quoted(value: object) -> str:
    """``value`` for a message: on one line, not too long, and without a password that a URL may hold."""
    text = repr(hide_password(value) if isinstance(value, str) else value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


#: What TOML calls the values tomllib makes; ``bool`` and ``datetime`` before the classes they extend.
_TOML_TYPES: tuple[tuple[type, str], ...] = (
    (bool, "the boolean"),
    (int, "the integer"),
    (float, "the float"),
    (str, "the string"),
    (datetime.datetime, "the date with time"),
    (datetime.date, "the date"),
    (datetime.time, "the time"),
)


def described(value: Any) -> str:
    """``value`` with its TOML type: ``the string '80a'``."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "an array"
    name = next(name for kind, name in _TOML_TYPES if isinstance(value, kind))
    if isinstance(value, bool):
        return f"{name} {str(value).lower()}"
    return f"{name} {value.isoformat() if isinstance(value, datetime.date | datetime.time) else quoted(value)}"


class Report:
    """Takes every problem of one file and gives each its line."""

    def __init__(self, file: str, positions: Positions) -> None:
        self._file = file
        self._positions = positions
        self._found: list[tuple[KeyPath, Problem]] = []

    def add(self, path: KeyPath, message: str) -> None:
        """``path`` may name a key that is missing: the line is then that of the table it is missing from."""
        self._found.append((path, Problem(self._file, self.line(path), dotted(path), message)))

    def line(self, path: KeyPath) -> int:
        """The line of ``path``, or of the innermost table around it that has one."""
        return self._positions.line(path)

    def __bool__(self) -> bool:
        return bool(self._found)

    def error(self) -> ConfigurationError:
        """Everything found, as one exception."""
        return ConfigurationError([p for _, p in sorted(self._found, key=lambda found: found[1].line or 0)])
