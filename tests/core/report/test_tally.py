"""Reports of what was said."""

from __future__ import annotations

import random
import tracemalloc

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from afeed.core.change import timestamp
from afeed.core.item import Author, Media, Quote
from afeed.core.report.activity import window
from afeed.core.report.links import cleaned, links
from afeed.core.report.model import Report
from afeed.core.report.tally import Tally
from tests.core.report.samples import NOON, post

HOUR = window(NOON, NOON + 3600, 130)


def counted(*items: object, reference: object = None) -> Report:
    tally = Tally(HOUR)
    for item in items:
        tally.add(item)  # type: ignore[arg-type]
    return tally.report(reference)  # type: ignore[arg-type]


class CountTests(SynchronousTestCase):
    def test_nothing_is_a_report_too(self) -> None:
        found = counted()
        self.assertEqual((found.posts, found.people, found.words, found.first_at), (0, 0, (), None))
        self.assertEqual(sum(found.course.counts), 0)

    def test_people_posts_languages_and_sources_are_counted(self) -> None:
        found = counted(
            post(1, "one", by="ann", lang="en"),
            post(2, "two", by="Ann", lang="en-US"),
            post(3, "drei", by="bo", lang="de", source="x", at=2),
        )
        self.assertEqual((found.posts, found.people, found.people_estimated), (3, 2, False))
        self.assertEqual(found.languages, (("en", 2), ("de", 1)))
        self.assertEqual(found.sources, (("push", 2), ("x", 1)))
        self.assertEqual([(one.name, one.posts) for one in found.authors], [("Ann", 2), ("Bo", 1)])
        self.assertEqual((found.first_at, found.last_at), (timestamp(NOON), timestamp(NOON + 120)))

    def test_a_language_that_nobody_told_is_not_known(self) -> None:
        self.assertEqual(counted(post(1, "?")).languages, ((None, 1),))

    def test_the_report_survives_the_way_to_the_pages(self) -> None:
        found = counted(*(post(n, f"seams {n}", at=n, lang="en") for n in range(30)))
        self.assertEqual(msgspec.json.decode(msgspec.json.encode(found), type=Report), found)


class WordTests(SynchronousTestCase):
    def test_words_stand_out_against_the_rest_of_the_event(self) -> None:
        whole = Tally(HOUR)
        talk = Tally(HOUR)
        for n in range(20):
            item = post(n, "seams in the grid #conf")
            whole.add(item)
            talk.add(item)
        for n in range(20, 200):
            whole.add(post(n, "lunch queue #conf"))
        found = talk.report(whole.reference)
        self.assertEqual({term.text for term in found.words}, {"seams", "grid"})
        self.assertEqual((found.words[0].posts, found.words[0].elsewhere, found.compared), (20, 0, 180))
        self.assertEqual(found.hashtags, ())  # everybody used it everywhere

    def test_hashtags_and_handles_are_apart_from_words(self) -> None:
        found = counted(*(post(n, "#grid by @ann about seams") for n in range(3)))
        self.assertEqual([term.text for term in found.words], ["seams"])
        self.assertEqual([term.text for term in found.hashtags], ["#grid"])
        self.assertEqual([term.text for term in found.handles], ["@ann"])
        self.assertEqual(found.compared, 0)

    def test_what_one_person_repeats_is_not_what_people_said(self) -> None:
        found = counted(*(post(n, "buy crypto", by="spam") for n in range(50)))
        self.assertEqual(found.words, ())


class CourseTests(SynchronousTestCase):
    def test_a_peak_is_named_by_what_was_said_in_it(self) -> None:
        items = [post(n, "listening to the talk", at=n % 50, by=f"a{n}") for n in range(50)]
        items += [post(100 + n, "that prototype demo crashed", at=30.5, by=f"b{n}") for n in range(12)]
        found = counted(*items).course
        (peak,) = found.peaks
        self.assertEqual((peak.top, peak.high), (timestamp(NOON + 1800), 13))
        self.assertEqual(set(peak.terms), {"prototype", "demo", "crashed"})
        self.assertEqual(found.bin_s, 60)
        self.assertEqual(sum(found.counts), 62)

    def test_other_times_are_counted_and_told(self) -> None:
        found = counted(post(1, "early", at=-5), post(2, "late", at=600), post(3, "?", created_at="soon"))
        self.assertEqual((found.course.before, found.course.after, found.course.undated), (1, 1, 1))


class LinkTests(SynchronousTestCase):
    def test_titles_are_those_that_posts_give(self) -> None:
        bare = post(
            1, "x", html='<p><a href="https://example.org/a?utm_source=x" rel="nofollow">example.org/a</a></p>'
        )
        named = post(2, "x", html='<p><a href="https://Example.org/a#top">On <b>seams</b> &amp; grids</a></p>')
        other = post(3, "x", html='<p><a href="https://example.org/b">https://example.org/b</a></p>')
        found = counted(bare, named, other)
        self.assertEqual(
            [(one.url, one.title, one.posts) for one in found.top_links],
            [("https://example.org/a", "On seams & grids", 2), ("https://example.org/b", None, 1)],
        )
        self.assertEqual(found.links, 3)

    def test_hashtags_mentions_and_quoted_posts_are_no_links(self) -> None:
        quote = Quote(author=Author(name="Bo"), text="t", html="<p>t</p>", url="https://x.com/bo/1")
        html = (
            '<p><a href="https://x.com/hashtag/a">#a</a> <a href="https://x.com/ann">@ann</a> '
            '<a href="https://x.com/bo/1">x.com/bo/1</a> <a href="mailto:a@b.example">mail</a></p>'
        )
        self.assertEqual(links(post(1, "x", html=html, quote=quote)), {})

    def test_addresses_that_are_none_are_left_out(self) -> None:
        for address in ("javascript:alert(1)", "https://", "http://[::1", "ftp://example.org/"):
            self.assertIsNone(cleaned(address))
        self.assertEqual(cleaned("https://example.org"), "https://example.org/")


class PassedTests(SynchronousTestCase):
    def test_quotes_answers_and_shares_of_one_post_are_added_up(self) -> None:
        original = post(1, "the seams", by="ann", url="https://x.com/ann/1", shared_by=Author(name="Di"))
        quote = Quote(
            author=Author(name="Ann", handle="ann"), text="the seams", html="", url="https://x.com/ann/1"
        )
        found = counted(
            original,
            post(2, "yes", quote=quote),
            post(3, "no", quote=quote),
            post(4, "why?", reply_to="push:1"),
            post(5, "because", reply_to="push:999"),
        )
        self.assertEqual((found.shares, found.sharers, found.quotes, found.replies), (1, 1, 2, 2))
        (first,) = found.passed
        self.assertEqual((first.quotes, first.replies, first.shared, first.text), (2, 1, True, "the seams"))
        self.assertEqual(first.item, "push:1")


class PhotoTests(SynchronousTestCase):
    def photo(self, number: int, by: str, **other: object) -> object:
        media = (Media(type="photo", url=f"https://p.example/{number}.jpg", alt=f"photo {number}"),)
        return post(number, "", by=by, media=media, at=number, **other)

    def test_everybodys_first_comes_before_anybodys_second(self) -> None:
        items = [self.photo(n, "ann") for n in range(30)] + [self.photo(30 + n, f"b{n}") for n in range(11)]
        found = counted(*items)
        self.assertEqual(found.photos, 41)
        self.assertEqual(len(found.pictures), 12)
        self.assertEqual(len({picture.author for picture in found.pictures}), 12)

    def test_what_is_behind_a_warning_is_only_counted(self) -> None:
        found = counted(self.photo(1, "ann", sensitive=True))
        self.assertEqual((found.photos, found.pictures), (1, ()))


class MemoryTests(SynchronousTestCase):
    def test_memory_does_not_grow_with_the_stream(self) -> None:
        rng = random.Random(11)

        def stream(count: int, first: int) -> None:
            for n in range(first, first + count):
                words = " ".join(f"w{rng.randrange(10**6)}" for _ in range(12))
                html = f'<p><a href="https://example.org/{n}">page {n}</a></p>'
                tally.add(post(n, f"{words} #t{n}", html=html, at=rng.random() * 60, url=f"https://x.com/{n}"))

        tally = Tally(HOUR)
        tracemalloc.start()
        try:
            stream(10_000, 0)
            filled, _ = tracemalloc.get_traced_memory()
            stream(10_000, 10_000)
            later, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        self.assertLess(later, filled * 1.25)
        self.assertLess(later, 80_000_000)
        self.assertEqual(tally.report().posts, 20_000)
