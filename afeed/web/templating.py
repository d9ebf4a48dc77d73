"""The template environment of the pages: strict, escaping, and loaded from the package."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from afeed.web import languages
from afeed.web.languages import Language


def environment(language: Language | None = None, **names: Any) -> Environment:
    """A new environment over ``web/templates``, in which every template knows ``names``, and ``language``
    (default: English) with its ``_()`` and ``{% trans %}``.

    Everything is escaped unless it is :class:`markupsafe.Markup`; a name that a template expects and does not
    get is an error, not an empty string.  Templates are compiled once and never looked at again."""
    folder = files("afeed.web").joinpath("templates")
    chosen = languages.default() if language is None else language
    made = Environment(
        loader=FunctionLoader(lambda name: folder.joinpath(name).read_text("utf-8")),
        extensions=["jinja2.ext.i18n"],
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.policies["ext.i18n.trimmed"] = True
    made.install_gettext_translations(chosen.translations, newstyle=True)  # type: ignore[attr-defined]
    made.globals.update(names, language=chosen)
    return made
