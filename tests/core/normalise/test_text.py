"""Entities and plain text become safe HTML."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.normalise.characters import (
    _DIRECTIONS,
    _EMBEDDINGS,
    _INVISIBLE_RUN,
    _ISOLATES,
    _JOINER,
    _LINE_END,
    _MARK_RUN,
    _RESTLESS,
    _SPACE,
    _TAG_RUN,
    _UNSTORABLE,
    _is_calm,
    calm,
    label,
    scrub,
)
from afeed.core.normalise.text import (
    _CLEAN,
    Network,
    Span,
    _cleaned,
    html_to_text,
    mixed_to_html,
    plain_to_html,
    render,
    sanitise,
    shortened,
    unescape_x,
)
from afeed.core.normalise.urls import link_url, media_url, web_url

REL = 'rel="nofollow noopener noreferrer ugc"'


class RenderTests(SynchronousTestCase):
    def test_text_is_cut_before_it_is_unescaped(self) -> None:
        raw = "A &amp; B &lt;3 #aea"
        markup = render(raw, [Span(16, 20, "https://x.com/hashtag/aea")], unescape_x)
        self.assertEqual(markup.text, "A & B <3 #aea")
        self.assertEqual(
            markup.html, f'<p>A &amp; B &lt;3 <a href="https://x.com/hashtag/aea" {REL}>#aea</a></p>'
        )

    def test_only_what_x_escapes_is_unescaped(self) -> None:
        self.assertEqual(
            unescape_x("&amp;quot; &lt;b&gt; &amp;amp; &quot;"), '&quot; <b> &amp; "'.replace('"', "&quot;")
        )

    def test_offsets_count_code_points(self) -> None:
        raw = "👩‍🚀🎉 #aea"
        start = raw.index("#")
        self.assertIn(">#aea</a>", render(raw, [Span(start, start + 4, "https://x.com/hashtag/aea")]).html)

    def test_overlapping_and_impossible_spans_are_skipped(self) -> None:
        raw = "0123456789"
        spans = [
            Span(2, 5, "https://a.example/"),
            Span(4, 6, "https://b.example/"),
            Span(-3, 1, "https://c.example/"),
            Span(8, 99, "https://d.example/"),
            Span(7, 7, "https://e.example/"),
            Span(9, 3, "https://f.example/"),
        ]
        markup = render(raw, spans)
        self.assertEqual(markup.text, raw)
        self.assertEqual(markup.html, f'<p>01<a href="https://a.example/" {REL}>234</a>56789</p>')

    def test_lines_become_breaks_and_blank_lines_paragraphs(self) -> None:
        markup = render("one\r\ntwo\rthree\u2028four\n \n\n\nfive\n", [])
        self.assertEqual(markup.text, "one\ntwo\nthree\nfour\n \n\n\nfive")
        self.assertEqual(markup.html, "<p>one<br>two<br>three<br>four</p><p>five</p>")

    def test_nothing_becomes_nothing(self) -> None:
        self.assertEqual(render(" \n ", []).html, "")

    def test_a_target_that_is_no_web_page_stays_text(self) -> None:
        for href in ("javascript:alert(1)", "data:text/html,x", "vbscript:x", "//evil.example", "/admin", None):
            with self.subTest(href=href):
                self.assertEqual(render("go", [Span(0, 2, href)]).html, "<p>go</p>")

    def test_quotes_cannot_leave_an_attribute(self) -> None:
        html = render("go", [Span(0, 2, 'https://example.org/"onmouseover="x')]).html
        self.assertEqual(html, f'<p><a href="https://example.org/%22onmouseover=%22x" {REL}>go</a></p>')


class SpellingTests(SynchronousTestCase):
    """What is put together here is spelt as the sanitiser spells it, which therefore need not look at it."""

    #: Pieces of texts and of addresses, harmless and not.
    PIECES = (
        *(
            "a",
            " ",
            "\n",
            "\n\n",
            "\t",
            "&",
            "<",
            ">",
            '"',
            "'",
            "&amp;",
            "&nbsp;",
            "\xa0",
            "\x00",
            "\x7f",
            "\x85",
        ),
        *(
            "\u0301" * 9,
            "\u200b" * 3,
            "\u202e",
            "\u2066",
            "\u2069",
            "\ufeff",
            "\ufffe",
            "日本",
            "👩\u200d🚀",
            "\ud800",
        ),
        *(
            "<p>",
            "</p>",
            "<br>",
            "<script>",
            "<a href=x>",
            "</a>",
            "<!--",
            "-->",
            "]]>",
            "&#x3c;",
            "#tag",
            "@ann",
        ),
    )
    ADDRESSES = (
        *("https://example.org", "http://EXAMPLE.org/a?b=c&d='e'#f", "https://a-b.example.com:8080/%22/(x)"),
        *("https://xn--a.example/", "https://1.2.3.4/", "https://a--b.example/", "https://-a.example/"),
        *(
            "https://bücher.example/ü?ü",
            "mailto:a@example.org",
            "javascript:alert(1)",
            "/relative",
            "https://a.b.c.d.1/",
        ),
        *(
            "https://example.org/\u202e",
            "https://example.org/<b>",
            'https://example.org/"x',
            "https://example.org:0/",
        ),
    )

    def test_whatever_a_text_becomes_stays_as_it_is_when_it_is_cleaned(self) -> None:
        rng = Random(1)
        taken = 0
        for _ in range(3000):
            raw = "".join(rng.choices(self.PIECES, k=rng.randrange(1, 12)))
            cuts = sorted(rng.sample(range(len(raw) + 1), k=min(len(raw) + 1, 4)))
            spans = [
                Span(
                    start, end, rng.choice(self.ADDRESSES), None, rng.choice((None, "shown", "<i>", "\u2066x"))
                )
                for start, end in zip(cuts[::2], cuts[1::2], strict=False)
            ]
            html = render(raw, spans).html
            # Once by itself: `sanitise` would not clean what it recognises.
            self.assertEqual(_cleaned(html), html, (raw, spans))
            taken += _CLEAN.fullmatch(html) is not None
        self.assertGreater(taken, 500)

    def test_only_what_is_spelt_so_is_passed_as_it_is(self) -> None:
        link = f'<a href="https://example.org/" {REL}>x</a>'
        self.assertIsNotNone(_CLEAN.fullmatch(f"<p>a &amp; b<br>{link}</p><p>c</p>"))
        for html in (
            "a",
            "<P>a</P>",
            "<p>a</p>b",
            "<p>a & b</p>",
            "<p>a &AMP; b</p>",
            "<p>a\xa0b</p>",
            "<p>a\rb</p>",
            "<p><i>a</i></p>",
            "<p><a href='https://example.org/'>a</a></p>",
            f'<p><a href="https://example.org/">{link}</a></p>',
            f'<p><a href="javascript:x" {REL}>a</a></p>',
            f'<p><a href="https://example.org/" {REL} onclick="x">a</a></p>',
            f'<p><a href="https://example.org/"x" {REL}>a</a></p>',
            f'<p><a href="https://user@example.org/" {REL}>a</a></p>',
            f'<p><a href="https://xn--a.example/" {REL}>a</a></p>',
        ):
            with self.subTest(html=html):
                self.assertIsNone(_CLEAN.fullmatch(html))

    def test_no_printable_character_is_replaced(self) -> None:
        """The quick way round the replacements leaves nothing out."""
        printable = "".join(filter(str.isprintable, map(chr, range(0x110000))))
        self.assertEqual(_UNSTORABLE.findall(printable) + _LINE_END.findall(printable), [])
        self.assertEqual(set(_SPACE.findall(printable)), {" "})
        self.assertEqual(_DIRECTIONS.findall(printable), [])
        self.assertEqual(_RESTLESS.findall(printable), [_JOINER])

    def test_what_is_taken_for_calm_stays_as_it_is(self) -> None:
        rng = Random(2)
        pieces = (*self.PIECES, "\u0301" * 8, "\u0301", _JOINER * 2, _JOINER * 3, "\u200b", "\U000e0041" * 9)
        verdicts = set()
        for _ in range(3000):
            text = "".join(rng.choices(pieces, k=rng.randrange(1, 5)))
            changed = text
            for run in (_MARK_RUN, _INVISIBLE_RUN, _TAG_RUN):
                changed = run.sub(r"\1", changed)
            changed = _EMBEDDINGS.sub("", changed)
            verdicts.add(_is_calm(text))
            if _is_calm(text):
                self.assertEqual(changed, text)
                self.assertIsNone(_ISOLATES.search(text))
        self.assertEqual(verdicts, {True, False})


class PlainTests(SynchronousTestCase):
    def test_urls_become_links_with_short_names(self) -> None:
        html = plain_to_html("see www.example.org/a/very/long/path/that/nobody/reads")
        self.assertEqual(
            html,
            '<p>see <a href="https://www.example.org/a/very/long/path/that/nobody/reads" '
            f"{REL}>www.example.org/a/very/long/pat…</a></p>",
        )

    def test_markup_in_plain_text_is_shown_as_typed(self) -> None:
        self.assertEqual(
            plain_to_html("<script>x</script> & <b>"), "<p>&lt;script&gt;x&lt;/script&gt; &amp; &lt;b&gt;</p>"
        )

    def test_hashtags_and_mentions_lead_where_the_network_says(self) -> None:
        network = Network(hashtag="https://n.example/t/{}".format, mention="https://n.example/u/{}".format)
        html = plain_to_html("@ann #aea", network)
        self.assertEqual(
            html,
            f'<p><a href="https://n.example/u/ann" {REL}>@ann</a> '
            f'<a href="https://n.example/t/aea" {REL}>#aea</a></p>',
        )

    def test_without_a_network_hashtags_and_mentions_stay_text(self) -> None:
        self.assertEqual(plain_to_html("@ann #aea"), "<p>@ann #aea</p>")

    def test_urls_are_shortened_for_reading(self) -> None:
        self.assertEqual(shortened("https://www.example.org/"), "example.org")
        self.assertEqual(shortened("http://example.org/" + "a" * 40), "example.org/" + "a" * 19 + "…")


class SanitiseTests(SynchronousTestCase):
    def test_allowed_markup_stays_and_other_markup_loses_its_tags(self) -> None:
        self.assertEqual(
            sanitise('<p class="x">a<br/><span style="x">b</span> <em>c</em></p>'),
            "<p>a<br><span>b</span> c</p>",
        )

    def test_no_attribute_but_the_target_of_a_link_stays(self) -> None:
        self.assertEqual(
            sanitise('<p lang="en" title="hidden"><a href="https://e.org/" title="t" lang="en">x</a></p>'),
            f'<p><a href="https://e.org/" {REL}>x</a></p>',
        )

    def test_links_into_this_site_are_dropped(self) -> None:
        for href in ("/admin", "admin", "?x", "#y", "//evil.example/", "\\\\evil.example"):
            with self.subTest(href=href):
                self.assertEqual(sanitise(f'<a href="{href}">x</a>'), f"<a {REL}>x</a>")

    def test_direction_controls_cannot_hide_in_references_or_in_what_is_taken_away(self) -> None:
        self.assertEqual(sanitise("&#x202e;abc"), "abc")
        self.assertEqual(sanitise("\u2066abc<script>\u2069</script>"), "\u2066abc\u2069")
        self.assertEqual(sanitise("&#x2066;abc"), "\u2066abc\u2069")

    def test_what_was_sanitised_stays_the_same(self) -> None:
        for given in (
            '<p>a & b <a href="http://e.org/?a=1&b=2">x</a>\u202e',
            "<p>a<button><p>b</button>c",  # within a button a paragraph does not end the one around it
            "<p>a<table><tr><td><p>b</table>",
            "<a href=http://e.org/>a<object><a href=http://e.org/>b",
            "<p>" * 50 + "<button><p>" * 50,
        ):
            once = sanitise(given)
            self.assertEqual(sanitise(once), once, given)

    def test_words_of_html_keep_their_lines(self) -> None:
        self.assertEqual(html_to_text("<p>a &amp; <b>b</b></p><p>c<br>d</p><script>x</script>"), "a & b\nc\nd")

    def test_words_that_cannot_be_encoded_are_mended(self) -> None:
        self.assertEqual(html_to_text("<b>a\ud800</b>\0"), "a\ufffd\ufffd")

    def test_descriptions_with_line_ends_become_paragraphs(self) -> None:
        self.assertEqual(mixed_to_html("a\n\n<b>b</b>\nc"), "<p>a</p><p>b<br>c</p>")
        self.assertEqual(mixed_to_html("<p>a</p>"), "<p>a</p>")


class CharacterTests(SynchronousTestCase):
    def test_overrides_are_removed_and_isolates_closed_on_a_page(self) -> None:
        self.assertEqual(calm("a\u202eb\u2067c\n\u2069d"), "ab\u2067c\u2069\nd")

    def test_marks_that_right_to_left_writers_need_stay(self) -> None:
        text = "שלום\u200f, \u2067עולם\u2069 می\u200cخواهم"
        self.assertEqual(calm(text), text)

    def test_emoji_sequences_and_scripts_with_many_marks_stay(self) -> None:
        for text in ("👩🏽‍❤️‍💋‍👨🏿", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "हिन्दी", "བསྒྲུབས", "ก็่", "1️⃣"):
            with self.subTest(text=text):
                self.assertEqual(calm(text), text)

    def test_piles_of_marks_and_of_invisible_characters_are_capped(self) -> None:
        self.assertEqual(calm("a" + "\u0301" * 500 + "b"), "a" + "\u0301" * 8 + "b")
        self.assertEqual(calm("a" + "\u200b" * 500 + "b"), "a\u200b\u200bb")
        self.assertEqual(calm("a" + "\U000e0041" * 500 + "b"), "a" + "\U000e0041" * 8 + "b")

    def test_scrubbing_keeps_the_length(self) -> None:
        self.assertEqual(scrub("a\0b\ud800c\x1bd\te\n"), "a\ufffdb\ufffdc\ufffdd\te\n")

    def test_labels_are_one_harmless_line(self) -> None:
        self.assertEqual(label(" A\nnn\u202e \t B ", 20), "A nn B")
        self.assertEqual(label("abcdef", 4), "abc…")


class UrlTests(SynchronousTestCase):
    def test_web_addresses_are_let_through(self) -> None:
        for url in (
            "https://example.org",
            "HTTP://example.org:8080/a?b#c",
            "https://例え.jp/ü",
            "https://[2001:db8::1]/",
        ):
            with self.subTest(url=url):
                self.assertEqual(web_url(url), url)

    def test_everything_else_is_not(self) -> None:
        for url in (
            "javascript:alert(1)",
            "java\nscript:alert(1)",
            "data:text/html,x",
            "ftp://example.org",
            "https://",
            "https:///x",
            "https://good.example\\@evil.example",
            "https://ann@evil.example/",
            "https://example.org:99999/",
            "https://exa mple.org",
            "https://example.org/\0",
            "//example.org/",
            "https://example.org/" + "a" * 3000,
            None,
            7,
        ):
            with self.subTest(url=url):
                self.assertIsNone(web_url(url))

    def test_only_links_may_write_mail(self) -> None:
        self.assertEqual(link_url("mailto:ann@example.org"), "mailto:ann@example.org")
        self.assertIsNone(web_url("mailto:ann@example.org"))

    def test_pictures_do_not_come_from_inside_somebodys_network(self) -> None:
        for host in (
            "169.254.169.254",
            "10.0.0.1",
            "192.168.1.1",
            "2852039166",
            "0xa9fea9fe",
            "0251.0376.0251.0376",
            "[fe80::1]",
            "[::ffff:169.254.169.254]",
            "0.0.0.0",
            "169.254.169.254.",
        ):
            with self.subTest(host=host):
                self.assertIsNone(media_url(f"http://{host}/x.jpg"))

    def test_pictures_may_come_from_the_web_and_from_a_rehearsal_on_this_machine(self) -> None:
        for host in ("pbs.twimg.com", "93.184.216.34", "127.0.0.1:8090", "localhost:8090"):
            with self.subTest(host=host):
                self.assertEqual(media_url(f"http://{host}/x.jpg"), f"http://{host}/x.jpg")
