"""Which addresses may stand in a page."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from afeed.web.links import image_url, language, page_url

ALLOWED = [
    "https://x.com/ann/status/1",
    "HTTP://example.com",
    "http://example.com:8080/a?b=c#d",
    "https://пример.example/страница",
    "/static/demo/stage.svg",
]

REFUSED = [
    "",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    " javascript:alert(1)",
    "java\nscript:alert(1)",
    "\x01javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:x",
    "file:///etc/passwd",
    "ftp://example.com/",
    "mailto:ann@example.com",
    "//evil.example/x",
    "/\\evil.example/x",
    "\\\\evil.example",
    "https:evil.example",
    "https:///evil.example",
    "https://evil.example\\@good.example/",
    "https://evil.example/a b",
    "https://evil.example/\x00",
    "/a\tb",
    "relative/path",
]


class PageUrlTests(SynchronousTestCase):
    def test_http_https_and_paths_on_this_server_are_allowed(self) -> None:
        for url in ALLOWED:
            self.assertEqual(page_url(url), url)

    def test_everything_else_is_refused(self) -> None:
        for url in REFUSED:
            self.assertIsNone(page_url(url), url)

    def test_no_address_is_none(self) -> None:
        self.assertIsNone(page_url(None))


class ImageUrlTests(SynchronousTestCase):
    def test_images_are_asked_for_over_tls(self) -> None:
        self.assertEqual(image_url("http://pics.example/1.jpg"), "https://pics.example/1.jpg")

    def test_images_of_a_simulator_on_this_machine_are_not(self) -> None:
        self.assertEqual(image_url("http://127.0.0.1:8090/1.jpg"), "http://127.0.0.1:8090/1.jpg")
        self.assertEqual(image_url("http://127.0.0.1.evil.example/"), "https://127.0.0.1.evil.example/")

    def test_images_of_this_server_stay_as_they_are(self) -> None:
        self.assertEqual(image_url("/static/demo/stage.svg"), "/static/demo/stage.svg")

    def test_what_is_no_link_is_no_image(self) -> None:
        for url in REFUSED:
            self.assertIsNone(image_url(url), url)


class LanguageTests(SynchronousTestCase):
    def test_languages_are_kept(self) -> None:
        for tag in ("en", "de-CH", "zh-Hant-TW", "fil"):
            self.assertEqual(language(tag), tag)

    def test_what_is_no_language_is_dropped(self) -> None:
        for tag in (None, "", "und", "zxx", "qme", "QHT", "e", "en us", 'en" onclick="x', "-"):
            self.assertIsNone(language(tag), tag)
