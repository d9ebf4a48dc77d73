"""The form in which organisers say what is kept from the screen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import attrs

from afeed.core import filters as core
from afeed.core.filters import Filters
from afeed.core.words import words


def _(text: str) -> str:
    """Mark ``text`` for the catalogues."""
    return text


class Mistake(NamedTuple):
    """Something wrong with ``field``: a sentence in English, for the catalogues, and what is filled in."""

    field: str
    text: str
    values: Mapping[str, object] = {}


@attrs.frozen(kw_only=True)
class FilterForm:
    """What stands in the form, as it was typed; ``mistakes`` are to be told with it."""

    mode: str
    hold_s: str
    muted: str
    trusted: str
    hide_sensitive: bool
    hide_replies: bool
    hide_reposts: bool
    per_author_per_minute: str
    mistakes: tuple[Mistake, ...] = ()

    @classmethod
    def of(cls, filters: Filters) -> FilterForm:
        """What applies, to be changed."""
        most = filters.per_author_per_minute
        return cls(
            mode=filters.mode,
            hold_s=f"{filters.hold_s:g}",
            muted="\n".join(filters.muted),
            trusted="\n".join(filters.trusted),
            hide_sensitive=filters.hide_sensitive,
            hide_replies=filters.hide_replies,
            hide_reposts=filters.hide_reposts,
            per_author_per_minute="" if most is None else str(most),
        )

    @classmethod
    def sent(cls, fields: Mapping[str, str]) -> FilterForm:
        """What somebody sent."""
        return cls(
            mode=fields.get("mode", ""),
            hold_s=fields.get("hold_s", ""),
            muted=fields.get("muted", ""),
            trusted=fields.get("trusted", ""),
            hide_sensitive="hide_sensitive" in fields,
            hide_replies="hide_replies" in fields,
            hide_reposts="hide_reposts" in fields,
            per_author_per_minute=fields.get("per_author_per_minute", "").strip(),
        )

    def read(self) -> Filters | FilterForm:
        """What it means, or the same form with its mistakes."""
        mistakes: list[Mistake] = []
        found: dict[str, Any] = {
            "hide_sensitive": self.hide_sensitive,
            "hide_replies": self.hide_replies,
            "hide_reposts": self.hide_reposts,
        }
        if self.mode in core.MODES:
            found["mode"] = self.mode
        else:
            mistakes.append(Mistake("mode", _("Choose one of these.")))
        found["hold_s"] = _number(self.hold_s, "hold_s", core.LEAST_HOLD_S, core.MOST_HOLD_S, mistakes)
        if self.per_author_per_minute:
            field = "per_author_per_minute"
            most = _number(self.per_author_per_minute, field, 1, core.MOST_PER_MINUTE, mistakes)
            found[field] = int(most)
        found["muted"] = self._muted(mistakes)
        found["trusted"] = self._trusted(mistakes)
        if found.get("mode") == "trusted" and not found["trusted"] and not mistakes:
            mistakes.append(Mistake("trusted", _("Nobody is trusted, so that nothing would be shown.")))
        if mistakes:
            return attrs.evolve(self, mistakes=tuple(mistakes))
        return Filters(**found)

    def _muted(self, mistakes: list[Mistake]) -> tuple[str, ...]:
        found: list[str] = []
        said: set[tuple[tuple[str, str], ...]] = set()
        for line in _lines(self.muted):
            if core.muted_flaw(line) is not None:
                mistakes.append(
                    Mistake("muted", _("“%(line)s” is no word, or it is too long."), {"line": line[:40]})
                )
            elif (meant := tuple(words(line))) not in said:
                said.add(meant)
                found.append(line)
        return _bounded(tuple(found), "muted", core.MOST_MUTED, mistakes)

    def _trusted(self, mistakes: list[Mistake]) -> tuple[str, ...]:
        found: dict[str, None] = {}
        for line in _lines(self.trusted):
            author = core.named_author(line)
            if author is None or len(line) > core.LONGEST_TRUSTED:
                mistakes.append(Mistake("trusted", _("“%(line)s” is no handle."), {"line": line[:40]}))
            else:
                found[author] = None
        return _bounded(tuple(found), "trusted", core.MOST_TRUSTED, mistakes)


def _lines(text: str) -> list[str]:
    """What stands in a field of several lines, without what cannot be seen around it."""
    return [line for line in (" ".join(line.split()) for line in text.splitlines()) if line]


def _bounded(found: tuple[str, ...], field: str, most: int, mistakes: list[Mistake]) -> tuple[str, ...]:
    if len(found) > most:
        mistakes.append(Mistake(field, _("These are more than %(most)s."), {"most": most}))
    return found


def _number(text: str, field: str, least: float, most: float, mistakes: list[Mistake]) -> float:
    try:
        number = float(text.strip().replace(",", "."))
    except ValueError:
        number = float("nan")
    whole = field != "hold_s"
    if not least <= number <= most or (whole and number != int(number)):
        values = {"least": f"{least:g}", "most": f"{most:g}"}
        mistakes.append(Mistake(field, _("This has to be a number from %(least)s to %(most)s."), values))
        return least
    return number
