"""Making bad input out of good: cuts, repetitions and borrowed parts, of bytes and of JSON."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import msgspec

#: A case is not made longer than this, but for the rare ones that are meant to be too long.
MAX_BYTES = 8192
#: One case in so many is repeated until it is long, to reach the limits on size.
_LONG_ONE_IN = 5000
_LONG_BYTES = 200_000
#: Samples that were found to be new in their outcome are kept up to this number.
MAX_POOL = 600
#: Parts of JSON that are kept to be put elsewhere.
_MAX_PARTS = 2000

#: What parsers stumble over, whatever they parse.
_ODD_BYTES = (
    b"\0", b"\n", b"\r\n", b"\r\n\r\n", b"\r", b" ", b"\t", b"\x0b", b"\x7f", b"\xff", b"\xed\xa0\x80",
    b"\xf0\x9f\x91\xa9", b"\xe2\x80\xae", b"\xef\xbb\xbf", b"\xc0\x80", b"0", b"-1", b"1e400", b"+5", b"0x10",
    b"9" * 20, b"18446744073709551616", b'"', b"\\", b"\\u0000", b"\\ud800", b"{", b"}", b"[", b"]", b",",
    b":", b"<", b">", b"&", b"&amp;", b"&#", b"%", b"%00", b"/", b"..", b"null", b"true", b"=", b";", b"'",
)  # fmt: skip

#: Values that no member expects.
_ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31, 2**53 + 1, 2**63, -(2**63), 10**18, 0.5, 1e300, -0.0, "", " ", "0", "1",
    "007", "1_000", "12.50", "-1", "99999999999999999999", "x", "\0", "\u202e", "\u2067\u2069\u2069", "\ufeff",
    "e\u0301" * 12, "\u0301" * 40, "\u200d" * 9, "\U0001f469\u200d\U0001f680", "\u0663", "<b>", "</p><p>",
    "&lt;",
    "<script>alert(1)</script>", "<svg onload=x>", "javascript:alert(1)", "data:text/html,x", "//e.org",
    "https://e.org/", "http://127.0.0.1/", "http://[::1", "https://e.org:99999/", "mailto:a@e.org", "#aea",
    "@ann", "https://t.co/x", "RT @bo: ", "2026-11-21T17:00:05Z", "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59-14:00", "2026-13-01T00:00:00Z", "en", "und", [], {}, [[]], [None], [{}], {"": ""},
)  # fmt: skip

_encode = msgspec.json.Encoder().encode


class Mutator:
    """Makes cases from ``samples``.  ``tokens`` are words that the parser looks for; with ``json`` most cases
    are well-formed JSON in which members are missing, moved or of another kind.  ``sound`` is how many of the
    others begin as one of ``samples`` themselves: where almost nothing is right once it was changed, what was
    learned is mostly wrong already."""

    def __init__(
        self,
        rng: Random,
        samples: Sequence[bytes],
        tokens: Sequence[bytes] = (),
        json: bool = False,
        sound: float = 0.0,
    ) -> None:
        self._rng = rng
        self._sound = sound
        self._given = tuple(samples)
        self._samples = list(samples)
        self._tokens = (*_ODD_BYTES, *tokens)
        self._trees: list[Any] = []
        self._parts: list[Any] = []
        self._json = json
        if json:
            for sample in samples:
                self._learn_tree(sample)
        self._strings = tuple(token.decode("latin-1") for token in tokens)

    def learn(self, case: bytes) -> None:
        """Take ``case`` among the samples."""
        if len(case) > MAX_BYTES or len(self._samples) >= MAX_POOL:
            return
        self._samples.append(case)
        if self._json:
            self._learn_tree(case)

    def _learn_tree(self, sample: bytes) -> None:
        try:
            tree = msgspec.json.decode(sample)
        except (ValueError, RecursionError):
            return
        self._trees.append(tree)
        if len(self._parts) < _MAX_PARTS:
            self._collect(tree, 0)

    def _collect(self, value: Any, depth: int) -> None:
        if depth > 20:
            return
        self._parts.append(value)
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        for part in inner:
            self._collect(part, depth + 1)

    def make(self) -> bytes:
        """The next case."""
        chance = self._rng.random
        if self._trees and chance() < 0.8:
            tree = self._one(self._trees)
            for _ in range(1 + int(chance() * chance() * 5)):
                tree = self._grafted(tree, 0)
            case = _encode(tree)
            if chance() < 0.15:
                case = self._torn(case)
        else:
            anew = self._sound and chance() < self._sound
            case = self._one(self._given if anew else self._samples)
            for _ in range(1 + int(chance() * chance() * 6)):
                case = self._torn(case)
        if chance() * _LONG_ONE_IN < 1.0 and case:
            at = int(chance() * len(case))
            part = case[at : at + 1 + int(chance() * 30)]
            return case[:at] + part * (_LONG_BYTES // max(len(part), 1)) + case[at:]
        return case[:MAX_BYTES]

    def _one(self, of: Sequence[Any]) -> Any:
        return of[int(self._rng.random() * len(of))]

    # -- bytes

    def _torn(self, data: bytes) -> bytes:
        """``data`` with one thing wrong."""
        chance = self._rng.random
        if not data:
            return bytes(self._one(self._tokens))
        at = int(chance() * len(data))
        end = at + 1 + int(chance() * chance() * min(len(data) - at, 64))
        kind = int(chance() * 8)
        if kind == 0:  # another byte
            return data[:at] + bytes((int(chance() * 256),)) + data[at + 1 :]
        if kind == 1:  # one bit
            return data[:at] + bytes((data[at] ^ (1 << int(chance() * 8)),)) + data[at + 1 :]
        if kind == 2:
            return data[:at] + data[end:]
        if kind == 3:
            return data[:end] + data[at:]
        if kind == 4:
            return data[:at] + bytes(self._one(self._tokens)) + data[at:]
        if kind == 5:
            return data[:at] + bytes(self._one(self._tokens)) + data[end:]
        if kind == 6:
            return data[:at]
        other = self._one(self._samples)
        cut = int(chance() * len(other)) if other else 0
        return data[:at] + bytes(other[cut : cut + 1 + int(chance() * 200)]) + data[end:]

    # -- JSON

    def _odd(self) -> Any:
        chance = self._rng.random()
        if chance < 0.45:
            return self._one(_ODD_VALUES)
        if chance < 0.85 or not self._strings:
            return self._one(self._parts)
        return self._one(self._strings)

    def _grafted(self, value: Any, depth: int) -> Any:
        """``value`` with one thing wrong, somewhere within; what is not touched is shared."""
        chance = self._rng.random
        inward = chance() < 0.9 and depth < 30
        if inward and isinstance(value, dict) and value:
            key = self._one(list(value))
            copy = dict(value)
            kind = chance()
            if kind < 0.1:
                del copy[key]
            elif kind < 0.15:
                copy[self._one(self._strings) if self._strings else "x"] = copy.pop(key)
            elif kind < 0.22:
                copy[self._one(self._strings) if self._strings else "x"] = self._odd()
            else:
                copy[key] = self._grafted(value[key], depth + 1)
            return copy
        if inward and isinstance(value, list) and value:
            many = list(value)
            at = int(chance() * len(many))
            kind = chance()
            if kind < 0.1:
                del many[at]
            elif kind < 0.2:
                many.insert(at, self._odd())
            elif kind < 0.25:
                many = (many * 9)[:300]
            else:
                many[at] = self._grafted(many[at], depth + 1)
            return many
        if inward and isinstance(value, str) and value and chance() < 0.5:
            at = int(chance() * len(value))
            odd = self._odd()
            return value[:at] + (odd if isinstance(odd, str) else "\u202e") + value[at + int(chance() * 4) :]
        if inward and isinstance(value, int) and chance() < 0.5:
            return value + int(chance() * 9) - 4
        return self._odd()
