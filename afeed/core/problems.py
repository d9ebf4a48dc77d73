"""X's error bodies, as one sentence for an operator."""

from __future__ import annotations

from typing import Any

import msgspec

_MAX = 300


def reason(body: bytes) -> str:
    """What ``body`` says went wrong; "" when it says nothing readable.

    X API docs, *Response codes and errors*: ``{"title","detail","type"}``, the same inside ``errors``, or
    the old ``{"code","message"}``.
    """
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return describe(value)


def describe(value: Any) -> str:
    """The same for a decoded problem."""
    if not isinstance(value, dict):
        return ""
    said = [value.get(name) for name in ("title", "detail", "message", "connection_issue", "reason")]
    nested = value.get("errors")
    if isinstance(nested, list) and nested and isinstance(nested[0], dict):
        said += [nested[0].get(name) for name in ("title", "detail", "message", "connection_issue", "reason")]
    details = value.get("details")
    if isinstance(details, list):
        said += details[:3]
    words = list(dict.fromkeys(clean(text) for text in said if isinstance(text, str) and text.strip()))
    return ": ".join(words)[:_MAX]


def clean(text: str) -> str:
    """``text`` without control characters, which could forge a log line; at most 300 characters."""
    return "".join(c if c.isprintable() else " " for c in text[:_MAX]).strip()
