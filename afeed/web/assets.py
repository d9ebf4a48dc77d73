"""The files under ``/static``: read once from the package, held in memory, served with a hash of their content.

Pages refer to ``/static/<digest>/<name>``.  The digest is one over all files, so that the modules, which
import each other by relative URLs, always belong together, and a browser may keep them for good.
``/static/<name>`` works as well and is asked for again each time.  Names are looked up in a table: no request
ever becomes a path."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from importlib.resources import files
from importlib.resources.abc import Traversable

import attrs

from afeed.web import words
from afeed.web.languages import languages

TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml; charset=utf-8",
    "png": "image/png",
    "jpg": "image/jpeg",
    "webp": "image/webp",
    "ico": "image/x-icon",
    "woff2": "font/woff2",
    "json": "application/json",
    "webmanifest": "application/manifest+json",
}

_COMPRESSIBLE = frozenset({"css", "js", "svg", "json", "webmanifest"})


@attrs.frozen(kw_only=True)
class Asset:
    """One file: ``body`` as it is, ``gzipped`` where that is worth it, ``tag`` a hash of the content."""

    body: bytes
    gzipped: bytes | None
    content_type: str
    tag: str


def tag_of(body: bytes) -> str:
    """A short hash of ``body``, safe in URLs and entity tags."""
    return blake2b(body, digest_size=9).hexdigest()


def compressed(body: bytes) -> bytes | None:
    """``body`` gzipped (the same bytes each time), None where that would not make it smaller."""
    packed = gzip.compress(body, 6, mtime=0)
    return packed if len(packed) < len(body) else None


class Assets:
    """All files by name, such as ``feed.js`` and ``demo/stage.svg``."""

    def __init__(self, found: Mapping[str, bytes]) -> None:
        self._assets = {name: _asset(name, body) for name, body in found.items()}
        everything = "".join(f"{name}\0{self._assets[name].tag}\0" for name in sorted(self._assets))
        self.digest = tag_of(everything.encode())

    def url(self, name: str) -> str:
        """The address of a file, for pages; raises :class:`KeyError` when there is none of this name."""
        if name not in self._assets:
            raise KeyError(name)
        return f"/static/{self.digest}/{name}"

    def find(self, path: str) -> tuple[Asset, bool] | None:
        """The file for what follows ``/static/``, and whether it may be kept for good; None when there is none.

        The digest of another version, from a page that an older or newer node gave out, still finds the file:
        it is only not kept."""
        asset = self._assets.get(path)
        if asset is not None:
            return asset, False
        digest, _, name = path.partition("/")
        asset = self._assets.get(name)
        if asset is None or len(digest) != len(self.digest) or not digest.isalnum():
            return None
        return asset, digest == self.digest


def _asset(name: str, body: bytes) -> Asset:
    suffix = name.rpartition(".")[2]
    return Asset(
        body=body,
        gzipped=compressed(body) if suffix in _COMPRESSIBLE else None,
        content_type=TYPES[suffix],
        tag=tag_of(body),
    )


def packaged() -> Assets:
    """The files that come with afeed: ``web/static``, and the demo's photos as ``demo/``."""
    static = dict(_files(files("afeed.web").joinpath("static")))
    # Fragments hold no word of any language: the style sheet does.
    static["item.css"] += words.stylesheet(languages().values()).encode()
    photos = {f"demo/{name}": body for name, body in _files(files("afeed.demo").joinpath("photos"))}
    return Assets(static | photos)


def _files(folder: Traversable) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file in ``folder`` of a type that browsers know from us."""
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        if entry.is_file() and entry.name.rpartition(".")[2] in TYPES:
            yield entry.name, entry.read_bytes()
