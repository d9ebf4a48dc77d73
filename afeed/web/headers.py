"""The headers that protect pages, files, errors and all other answers but two.

The changes themselves, as ``/updates`` and ``/stream`` give them by the million, carry only
``X-Content-Type-Options``: they are data that no browser takes for a page.

The policy allows what the pages use and nothing else: scripts and styles from this origin, images and media
from anywhere over TLS (posts bring their own; none but ours where pictures are kept), connections back to this
origin.  There is no inline script or
style in any page, so that markup which slips through all other nets still does not run."""

from __future__ import annotations

from urllib.parse import urlsplit

from afeed.settings import Server

#: What no page of ours asks a browser for.
_UNUSED_FEATURES = ("camera", "display-capture", "geolocation", "microphone", "midi", "payment", "usb")

#: A year, in seconds.
_HSTS_AGE = 31_536_000


def websocket_origin(public_url: str) -> str:
    """The origin of the WebSockets that belong to ``public_url``: ``wss://feed.example`` for
    ``https://feed.example/``."""
    parts = urlsplit(public_url)
    return f"{'wss' if parts.scheme == 'https' else 'ws'}://{parts.netloc}"


def content_security_policy(server: Server, *, keeps_media: bool = False) -> str:
    """The policy of every page.  Pictures come over https; an afeed that is only tried out, on this machine,
    may also show those of a simulator beside it.  Those of an event that ``keeps_media`` come from here
    alone."""
    pictures = "'self'"
    if not keeps_media:
        pictures += " https:"
        if urlsplit(server.public_url).hostname in ("127.0.0.1", "localhost"):
            pictures += " http://127.0.0.1:*"
    directives = (
        ("default-src", "'none'"),
        ("script-src", "'self'"),
        ("style-src", "'self'"),
        ("img-src", pictures),
        ("media-src", pictures),
        ("connect-src", f"'self' {websocket_origin(server.public_url)}"),
        ("manifest-src", "'self'"),
        ("form-action", "'self'"),
        ("base-uri", "'none'"),
        ("frame-ancestors", " ".join(server.frame_ancestors) or "'none'"),
    )
    return "; ".join(f"{name} {value}" for name, value in directives)


def security_headers(server: Server, *, keeps_media: bool = False) -> list[tuple[bytes, bytes]]:
    """Name and value of each header, for HTML, JSON, files and errors alike; those of pages of an event that
    ``keeps_media`` let browsers ask nobody else.

    ``Referrer-Policy`` is ``same-origin``: what people look at is nobody else's business, and forms still
    tell this server where they come from.  HSTS is sent only where ``public_url`` is https; it says nothing
    about sub-domains, which are not afeed's."""
    headers = [
        ("Server", "afeed"),
        ("Content-Security-Policy", content_security_policy(server, keeps_media=keeps_media)),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "same-origin"),
        ("Permissions-Policy", ", ".join(f"{name}=()" for name in _UNUSED_FEATURES)),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
    ]
    if not server.frame_ancestors:
        headers.append(("X-Frame-Options", "DENY"))
    if urlsplit(server.public_url).scheme == "https":
        headers.append(("Strict-Transport-Security", f"max-age={_HSTS_AGE}"))
    return [(name.encode("ascii"), value.encode("ascii")) for name, value in headers]
