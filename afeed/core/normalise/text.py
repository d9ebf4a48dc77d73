"""Mark-up: a post's text and its entities become plain text and safe HTML.

An entity's offsets count Unicode code points of the text as the upstream sent it, which for X is still
HTML-escaped; so the text is cut first and unescaped afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from html import escape, unescape

import msgspec
import nh3

from afeed.core.normalise.characters import calm, label, line_ends, scrub
from afeed.core.normalise.finder import Found, find
from afeed.core.normalise.urls import link_url

#: All that is ever let through.  ``rel`` is set on every link, whatever it had; without ``*`` nh3 lets ``lang``
#: and ``title`` pass everywhere.
TAGS = {"p", "br", "a", "span"}
ATTRIBUTES: dict[str, set[str]] = {"a": {"href"}, "*": set()}
SCHEMES = {"http", "https", "mailto"}
REL = "nofollow noopener noreferrer ugc"

_MAX_CLEANINGS = 8
_SHORTENED_CHARS = 32
_LABEL_CHARS = 200
_PARAGRAPH = re.compile(r"\n[ \t]*\n\s*")
_BREAKS = re.compile(r"<br\s*/?>\n?|</(?:p|div|li|h[1-6]|blockquote)>", re.IGNORECASE)
_EMPTY = re.compile(r"<p>\s*</p>")

_PROSE = r"(?:[^<>&\x00-\x08\x0a-\x1f\x7f\xa0]|&(?:amp|lt|gt);)++"
_ADDRESS = (
    r"(?i:https?://(?:(?!xn--)[a-z0-9]+(?:-[a-z0-9]+)*\.)+[a-z]{2,63})(?::[0-9]{1,5})?"
    r"(?:[/?#](?:[!#-%'-;=?-~]|&amp;)*+)?"
)
#: Paragraphs, breaks and links to unremarkable addresses, spelt just as the sanitiser spells them: that is all
#: that plain texts become here, and it need not be taken apart to see that nothing is wrong with it.  What
#: comes from outside always is, because nobody has looked at its addresses.
_CLEAN = re.compile(rf'<p>(?:{_PROSE}|<br>|</p><p>|<a href="{_ADDRESS}" rel="{REL}">{_PROSE}</a>)*+</p>')


class Span(msgspec.Struct, frozen=True):
    """A stretch of a text with a meaning: code points ``start`` to ``end`` (exclusive).

    ``href`` is where it leads; None for nowhere.  ``text`` takes its place in the plain text and ``shown`` in
    the HTML; None keeps what stands there.  With both ``""`` the stretch disappears.
    """

    start: int
    end: int
    href: str | None = None
    text: str | None = None
    shown: str | None = None


class Markup(msgspec.Struct, frozen=True):
    """The same words twice: ``text`` plain and unescaped, ``html`` ready for a page."""

    text: str
    html: str


class Network(msgspec.Struct, frozen=True):
    """Where hashtags and mentions lead; None leaves them plain."""

    hashtag: Callable[[str], str] | None = None
    mention: Callable[[str], str] | None = None


#: No network in particular: only URLs become links, since nobody can tell whose hashtag or name it is.
ANYWHERE = Network()


def plain(text: str) -> str:
    """``text`` as an item keeps it: storable, with ``\\n`` line ends, without blank lines around."""
    return line_ends(scrub(text)).strip()


def unescape_x(text: str) -> str:
    """Undo X's escaping, which is of ``&``, ``<`` and ``>`` only: ``&amp;quot;`` was typed as ``&quot;``."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def render(raw: str, spans: Iterable[Span], decode: Callable[[str], str] = str) -> Markup:
    """Apply ``spans`` to ``raw``, whose remaining stretches ``decode`` unescapes.

    Spans that overlap an earlier one or lie outside the text are skipped.
    """
    raw = scrub(raw)
    words: list[str] = []
    pieces: list[str] = []
    at = 0
    for span in sorted(spans, key=lambda span: (span.start, span.end)):
        if not at <= span.start < span.end <= len(raw):
            continue
        before = line_ends(decode(raw[at : span.start]))
        here = line_ends(decode(raw[span.start : span.end]))
        at = span.end
        words.append(before)
        words.append(here if span.text is None else scrub(span.text))
        pieces.append(escape(calm(before), quote=False))
        pieces.append(_link(span.href, here if span.shown is None else span.shown))
    rest = line_ends(decode(raw[at:]))
    words.append(rest)
    pieces.append(escape(calm(rest), quote=False))
    return Markup("".join(words).strip(), _in_paragraphs("".join(pieces), _sanitise_own))


def _link(href: str | None, shown: str) -> str:
    words = escape(label(shown, _LABEL_CHARS), quote=False)
    target = link_url(href)
    if target is None or not words:
        return words
    return f'<a href="{escape(target)}" rel="{REL}">{words}</a>'


def paragraphs(html: str) -> str:
    """Inline HTML with line ends in it as sanitised paragraphs and breaks; empty for nothing."""
    return _in_paragraphs(html, sanitise)


def _in_paragraphs(html: str, clean: Callable[[str], str]) -> str:
    html = html.strip()
    if not html:
        return ""
    body = _PARAGRAPH.sub("</p><p>", html).replace("\n", "<br>")
    return clean(f"<p>{body}</p>")


def shortened(url: str) -> str:
    """A URL as people like to read it: without scheme and ``www.``, cut after some thirty characters."""
    words = re.sub(r"^(?:https?://(?:www\.)?|mailto:)", "", url, flags=re.IGNORECASE).removesuffix("/")
    return words if len(words) <= _SHORTENED_CHARS else words[: _SHORTENED_CHARS - 1] + "…"


def plain_to_html(text: str, network: Network = ANYWHERE) -> str:
    """The HTML for a plain text, with the links that are found in it."""
    return render(text, (span for found in find(scrub(text)) for span in _span(found, network))).html


def _span(found: Found, network: Network) -> Iterable[Span]:
    if found.kind == "url":
        href = found.value if found.value.lower().startswith("http") else "https://" + found.value
        yield Span(found.start, found.end, href, None, shortened(found.value))
        return
    target = network.hashtag if found.kind == "hashtag" else network.mention
    if target is not None:
        yield Span(found.start, found.end, target(found.value))


def sanitise(html: str) -> str:
    """``html`` reduced to :data:`TAGS` and :data:`ATTRIBUTES`.

    Elements that carry no prose (scripts, styles) go with their content, of others the content stays.
    Relative links are dropped: they would lead into this site.

    What comes out stays as it is when it is sanitised again.  Without the elements that stood around them the
    rest may be read in another way (``<p>`` ends a paragraph in a page, and not within a button), so it is
    cleaned until nothing changes; what never comes to rest is shown as text.
    """
    for _ in range(_MAX_CLEANINGS):
        clean = _cleaned(html)
        if clean == html:
            return clean
        html = clean
    return escape(calm(html), quote=False)


def _sanitise_own(html: str) -> str:
    """The same for HTML that was made here, whose links :func:`link_url` has let pass."""
    return html if _CLEAN.fullmatch(html) is not None and calm(scrub(html)) == html else sanitise(html)


def _cleaned(html: str) -> str:
    clean = nh3.clean(
        scrub(html),
        tags=TAGS,
        attributes=ATTRIBUTES,
        attribute_filter=_only_full_links,
        url_schemes=SCHEMES,
        link_rel=REL,
    )
    # Last, because cleaning spells out character references, and takes away text that may end an isolate.
    return calm(scrub(clean))


def _only_full_links(tag: str, attribute: str, value: str) -> str | None:
    return link_url(value) if attribute == "href" else value


def html_to_text(html: str) -> str:
    """The words of an HTML fragment, with line ends for its breaks and paragraphs."""
    words = unescape(nh3.clean(_BREAKS.sub("\n", scrub(html)), tags=set()))
    return plain(re.sub(r"\n{3,}", "\n\n", words))


def mixed_to_html(html: str) -> str:
    """Sanitised HTML for a fragment in which line ends count, as people type it into a description field."""
    if "<p" in html.lower():
        return _EMPTY.sub("", sanitise(html))
    return paragraphs(line_ends(html))
