"""Items that other programs publish."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.draft import Posted
from afeed.core.errors import BadInput
from afeed.core.item import UNKNOWN_AUTHOR, Author, Media
from afeed.core.normalise.push import read_push
from tests.core.normalise.fixtures import item_of

NOW = "2026-11-21T17:00:05Z"


def push(value: Any, now: str = NOW) -> list[Posted]:
    return read_push(json.dumps(value).encode(), "application/json", now)


def item(**members: Any) -> Any:
    return item_of(push({"id": "1", "text": "Hello", **members}))


def version(value: Any, now: str = NOW) -> str:
    (draft,) = push(value, now)
    return draft.version


class FormTests(SynchronousTestCase):
    ONE, TWO = b'{"id":"1","text":"a"}', b'{"id":"2","text":"b"}'

    def ids(self, body: bytes, content_type: str) -> list[str]:
        return [draft.item.id for draft in read_push(body, content_type, NOW)]

    def test_one_item_an_array_or_one_a_line(self) -> None:
        for body, content_type, expected in (
            (self.ONE, "application/json", ["push:1"]),
            (self.ONE, "", ["push:1"]),
            (
                json.dumps(json.loads(self.ONE), indent=2).encode(),
                "application/json; charset=utf-8",
                ["push:1"],
            ),
            (b"\xef\xbb\xbf" + self.ONE, "application/json", ["push:1"]),
            (b"[" + self.ONE + b"," + self.TWO + b"]", "application/json", ["push:1", "push:2"]),
            (self.ONE + b"\n" + self.TWO + b"\n", "application/json", ["push:1", "push:2"]),
            (self.ONE + b"\r\n\r\n" + self.TWO, "application/x-ndjson", ["push:1", "push:2"]),
            (self.ONE, "Application/X-NDJSON;charset=UTF-8", ["push:1"]),
        ):
            with self.subTest(body=body):
                self.assertEqual(self.ids(body, content_type), expected)

    def test_what_is_not_items_is_refused_with_the_reason(self) -> None:
        for body, content_type, reason in (
            (b"", "application/json", "this is not JSON"),
            (b"[]", "application/json", "the request holds no item"),
            (b"", "application/x-ndjson", "the request holds no item"),
            (b"7", "application/json", "item 0: must be a JSON object"),
            (self.ONE + b"\n{", "application/x-ndjson", "item 1: this is not JSON"),
            (self.ONE + b"\n{", "application/json", "item 1: this is not JSON"),
            (b"[\n{]", "application/json", "this is not JSON"),
            (self.ONE, "application/json; charset=latin-1", "the request must be in UTF-8"),
            (
                b"[" + b",".join([self.ONE] * 501) + b"]",
                "",
                "the request holds 501 items: send at most 500 at once",
            ),
            (
                b"\n".join([self.ONE] * 501),
                "application/x-ndjson",
                "the request holds 501 items: send at most 500 at once",
            ),
        ):
            with self.subTest(reason=reason):
                error = self.assertRaises(BadInput, read_push, body, content_type, NOW)
                self.assertEqual(str(error), reason)

    def test_a_body_that_is_not_utf_8_is_refused_rather_than_recorded_with_replaced_letters(self) -> None:
        body = b'{"id":"1","text":"caf\xe9"}'
        for content_type in ("application/json", "application/x-ndjson", "application/json; charset=utf-8"):
            error = self.assertRaises(BadInput, read_push, body, content_type, NOW)
            self.assertEqual(str(error), "the request is not valid UTF-8: byte 21 is 0xe9")


class ItemTests(SynchronousTestCase):
    def test_id_and_text_suffice(self) -> None:
        found = item()
        self.assertEqual((found.id, found.source, found.kind), ("push:1", "push", "post"))
        self.assertEqual((found.text, found.html, found.author), ("Hello", "<p>Hello</p>", UNKNOWN_AUTHOR))
        self.assertEqual((found.created_at, found.url, found.media), (NOW, None, ()))

    def test_everything_else_is_taken_over(self) -> None:
        found = item(
            author={
                "name": "Ann",
                "handle": "ann",
                "url": "https://example.org/ann",
                "avatar": "https://example.org/a.png",
            },
            created_at="2026-11-21T10:00:05.5-08:00",
            url="https://example.org/1",
            lang="pt-BR",
            media=[
                "https://example.org/1.jpg",
                {
                    "type": "video",
                    "url": "https://example.org/2.mp4",
                    "thumb_url": "https://example.org/2.jpg",
                    "width": 640,
                    "height": 480,
                    "alt": "A stage",
                    "owner": "Bo",
                    "licence": "CC BY 4.0",
                },
            ],
            reply_to="0",
            sensitive=True,
            unheard_of=7,
        )
        self.assertEqual(
            found.author,
            Author(name="Ann", handle="ann", url="https://example.org/ann", avatar="https://example.org/a.png"),
        )
        self.assertEqual(
            (found.created_at, found.url, found.lang),
            ("2026-11-21T18:00:05Z", "https://example.org/1", "pt-BR"),
        )
        self.assertEqual((found.reply_to, found.sensitive), ("push:0", True))
        self.assertEqual(
            found.media,
            (
                Media(type="photo", url="https://example.org/1.jpg"),
                Media(
                    type="video",
                    url="https://example.org/2.mp4",
                    thumb_url="https://example.org/2.jpg",
                    width=640,
                    height=480,
                    alt="A stage",
                    owner="Bo",
                    licence="CC BY 4.0",
                ),
            ),
        )

    def test_an_author_may_be_a_name(self) -> None:
        self.assertEqual(item(author="Ann").author, Author(name="Ann"))

    def test_a_reply_may_be_to_an_item_of_another_source(self) -> None:
        self.assertEqual(item(reply_to="x:1900").reply_to, "x:1900")

    def test_html_is_sanitised_and_otherwise_made_from_the_text(self) -> None:
        self.assertEqual(item(html="<p>a<script>x</script><img src=x onerror=y></p>").html, "<p>a</p>")
        self.assertIn('<a href="https://example.org"', item(text="see https://example.org").html)

    def test_a_link_of_the_author_that_must_not_be_followed_costs_only_itself(self) -> None:
        bad = {"name": "Ann", "url": "javascript:alert(1)", "avatar": "http://10.0.0.1/a.png"}
        self.assertEqual(item(author=bad).author, Author(name="Ann"))

    def test_pictures_of_this_machine_are_accepted_for_rehearsals(self) -> None:
        for url in ("https://localhost/1.jpg", "http://127.0.0.1:9002/1.jpg"):
            self.assertEqual(item(media=[url]).media[0].url, url)

    def test_a_picture_needs_no_words(self) -> None:
        self.assertEqual(item(text="", media=["https://example.org/1.jpg"]).text, "")

    def test_ids_are_kept_to_the_letter(self) -> None:
        for given in ("007", "1_000", "12.50", "a b", "É", "x" * 200):
            self.assertEqual(item(id=given).id, f"push:{given}")

    def test_a_time_that_no_calendar_arithmetic_survives_is_refused_by_name(self) -> None:
        for given in (
            "0001-01-01T00:00:00Z",
            "0001-01-01T00:00:00+14:00",
            "1969-12-31T23:59:59Z",
            "2200-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "9999-12-31T23:59:59-14:00",
        ):
            error = self.assertRaises(BadInput, item, created_at=given)
            self.assertIn("item 0, created_at: must be", str(error))
        for given in ("1970-01-01T00:00:00Z", "2199-12-31T23:59:59Z"):
            self.assertEqual(item(created_at=given).created_at, given)


class VersionTests(SynchronousTestCase):
    def test_the_same_body_has_the_same_version_whenever_and_however_it_comes(self) -> None:
        first = version({"id": "1", "text": "a", "author": {"name": "Ann", "handle": "ann"}})
        self.assertRegex(first, r"\Ab[0-9a-f]{32}\Z")
        self.assertEqual(
            version(
                {"author": {"handle": "ann", "name": "Ann"}, "text": "a", "id": "1", "lang": None},
                "2027-01-01T00:00:00Z",
            ),
            first,
        )

    def test_another_body_has_another_version(self) -> None:
        first = version({"id": "1", "text": "a"})
        for other in (
            {"id": "1", "text": "b"},
            {"id": "1", "text": "a", "created_at": NOW},
            {"id": "1", "text": "a", "lang": "en"},
        ):
            self.assertNotEqual(version(other), first)


class RefusalTests(SynchronousTestCase):
    def test_the_item_and_the_member_are_named(self) -> None:
        for members, reason in (
            ({"id": None}, "item 1, id: must be a string of 1 to 200 characters"),
            ({"id": ""}, "item 1, id: must be a string of 1 to 200 characters"),
            ({"id": 7}, "item 1, id: must be a string"),
            ({"id": "x" * 201}, "item 1, id: is longer than 200 characters"),
            ({"id": "a\0"}, "item 1, id: must not contain control characters"),
            ({"text": None}, "item 1, text: is required"),
            ({"text": " "}, "item 1, text: must not be empty when there is no media"),
            ({"text": 7}, "item 1, text: must be a string"),
            ({"text": "x" * 20_001}, "item 1, text: is longer than 20000 characters"),
            ({"html": []}, "item 1, html: must be a string"),
            ({"author": 7}, "item 1, author: must be a name or an object with name, handle, url and avatar"),
            ({"author": {}}, "item 1, author.name: must not be empty"),
            (
                {"author": {"name": "x" * 201}},
                "item 1, author.name: must be a string of at most 200 characters",
            ),
            ({"author": {"name": "A", "url": 7}}, "item 1, author.url: must be a string"),
            (
                {"created_at": "yesterday"},
                "item 1, created_at: must be an RFC 3339 time with a zone, such as 2026-11-21T17:00:05Z,"
                " from 1970 to 2199",
            ),
            (
                {"created_at": "2026-11-21T17:00:05"},
                "item 1, created_at: must be an RFC 3339 time with a zone, such as 2026-11-21T17:00:05Z,"
                " from 1970 to 2199",
            ),
            ({"url": "javascript:x"}, "item 1, url: must be an http or https URL"),
            ({"lang": "english!"}, "item 1, lang: must be a language tag such as en or pt-BR"),
            ({"sensitive": "yes"}, "item 1, sensitive: must be true or false"),
            ({"reply_to": 7}, "item 1, reply_to: must be a string"),
            ({"media": {}}, "item 1, media: must be an array"),
            ({"media": ["https://e.org/1"] * 21}, "item 1, media: must not have more than 20 entries"),
            (
                {"media": [7]},
                "item 1, media[0]: must be a URL or an object with url and optionally type, thumb_url, ...",
            ),
            ({"media": [{"type": "photo"}]}, "item 1, media[0].url: is required"),
            ({"media": [{"type": "pdf"}]}, "item 1, media[0].type: must be photo, video or gif"),
            (
                {"media": [{"url": "http://169.254.169.254/"}]},
                "item 1, media[0].url: must be an http or https URL, not of an address in a private network",
            ),
            (
                {"media": [{"url": "https://e.org/1", "width": -1}]},
                "item 1, media[0].width: must be a number of pixels",
            ),
            ({"media": [{"url": "https://e.org/1", "alt": 7}]}, "item 1, media[0].alt: must be a string"),
        ):
            with self.subTest(members=members):
                bad = {"id": "2", "text": "b", **members}
                error = self.assertRaises(BadInput, push, [{"id": "1", "text": "a"}, bad])
                self.assertEqual(str(error), reason)

    def test_an_item_that_is_too_large_as_a_whole_is_refused(self) -> None:
        media = [{"url": "https://example.org/" + "a" * 2000, "alt": "ü" * 2000}] * 20
        error = self.assertRaises(BadInput, push, {"id": "1", "text": "a", "media": media})
        self.assertEqual(str(error), "item 0: is larger than 65536 bytes")
