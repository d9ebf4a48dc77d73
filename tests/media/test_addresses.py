"""Which pictures an item has."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.item import Author, Media, Quote
from afeed.media.addresses import BY_KEY, kept_url, media_key, pictures, upstream
from tests.web.samples import make_item

AVATAR = "https://pics.example/ann.jpg"


class PictureTests(SynchronousTestCase):
    def test_author_and_photos_small_and_large_are_wanted_once_each(self) -> None:
        item = make_item(
            1,
            author=Author(name="Ann", avatar=AVATAR),
            media=(
                Media(type="photo", url="https://pics.example/1.jpg", thumb_url="https://pics.example/1s.jpg"),
                Media(type="photo", url="https://pics.example/2.jpg"),
                Media(type="photo", url="https://pics.example/2.jpg", thumb_url=AVATAR),
            ),
        )
        wanted = (
            AVATAR,
            "https://pics.example/1s.jpg",
            "https://pics.example/1.jpg",
            "https://pics.example/2.jpg",
        )
        self.assertEqual(pictures(item), wanted)

    def test_of_a_film_the_still_is_wanted_and_not_the_film(self) -> None:
        film = Media(type="video", url="https://films.example/1.mp4", thumb_url="https://films.example/1.jpg")
        item = make_item(1, author=Author(name="Ann"), media=(film,))
        self.assertEqual(pictures(item), ("https://films.example/1.jpg",))

    def test_what_no_page_shows_is_not_wanted(self) -> None:
        item = make_item(
            1,
            author=Author(name="Ann", avatar="javascript:alert(1)"),
            shared_by=Author(name="Bob", avatar="https://pics.example/bob.jpg"),
            quote=Quote(author=Author(name="Cy", avatar="https://pics.example/cy.jpg"), text="", html=""),
            media=(Media(type="photo", url="/static/demo/stage.svg"),),
        )
        self.assertEqual(pictures(item), ())

    def test_the_address_of_ours_says_nothing_of_the_one_upstream_and_files_of_ours_stay(self) -> None:
        self.assertEqual(kept_url(AVATAR), BY_KEY + media_key(AVATAR).hex())
        self.assertEqual(kept_url("/static/demo/stage.svg"), "/static/demo/stage.svg")
        for nothing in (None, "", "data:image/png;base64,AAAA", "ftp://pics.example/1.jpg"):
            self.assertIsNone(kept_url(nothing))

    def test_what_says_http_is_fetched_and_known_over_tls_as_pages_show_it(self) -> None:
        self.assertEqual(upstream("http://pics.example/a.jpg"), "https://pics.example/a.jpg")
        self.assertEqual(kept_url("http://pics.example/a.jpg"), kept_url("https://pics.example/a.jpg"))
