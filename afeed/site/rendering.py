"""The templates of the live pages, rendered for a copy: without scripts, forms and addresses of a server."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from html import escape, unescape

from jinja2 import Environment
from jinja2.loaders import FunctionLoader

from afeed.settings import Event
from afeed.site.addresses import SiteReader
from afeed.web.assets import Assets, tag_of
from afeed.web.fragments import Fragments
from afeed.web.languages import Language
from afeed.web.pages import Document, Reader, Renderer

#: Templates of the live pages in whose place others stand: what only a server could do is not in a copy.
_INSTEAD: Mapping[str, str] = {"foot.html": "site_foot.html", "nav.html": "site_nav.html", "lightbox.html": ""}

_SCRIPTED = re.compile(
    r'<script\b[^>]*>.*?</script>\s*|<link rel="modulepreload"[^>]*>\s*|<meta name="words"[^>]*>\s*'
    r"|<template\b[^>]*>.*?</template>\s*|<noscript>.*?</noscript>\s*",
    re.DOTALL,
)
_PICTURE = re.compile(r'(<img\b[^>]*?\ssrc=|<a class="photo" href=|<a href=)"([^"]+)"')

#: Where a picture is in the copy, by its address; None: it is not there.
Pictures = Callable[[str], str | None]


class SiteRenderer(Renderer):
    """Makes pages for a copy.  ``pictures`` says which pictures the copy has."""

    def __init__(self, assets: Assets, fragments: Callable[[Event], Fragments], pictures: Pictures) -> None:
        super().__init__(assets, fragments)
        self._assets = assets
        self._pictures = pictures
        #: The files of ours that pages have asked for.
        self.used: set[str] = set()

    def document(self, name: str, reader: Reader, **values: object) -> Document:
        """The page that the template ``name`` makes of ``values``; it is not compressed."""
        body = self._render(name, reader, **values).encode("utf-8")
        return Document(body=body, gzipped=None, tag=tag_of(body))

    def _environment(self, language: Language) -> Environment:
        made = super()._environment(language)
        loader = made.loader
        assert loader is not None

        def load(name: str) -> str:
            instead = _INSTEAD.get(name, name)
            return loader.get_source(made, instead)[0] if instead else ""

        made.loader = FunctionLoader(load)
        return made

    def _render(self, name: str, reader: Reader, **values: object) -> str:
        assert isinstance(reader, SiteReader)

        def asset(name: str) -> str:
            self._assets.url(name)  # raises where there is none
            self.used.add(name)
            return reader.to(f"static/{name}")

        text = super()._render(name, reader, asset=asset, site=reader, **values)
        return _PICTURE.sub(lambda found: self._placed(found, reader), _SCRIPTED.sub("", text))

    def _placed(self, found: re.Match[str], reader: SiteReader) -> str:
        """An address of a picture that the copy has, as the copy has it."""
        address = unescape(found[2])
        if address.startswith("/static/"):
            name = address.removeprefix("/static/")
            asset = self._assets.find(name)
            if asset is None:
                return found[0]
            self.used.add(name)
            return f'{found[1]}"{escape(reader.to(f"static/{name}"))}"'
        if not address.startswith(("http:", "https:")):
            return found[0]
        place = self._pictures(address)
        return found[0] if place is None else f'{found[1]}"{escape(reader.to(place))}"'
