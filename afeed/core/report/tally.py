"""The count itself: items are added one by one, and the report can be asked for at any time."""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from afeed.core.change import timestamp
from afeed.core.item import Author, Item
from afeed.core.moderation import author_key
from afeed.core.report.activity import Activity, Window, moment, peaks
from afeed.core.report.counting import Distinct, Top, digest
from afeed.core.report.gallery import Gallery
from afeed.core.report.keyness import Reference, Term, most_frequent, shared, standing_out
from afeed.core.report.links import links
from afeed.core.report.model import Course, Link, Passed, Person, Report, Rise
from afeed.core.report.terms import terms

#: How many of each are kept while counting, and how many are reported.
KEPT_TERMS = 20_000
_KEPT = 2_000
_RECENT = 2_000
SHOWN_TERMS = 30
_SHOWN = 10
_SHOWN_SOURCES = 20
#: Words by which a peak is named.
_NAMES = 3
#: So much of a post is quoted.
_QUOTED_CHARS = 400


class _Post(msgspec.Struct):
    """What is kept of a post that may be passed on."""

    item: str | None
    author: Author
    text: str
    url: str | None
    at: str | None
    shared: bool = False


class Tally:
    """Counts the items of one talk or event in their present state, each of which is to be added once.
    ``window`` is the time in which posts are counted by the minute."""

    def __init__(self, window: Window) -> None:
        self._activity = Activity(window)
        self._people, self._sharers = Distinct(), Distinct()
        self._authors: Top[Author] = Top(_KEPT)
        self._terms: Top[None] = Top(KEPT_TERMS)
        self._links: Top[str | None] = Top(_KEPT)
        self._quoted: Top[_Post] = Top(_KEPT)
        self._answered: Top[_Post] = Top(_KEPT)
        self._brought: Top[_Post] = Top(_KEPT)
        self._sources: Top[None] = Top(_SHOWN_SOURCES)
        self._languages: Top[None] = Top(100)
        self._recent: OrderedDict[str, _Post] = OrderedDict()
        self._gallery = Gallery()
        self._posts = self._shares = self._replies = self._quotes = self._linking = 0
        self._first: float | None = None
        self._last: float | None = None

    def add(self, item: Item) -> None:
        """One more."""
        self._posts += 1
        name = author_key(item.source, item.author) or f"{item.source}:{item.author.name}"
        author = digest(name)
        self._people.add(name)
        self._authors.add(name, author, item.author)
        self._sources.add(item.source, author, None)
        self._languages.add(_language(item.lang), author, None)
        found = terms(item.text)
        for term in found:
            self._terms.add(term, author, None)
        at = moment(item.created_at)
        self._activity.add(at, found)
        if at is not None:
            self._first = at if self._first is None else min(self._first, at)
            self._last = at if self._last is None else max(self._last, at)
        self._add_links(item, author)
        self._add_passing(item, author)
        self._gallery.add(item, name)

    def _add_links(self, item: Item, author: int) -> None:
        found = links(item)
        self._linking += bool(found)
        for url, title in found.items():
            entry = self._links.add(url, author, title)
            if entry.value is None:
                entry.value = title

    def _add_passing(self, item: Item, author: int) -> None:
        """What ``item`` passes on, and itself for those who pass it on later."""
        post = _Post(item.id, item.author, item.text[:_QUOTED_CHARS], item.url, item.created_at)
        if item.shared_by is not None:
            self._shares += 1
            post.shared = True
            self._brought.add(_address(post), author, post)
            self._sharers.add(author_key(item.source, item.shared_by) or item.shared_by.name)
        if item.quote is not None:
            self._quotes += 1
            quote = item.quote
            quoted = _Post(None, quote.author, quote.text[:_QUOTED_CHARS], quote.url, None)
            self._quoted.add(_address(quoted), author, quoted)
        if item.reply_to is not None:
            self._replies += 1
            parent = self._recent.get(item.reply_to)
            if parent is not None:
                self._answered.add(_address(parent), author, parent)
        self._recent[item.id] = post
        if len(self._recent) > _RECENT:
            self._recent.popitem(last=False)

    @property
    def reference(self) -> Reference:
        """What the words of talks are compared with."""
        counts = {text: entry.count for text, entry in self._terms.most(KEPT_TERMS)}
        return Reference(self._posts, counts)

    def report(self, reference: Reference | None = None) -> Report:
        """What was counted so far.  ``reference`` is that of the whole event, these items included."""
        known = shared(self._terms)
        if reference is None:
            found, compared = most_frequent(known), 0
        else:
            # The rest is the whole without these; it may have been counted a little earlier than they were.
            compared = max(0, reference.posts - self._posts)
            rest = {text: max(0, reference.counts.get(text, 0) - known[text]) for text in known}
            found = standing_out(known, self._posts, rest, compared) if compared else most_frequent(known)
        kinds: dict[str, list[Term]] = {"#": [], "@": [], "": []}
        for term in found:
            kinds[term.text[0] if term.text[0] in "#@" else ""].append(term)
        return Report(
            posts=self._posts,
            people=self._people.count,
            people_estimated=not self._people.exact,
            sharers=self._sharers.count,
            shares=self._shares,
            replies=self._replies,
            quotes=self._quotes,
            photos=self._gallery.count,
            links=self._linking,
            first_at=None if self._first is None else timestamp(self._first),
            last_at=None if self._last is None else timestamp(self._last),
            course=self._course(),
            sources=tuple((name, entry.count) for name, entry in self._sources.most(_SHOWN_SOURCES)),
            languages=tuple((name or None, entry.count) for name, entry in self._languages.most(_SHOWN)),
            authors=tuple(
                Person(entry.value.name, entry.value.handle, entry.value.url, entry.count)
                for _, entry in self._authors.most(_SHOWN)
            ),
            top_links=tuple(Link(url, entry.value, entry.count) for url, entry in self._links.most(_SHOWN)),
            pictures=self._gallery.chosen(),
            passed=self._passed(),
            words=tuple(kinds[""][:SHOWN_TERMS]),
            hashtags=tuple(kinds["#"][:_SHOWN]),
            handles=tuple(kinds["@"][:_SHOWN]),
            compared=compared,
        )

    def _course(self) -> Course:
        activity = self._activity
        start, bin_s = activity.window.start, activity.window.bin_s
        whole = activity.terms_within(0, len(activity.counts))
        total = sum(activity.counts)
        rises = []
        for peak in peaks(activity.counts):
            within = activity.terms_within(peak.first, peak.last)
            elsewhere = {term: max(0, whole[term] - count) for term, count in within.items()}
            named = standing_out(within, peak.posts, elsewhere, total - peak.posts)
            rises.append(
                Rise(
                    start=timestamp(start + peak.first * bin_s),
                    end=timestamp(start + (peak.last + 1) * bin_s),
                    top=timestamp(start + peak.top * bin_s),
                    high=activity.counts[peak.top],
                    posts=peak.posts,
                    terms=tuple(term.text for term in named[:_NAMES]),
                )
            )
        return Course(
            start=timestamp(start),
            bin_s=bin_s,
            counts=tuple(activity.counts),
            before=activity.before,
            after=activity.after,
            undated=activity.undated,
            peaks=tuple(rises),
        )

    def _passed(self) -> tuple[Passed, ...]:
        """What was quoted, answered and shared most."""
        posts: dict[str, _Post] = {}
        times: dict[str, list[int]] = {}
        for place, counted in enumerate((self._quoted, self._answered, self._brought)):
            for address, entry in counted:
                posts[address] = entry.value  # the item itself, where there is one, knows more than a quotation
                times.setdefault(address, [0, 0, 0])[place] = entry.count
        ordered = sorted(times.items(), key=lambda one: (-sum(one[1]), one[0]))
        return tuple(
            Passed(
                item=post.item,
                author=post.author.name,
                handle=post.author.handle,
                text=post.text,
                url=post.url,
                at=post.at,
                quotes=quotes,
                replies=replies,
                shared=shares > 0,
            )
            for address, (quotes, replies, shares) in ordered[:_SHOWN]
            for post in [posts[address]]
        )


def _address(post: _Post) -> str:
    """What tells that two are the same post, which a quotation knows by its address alone."""
    return post.url or post.item or f"{post.author.handle or post.author.name}: {post.text}"


def _language(tag: str | None) -> str:
    """The language without its country, empty for an unknown one."""
    return "" if tag is None else tag.partition("-")[0].lower()
