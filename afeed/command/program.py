"""What all commands share: their form, what they say, and how they end."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from getpass import getpass
from typing import Any, TextIO

import attrs

#: How a command ends.
DONE, FAILED, MISTAKEN, INTERRUPTED = 0, 1, 2, 130

#: How often, in seconds, a terminal is told how far the work is.
_PROGRESS_S = 0.2
#: The length of the bar that shows it, in characters.
_BAR = 24


class Refused(Exception):
    """Why a command does not do, or cannot do, what it was asked to: one sentence or more, for the operator."""


class Mistaken(Refused):
    """What was asked for makes no sense: another command line would."""


class Console:
    """What a command says.  Its result goes to ``out``, as sentences or, when ``as_json``, as one JSON object;
    remarks and progress go to ``err``, progress only where that is a terminal."""

    def __init__(
        self,
        out: TextIO,
        err: TextIO,
        *,
        as_json: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._out = out
        self._err = err
        self._as_json = as_json
        self._clock = clock
        self._next = 0.0
        self._shown = False

    def progress(self, what: str, count: int, total: int | None = None, unit: str = "changes") -> None:
        """``count`` of ``what`` were dealt with by now, of ``total`` where that is known."""
        now = self._clock()
        if self._err.isatty() and now >= self._next:
            self._next = now + _PROGRESS_S
            self._err.write(f"\r\x1b[K{what}: {_bar(count, total)}{count:,} {unit}")
            self._err.flush()
            self._shown = True

    def remark(self, sentence: str) -> None:
        """Something that the operator should know, beside the result."""
        self._clear()
        self._err.write(sentence + "\n")
        self._err.flush()

    def result(self, sentence: str, values: Mapping[str, Any]) -> None:
        """What came of it, for people and for programs."""
        self._clear()
        self._out.write((json.dumps(values) if self._as_json else sentence) + "\n")
        self._out.flush()

    def refusal(self, sentence: str, **more: Any) -> None:
        """Why nothing came of it, and for programs ``more`` of that."""
        self._clear()
        if self._as_json:
            self._out.write(json.dumps({"error": sentence, **more}) + "\n")
            self._out.flush()
        else:
            self._err.write(f"afeed: {sentence}\n")
            self._err.flush()

    def _clear(self) -> None:
        if self._shown:
            self._err.write("\r\x1b[K")
            self._shown = False


def _bar(count: int, total: int | None) -> str:
    """How much of it that is, to be seen at a glance; more may have come since it was counted."""
    if not total:
        return ""
    part = min(count / total, 1.0)
    done = int(part * _BAR)
    return f"[{'#' * done}{'.' * (_BAR - done)}] {part:4.0%}, "


@attrs.frozen(kw_only=True)
class Environment:
    """What a command may know of its surroundings: the environment, the time in seconds since 1970, what is
    typed or piped into it, and a question whose answer is not shown on the terminal."""

    environ: Mapping[str, str]
    now: Callable[[], float]
    stdin: TextIO = attrs.field(factory=lambda: sys.stdin)
    ask_secretly: Callable[[str], str] = getpass


@attrs.frozen(kw_only=True)
class Command:
    """One command: ``summary`` is its line in the list, ``description`` what ``--help`` teaches, and
    ``arguments`` adds what it takes.  ``run`` does it; it raises :class:`Refused`,
    :class:`~afeed.core.errors.AfeedError` or :class:`OSError` when it cannot, and
    :class:`~afeed.config.ConfigurationError` when the configuration is wrong."""

    name: str
    summary: str
    description: str
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, Console, Environment], None]


def add_config(parser: argparse.ArgumentParser) -> None:
    """The configuration, as most commands need it."""
    parser.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        required=True,
        help="the TOML file with which `twistd afeed` runs; only its table [store] is read here, and of its "
        "secrets only the passwords named there are needed",
    )


def add_site_config(parser: argparse.ArgumentParser) -> None:
    """The configuration for commands that are about an event."""
    parser.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        required=True,
        help="the TOML file with which `twistd afeed` runs; of its secrets only the passwords named in [store] "
        "are needed",
    )
