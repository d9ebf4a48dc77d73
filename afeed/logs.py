"""Logs: one JSON object per line for machines, one readable line for a terminal; one event is never two
lines."""

from __future__ import annotations

import re
from io import TextIOWrapper
from typing import Any, TextIO

import msgspec
from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    formatEvent,
)
from twisted.python.failure import Failure
from twisted.python.logfile import LogFile

from afeed.core.change import timestamp

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
#: What Twisted adds to an event for observers of the old kind; the rest is told by the members below.
_OWN = frozenset({"isError", "failure", "format", "message", "time", "why"})

_encode = msgspec.json.Encoder(enc_hook=repr).encode


def observer(stream: TextIO | LogFile, readable: bool) -> ILogObserver:
    """Writes events of level ``info`` and above to ``stream``, which must not fail over a character."""
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    write = _readable if readable else _structured

    def emit(event: LogEvent) -> None:
        stream.write(write(event))
        stream.flush()

    chosen = LogLevelFilterPredicate(LogLevel.info)
    # Its factories say when they start and stop, which is twice for every request of a source.
    chosen.setLogLevelForNamespace("twisted.web.client", LogLevel.warn)
    return FilteringLogObserver(emit, [chosen])  # type: ignore[arg-type]


def _visible(text: str) -> str:
    """``text`` with control characters spelt out, so that nothing from outside moves a cursor or begins a
    line."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _name(event: LogEvent, field: str, default: str) -> str:
    value = event.get(field)
    return default if value is None else str(getattr(value, "name", value))


def _trace(event: LogEvent) -> str | None:
    failure = event.get("log_failure")
    return failure.getTraceback() if isinstance(failure, Failure) else None


def _readable(event: LogEvent) -> str:
    at = timestamp(event.get("log_time", 0.0))[11:19]
    level = _name(event, "log_level", "info")
    system = _name(event, "log_namespace", "-").removeprefix("afeed.")
    lines = [f"{at} {level:<8} {system}: {_visible(formatEvent(event))}\n"]
    trace = _trace(event)
    if trace is not None:
        lines += [f"    | {_visible(line)}\n" for line in trace.rstrip().splitlines()]
    return "".join(lines)


def _structured(event: LogEvent) -> str:
    fields: dict[str, Any] = {
        "time": timestamp(event.get("log_time", 0.0)),
        "level": _name(event, "log_level", "info"),
        "system": _name(event, "log_namespace", "-"),
        "message": formatEvent(event),
    }
    for key, value in event.items():
        if key not in _OWN and not key.startswith("log_") and isinstance(value, str | int | float | bool):
            fields.setdefault(key, value)
    trace = _trace(event)
    if trace is not None:
        fields["traceback"] = trace
    # The encoder leaves C1 and bidirectional controls as they are, and refuses lone surrogates.
    encodable = {key: _encodable(value) for key, value in fields.items()}
    return _visible(_encode(encodable).decode("utf-8")) + "\n"


def _encodable(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63:
        return str(value)
    return value
