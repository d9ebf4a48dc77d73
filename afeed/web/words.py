"""The words that scripts and styles put on a page, in the page's language.

Templates hold their own words; these have no template to stand in.  Scripts find theirs in the page
(``words.js``), styles in variables that are set for each language (:func:`stylesheet`)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from afeed.web.languages import Language


def _(text: str) -> str:
    """Mark ``text`` for the catalogues."""
    return text


#: By the names that ``words.js`` has for them.
_SCRIPTS: Mapping[str, str] = {
    "connecting": _("Connecting…"),
    "live": _("Live"),
    "polling": _("Live, every few seconds"),
    "stalled": _("New posts are delayed"),
    "waiting": _("Connection lost, trying again"),
    "offline": _("You are offline"),
    "paused": _("Paused"),
    "pause": _("Pause: let new posts wait"),
    "goOn": _("Go on: show new posts as they come"),
    "notice": _("New notice"),
    "missing": _("Some posts may be missing here."),
    "reload": _("Load the page again"),
    "now": _("now"),
    "minutes": _("{count} min"),
    "hours": _("{count} h"),
    "moved": _("Moved: “{title}” is at {place}"),
    "cancelled": _("Cancelled: “{title}” ({place})"),
    "back": _("Not cancelled after all: “{title}” is at {place}"),
}


def ngettext(one: str, other: str) -> tuple[str, str]:
    """Mark a text that counts for the catalogues."""
    return one, other


_COUNTED: Mapping[str, tuple[str, str]] = {
    "news": ngettext("{count} new post", "{count} new posts"),
}

#: What the organisers' script adds, by the names that ``organiser.js`` has for it.
_ORGANISERS: Mapping[str, str] = {
    "hide": _("Hide"),
    "file": _("File"),
    "undo": _("Undo"),
    "hidden": _("The post is gone from every screen."),
    "restored": _("The post is shown again."),
    "failed": _("That was not done. Load the page again, or sign in again."),
}

#: By the names of the variables in ``item.css``, without their ``--word-``.
_STYLES: Mapping[str, str] = {
    "reply": _("Reply"),
    "shared": _("Shared by"),
    "sensitive-show": _("Sensitive content: show"),
    "sensitive-hide": _("Sensitive content: hide"),
}


def for_scripts(language: Language) -> str:
    """The words of the scripts as JSON: an object of texts and, for what counts, of plural forms."""
    words: dict[str, object] = {name: language.text(text) for name, text in _SCRIPTS.items()}
    words |= {name: language.plurals(*forms) for name, forms in _COUNTED.items()}
    return _json(words)


def for_organisers(language: Language) -> str:
    """The words of the script that only organisers load, likewise."""
    return _json({name: language.text(text) for name, text in _ORGANISERS.items()})


def _json(words: Mapping[str, object]) -> str:
    return json.dumps(words, ensure_ascii=False, separators=(",", ":"))


def stylesheet(languages: Iterable[Language]) -> str:
    """The words of the styles in each of ``languages``, the first being that of all others."""
    rules = []
    for number, language in enumerate(languages):
        selector = f":root:lang({language.tag})" if number else ":root"
        words = "".join(f"--word-{name}:{_quoted(language.text(text))};" for name, text in _STYLES.items())
        rules.append(f"{selector}{{{words}}}\n")
    return "".join(rules)


def _quoted(text: str) -> str:
    """``text`` as a string of CSS (CSS Syntax, section 4.3.7: a backslash, the code point, a blank)."""
    return '"' + "".join(c if c.isalnum() or c in " :,.…'" else f"\\{ord(c):x} " for c in text) + '"'
