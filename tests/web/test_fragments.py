"""Items as HTML."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.item import Author, Item, Media, Quote
from afeed.core.normalise.text import sanitise
from afeed.web.fragments import Fragments
from tests.web.markup import Elements
from tests.web.samples import make_item


def render(item: Item) -> Elements:
    return Elements(Fragments().render(item))


class PostTests(SynchronousTestCase):
    def test_the_root_is_named_after_the_item(self) -> None:
        tag, attributes = render(make_item(7)).found[0]
        self.assertEqual((tag, attributes["id"]), ("article", "item-push:7"))

    def test_there_is_one_root(self) -> None:
        html = Fragments().render(make_item())
        self.assertTrue(html.startswith("<article "))
        self.assertTrue(html.endswith("</article>"))
        self.assertEqual(html.count("<article"), 1)

    def test_the_time_is_exact_for_programs_and_local_to_the_event_for_people(self) -> None:
        html = Fragments(ZoneInfo("America/Los_Angeles")).render(make_item())
        self.assertIn('<time datetime="2026-11-22T11:59:00Z">2026-11-22 03:59</time>', html)

    def test_a_time_that_is_none_is_shown_as_it_is(self) -> None:
        self.assertIn(">yesterday</time>", Fragments().render(make_item(created_at="yesterday")))

    def test_a_time_that_does_not_exist_at_the_event_is_shown_as_it_is(self) -> None:
        for moment in ("9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"):
            for zone in ("Asia/Tokyo", "America/Los_Angeles"):
                fragment = Fragments(ZoneInfo(zone)).render(make_item(created_at=moment))
                self.assertIn(moment[:4], fragment)

    def test_an_item_that_cannot_be_rendered_still_shows_its_text(self) -> None:
        fragments = Fragments()
        fragments._kept = lambda item: 1 / 0  # type: ignore[assignment,return-value]
        fragment = fragments.render(make_item(text="<b>hello</b>"))
        self.assertIn('id="item-push:', fragment)
        self.assertIn("&lt;b&gt;hello", fragment)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_the_text_knows_its_language_and_finds_its_direction(self) -> None:
        (_, body), *_ = render(make_item(lang="he")).classed("body")
        self.assertEqual((body["lang"], body["dir"]), ("he", "auto"))

    def test_an_unknown_language_is_not_claimed(self) -> None:
        (_, body), *_ = render(make_item(lang="und")).classed("body")
        self.assertNotIn("lang", body)

    def test_the_same_item_gives_the_same_fragment(self) -> None:
        self.assertEqual(Fragments().render(make_item()), Fragments().render(make_item()))

    def test_an_edited_item_gives_another(self) -> None:
        fragments = Fragments()
        before = fragments.render(make_item())
        self.assertNotEqual(before, fragments.render(make_item(html="<p>other</p>")))

    def test_where_there_is_no_avatar_an_initial_stands(self) -> None:
        for name, initial in [("ann", "A"), ("🎉 Ömer", "Ö"), ("🎉", "🎉"), ("  ", "?")]:
            html = Fragments().render(make_item(author=Author(name=name)))
            self.assertIn(f'aria-hidden="true">{initial}</span>', html)

    def test_an_avatar_has_its_size_before_it_arrives(self) -> None:
        author = Author(name="Ann", avatar="https://pics.example/ann.jpg")
        (image,) = render(make_item(author=author)).named("img")
        self.assertEqual(
            (image["width"], image["height"], image["loading"], image["alt"]), ("44", "44", "lazy", "")
        )

    def test_marks_of_replies_and_reposts_hold_no_words(self) -> None:
        found = render(make_item(reply_to="x:1", shared_by=Author(name="Bea")))
        self.assertEqual(len(found.classed("mark")), 2)
        self.assertIn("Bea", found.text)
        self.assertNotIn("eply", found.text)

    def test_a_quoted_post_stands_within(self) -> None:
        quote = Quote(author=Author(name="Cy"), text="q", html="<p>q</p>", url="https://x.com/cy/status/1")
        found = render(make_item(quote=quote))
        self.assertEqual(found.named("blockquote")[0]["cite"], "https://x.com/cy/status/1")
        self.assertIn("Cy", found.text)

    def test_sensitive_content_is_behind_a_click(self) -> None:
        html = Fragments().render(
            make_item(sensitive=True, media=(Media(type="photo", url="https://a.example/1.jpg"),))
        )
        inside = html[html.index("<details") : html.index("</details>")]
        self.assertIn("post 1", inside)
        self.assertIn("1.jpg", inside)


class MediaTests(SynchronousTestCase):
    def photo(self, **values: object) -> Elements:
        media = Media(**{"type": "photo", "url": "https://pics.example/1.jpg", **values})
        return render(make_item(media=(media,)))

    def test_a_photo_keeps_its_place_before_it_arrives(self) -> None:
        (image,) = self.photo(width=1200, height=800, alt="the stage").named("img")
        self.assertEqual(
            (image["width"], image["height"], image["alt"], image["loading"]),
            ("1200", "800", "the stage", "lazy"),
        )

    def test_a_size_that_is_none_is_not_claimed(self) -> None:
        for width, height in [(None, None), (0, 800), (1200, None), (-1, -1)]:
            (image,) = self.photo(width=width, height=height).named("img")
            self.assertNotIn("width", image)

    def test_a_photo_without_description_is_named_after_its_author(self) -> None:
        self.assertEqual(self.photo().named("img")[0]["alt"], "Ann")

    def test_the_smaller_rendition_is_shown_and_the_larger_linked(self) -> None:
        found = self.photo(thumb_url="https://pics.example/1_s.jpg")
        self.assertEqual(found.named("img")[0]["src"], "https://pics.example/1_s.jpg")
        self.assertIn("https://pics.example/1.jpg", [link["href"] for link in found.named("a")])

    def test_the_licence_is_shown_with_the_owner(self) -> None:
        self.assertIn("Dee · CC BY 4.0", self.photo(owner="Dee", licence="CC BY 4.0").text)

    def test_a_video_is_a_preview_that_leads_to_the_post(self) -> None:
        media = Media(type="video", url="https://v.example/1.mp4", thumb_url="https://v.example/1.jpg")
        found = render(make_item(media=(media,), url="https://x.com/ann/status/1"))
        self.assertEqual(found.named("video"), [])
        ((tag, link),) = found.classed("video")
        self.assertEqual((tag, link["href"]), ("a", "https://x.com/ann/status/1"))
        self.assertEqual(found.named("img")[0]["src"], "https://v.example/1.jpg")

    def test_a_video_without_preview_never_loads_the_film_as_an_image(self) -> None:
        found = render(make_item(media=(Media(type="video", url="https://v.example/1.mp4"),)))
        self.assertEqual(found.named("img"), [])


HOSTILE = [
    "<script>alert(1)</script>",
    '"><script>alert(1)</script>',
    "'\"><img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "</article></div></section><script>alert(1)</script>",
    "{{ 7 * 7 }}{% raw %}",
    "\u202egnp.exe\u202c",
    "<!--><script>alert(1)</script>",
    "javascript:alert(1)",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
]


class HostileTests(SynchronousTestCase):
    """Every member that an author controls, with markup in it."""

    def hostile(self, text: str) -> Item:
        html = sanitise(text)
        author = Author(name=text, handle=text, url=text, avatar=text)
        media = [
            Media(type=kind, url=text, thumb_url=text, alt=text, owner=text, licence=text)
            for kind in ("photo", "video", "gif")
        ]
        return Item(
            id=f"push:{text}",
            source=text,
            author=author,
            text=text,
            html=html,
            created_at=text,
            url=text,
            lang=text,
            media=tuple(media),
            reply_to=text,
            shared_by=author,
            quote=Quote(author=author, text=text, html=html, url=text),
        )

    def test_nothing_in_it_could_run(self) -> None:
        for text in HOSTILE:
            self.assertEqual(render(self.hostile(text)).dangers(), [], text)

    def test_the_same_behind_a_warning(self) -> None:
        for text in HOSTILE:
            html = sanitise(text)
            self.assertEqual(render(make_item(sensitive=True, html=html)).dangers(), [], text)

    def test_names_are_shown_as_they_were_written(self) -> None:
        for text in HOSTILE:
            self.assertIn(text.strip(), render(make_item(author=Author(name=text))).text)

    def test_the_fragment_stays_one_element(self) -> None:
        for text in HOSTILE:
            html = Fragments().render(self.hostile(text))
            self.assertEqual(html.count("</article>"), 1, text)

    def test_the_test_would_notice(self) -> None:
        for html in ("<p onclick=x>", "<a href=javascript:x>", "<script>x</script>", "<p style=x>"):
            self.assertEqual(len(render(make_item(html=html)).dangers()), 1, html)


class KeptPictureTests(SynchronousTestCase):
    """An event that keeps its pictures shows none from anywhere else."""

    def item(self) -> Item:
        return make_item(
            author=Author(name="Ann", avatar="https://pics.example/ann.jpg"),
            media=(
                Media(type="photo", url="https://pics.example/1.jpg", thumb_url="https://pics.example/1s.jpg"),
                Media(type="video", url="https://films.example/1.mp4", thumb_url="https://films.example/1.jpg"),
            ),
            url="https://x.example/ann/1",
        )

    def test_pictures_are_shown_from_here_and_what_is_elsewhere_is_only_linked_to(self) -> None:
        html = Fragments(keeps_media=True).render(self.item())
        self.assertNotIn("pics.example", html)
        self.assertNotIn("films.example", html)
        self.assertEqual(html.count('src="/media/by/'), 3)
        self.assertEqual(html.count('href="/media/by/'), 1)
        self.assertIn('href="https://x.example/ann/1"', html)

    def test_the_same_before_and_after_they_have_been_fetched(self) -> None:
        self.assertEqual(
            Fragments(keeps_media=True).render(self.item()), Fragments(keeps_media=True).render(self.item())
        )

    def test_otherwise_they_are_shown_from_where_they_are(self) -> None:
        html = Fragments().render(self.item())
        self.assertIn('src="https://pics.example/1s.jpg"', html)
        self.assertNotIn("/media/", html)

    def test_what_was_rendered_can_be_forgotten(self) -> None:
        fragments = Fragments()
        before = fragments.render(self.item())
        fragments.clear()
        again = fragments.render(self.item())
        self.assertEqual(again, before)
        self.assertIsNot(again, before)
