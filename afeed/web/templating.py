"""The template environment of the pages: strict, escaping, and loaded from the package."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined


def environment(**names: Any) -> Environment:
    """A new environment over ``web/templates``, in which every template knows ``names``.

    Everything is escaped unless it is :class:`markupsafe.Markup`; a name that a template expects and does not
    get is an error, not an empty string.  Templates are compiled once and never looked at again."""
    folder = files("afeed.web").joinpath("templates")
    made = Environment(
        loader=FunctionLoader(lambda name: folder.joinpath(name).read_text("utf-8")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals.update(names)
    return made
