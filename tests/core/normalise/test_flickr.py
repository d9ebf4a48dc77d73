"""Pages of Flickr's photo search."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.errors import BadInput
from afeed.core.item import Author, Media
from afeed.core.normalise.flickr import LICENCES, Failure, read_page
from tests.core.normalise.fixtures import item_of, photo, photos


def item(**members: Any) -> Any:
    return item_of(list(read_page(photos(photo(**members))).drafts))


def medium(**members: Any) -> Media:
    (found,) = item(**members).media
    assert isinstance(found, Media)
    return found


class PhotoTests(SynchronousTestCase):
    def test_a_photo_becomes_an_item(self) -> None:
        found = item()
        self.assertEqual((found.id, found.source, found.kind), ("flickr:52980000001", "flickr", "photo"))
        self.assertEqual(
            found.author,
            Author(
                name="Ann",
                handle="ann",
                url="https://www.flickr.com/people/ann/",
                avatar="https://live.staticflickr.com/7/buddyicons/12345678@N00.jpg",
            ),
        )
        self.assertEqual((found.text, found.html), ("Opening", "<p>Opening</p>"))
        self.assertEqual(found.created_at, "2026-11-21T17:00:05Z")
        self.assertEqual(found.url, "https://www.flickr.com/photos/ann/52980000001/")
        self.assertEqual(
            found.media,
            (
                Media(
                    type="photo",
                    url="https://live.staticflickr.com/65535/52980000001_ab12cd34ef.jpg",
                    thumb_url="https://live.staticflickr.com/65535/52980000001_ab12cd34ef.jpg",
                    width=500,
                    height=333,
                    alt="Opening",
                    owner="Ann",
                    licence="CC BY 2.0",
                    taken_at="2026-11-21T09:00:00",
                ),
            ),
        )

    def test_the_version_is_the_last_update_or_else_the_upload(self) -> None:
        for members, version in (
            ({}, "1795280500"),
            ({"lastupdate": 1795280501}, "1795280501"),
            ({"lastupdate": None}, "1795280405"),
            ({"lastupdate": "-1"}, "1795280405"),
        ):
            (draft,) = read_page(photos(photo(**members))).drafts
            self.assertEqual(draft.version, version)

    def test_numbers_may_be_strings_and_strings_numbers(self) -> None:
        wobbly = item(
            id=52980000001,
            dateupload=1795280405,
            license=4,
            iconserver=7,
            server=65535,
            datetakenunknown=0,
            datetakengranularity=0,
            height_m=333,
            width_m=500,
        )
        self.assertEqual(wobbly, item())

    def test_title_and_description_are_the_text(self) -> None:
        found = item(
            title={"_content": "Opening <1>"},
            description={
                "_content": 'By <a href="https://example.org/">me</a> &amp; you.'
                "\n\n<b>Hall 1</b><script>x</script>",
            },
        )
        self.assertEqual(found.text, "Opening <1>\n\nBy me & you.\n\nHall 1")
        self.assertEqual(
            found.html,
            '<p>Opening &lt;1&gt;</p><p>By <a href="https://example.org/" '
            'rel="nofollow noopener noreferrer ugc">me</a> &amp; you.</p><p>Hall 1</p>',
        )

    def test_of_a_very_long_description_an_excerpt_is_kept(self) -> None:
        found = item(description={"_content": "word " * 2000})
        self.assertLess(len(found.text), 1100)
        self.assertTrue(found.text.endswith("…"))
        self.assertTrue(found.html.endswith("…</p>"))

    def test_a_photo_without_words_is_an_item(self) -> None:
        found = item(title="", description={"_content": ""})
        self.assertEqual((found.text, found.html, found.media[0].alt), ("", "", None))

    def test_an_owner_without_names_is_called_by_id(self) -> None:
        found = item(ownername="", pathalias=None, iconserver=0)
        self.assertEqual(found.author.name, "12345678@N00")
        self.assertEqual(found.author.url, "https://www.flickr.com/people/12345678@N00/")
        self.assertEqual(found.author.avatar, "https://www.flickr.com/images/buddyicon.gif")
        self.assertEqual(found.url, "https://www.flickr.com/photos/12345678@N00/52980000001/")


class PictureTests(SynchronousTestCase):
    def test_the_largest_picture_is_shown_and_a_small_one_is_its_thumbnail(self) -> None:
        sizes: dict[str, Any] = {}
        for suffix, width, height in (
            ("sq", 75, 75),
            ("n", 320, 213),
            ("m", 500, 333),
            ("z", 640, 427),
            ("h", 1600, 1067),
        ):
            sizes |= {f"url_{suffix}": f"https://live.staticflickr.com/{suffix}.jpg"}
            sizes |= {f"width_{suffix}": str(width), f"height_{suffix}": height}
        found = medium(**sizes)
        self.assertEqual(
            (found.url, found.width, found.height), ("https://live.staticflickr.com/h.jpg", 1600, 1067)
        )
        self.assertEqual(found.thumb_url, "https://live.staticflickr.com/z.jpg")

    def test_without_urls_they_are_assembled(self) -> None:
        found = medium(url_m=None)
        self.assertEqual(found.url, "https://live.staticflickr.com/65535/52980000001_ab12cd34ef.jpg")
        self.assertEqual(found.thumb_url, "https://live.staticflickr.com/65535/52980000001_ab12cd34ef_m.jpg")
        self.assertEqual((found.width, found.height), (None, None))

    def test_licences_have_names(self) -> None:
        self.assertEqual(sorted(LICENCES), list(range(17)))
        for given, expected in (
            (0, "All rights reserved"),
            ("10", "Public Domain Mark 1.0"),
            (16, "CC BY-NC-ND 4.0"),
            (99, None),
            (None, None),
        ):
            self.assertEqual(medium(license=given).licence, expected)

    def test_dates_are_as_precise_as_the_photographer_knew(self) -> None:
        for members, expected in (
            ({"datetakenunknown": 1}, None),
            ({"datetakenunknown": "1"}, None),
            ({"datetakengranularity": "4"}, "2026-11"),
            ({"datetakengranularity": 6}, "2026"),
            ({"datetakengranularity": 8}, None),
            ({"datetaken": "0000-00-00"}, None),
            ({"datetaken": 7}, None),
            ({"datetaken": "9999-12-31 23:59:59"}, None),
            ({"datetaken": "0001-01-01 00:00:00"}, None),
            ({"datetaken": "2026-02-31 10:00:00"}, None),
            ({"datetaken": "2026-02-31 10:00:00", "datetakengranularity": 4}, "2026-02"),
            ({"datetaken": "0000-00-00 00:00:00", "datetakengranularity": 6}, None),
        ):
            with self.subTest(members=members):
                self.assertEqual(medium(**members).taken_at, expected)


class PageTests(SynchronousTestCase):
    def test_a_page_tells_what_it_holds(self) -> None:
        page = read_page(photos(photo(), photo(id="2", dateupload="1795280999"), pages=3, total="234"))
        self.assertEqual((page.page, page.pages, page.total, page.count), (1, 3, 234, 2))
        self.assertEqual(page.newest_upload, 1795280999)

    def test_an_empty_page(self) -> None:
        page = read_page(photos())
        self.assertEqual((page.drafts, page.count, page.newest_upload), ((), 0, None))

    def test_what_cannot_be_used_is_dropped_alone_with_a_reason(self) -> None:
        for entry, reason in (
            (photo(id="x/../y"), "malformed"),
            (photo(id=None), "malformed"),
            (photo(owner=""), "malformed"),
            (photo(owner='"><script>'), "malformed"),
            (photo(url_m=None, secret="../x"), "malformed"),
            (photo(url_m="javascript:x", secret=None), "malformed"),
            (photo(dateupload=None), "no-date"),
            (photo(dateupload="9" * 18), "no-date"),
            (photo(dateupload="253402300799"), "no-date"),
            (photo(dateupload="-62135596800"), "no-date"),
            ("odd", "malformed"),
            (None, "malformed"),
        ):
            with self.subTest(entry=entry):
                page = read_page(photos(entry, photo()))
                self.assertEqual((len(page.drafts), page.dropped, page.count), (1, (reason,), 2))

    def test_the_wrapper_of_the_javascript_form_is_taken_off(self) -> None:
        for wrapped in (
            b"jsonFlickrApi(" + photos(photo()) + b")",
            b" jsonFlickrApi(" + photos(photo()) + b");\n",
        ):
            self.assertEqual(len(read_page(wrapped).drafts), 1)

    def test_anything_else_is_refused(self) -> None:
        for body in (
            b"<html>502</html>",
            b"",
            b"[]",
            b'{"stat":"ok"}',
            b'{"photos":{"photo":{}}}',
            b'<rsp stat="ok"></rsp>',
        ):
            with self.subTest(body=body):
                self.assertRaises(BadInput, read_page, body)


class FailureTests(SynchronousTestCase):
    def failure(self, body: bytes) -> Failure:
        return self.assertRaises(Failure, read_page, body)

    def test_failures_are_named_and_told_whether_to_try_again(self) -> None:
        for code, message, retry in (
            (100, "Invalid API Key (Key has invalid format)", False),
            (3, "Parameterless searches have been disabled", False),
            (105, "Service currently unavailable", True),
            (10, "The Flickr search API is not currently available.", True),
            (201, "Sorry, the Flickr API service is not currently available.", True),
            (0, "Sorry, the Flickr API service is not currently available.", True),
            (0, "Something else", False),
        ):
            for given in (code, str(code)):
                body = json.dumps({"stat": "fail", "code": given, "message": message}).encode()
                for form in (body, b"jsonFlickrApi(" + body + b")"):
                    failure = self.failure(form)
                    self.assertEqual((failure.code, failure.message, failure.retry), (code, message, retry))
                    self.assertIn(message, str(failure))

    def test_failures_in_xml_are_understood(self) -> None:
        body = b"""<?xml version="1.0" encoding="utf-8" ?>
<rsp stat="fail">
	<err code="100" msg="Invalid API Key (&quot;x&quot; &amp; y)" />
</rsp>"""
        failure = self.failure(body)
        self.assertEqual(
            (failure.code, failure.message, failure.retry), (100, 'Invalid API Key ("x" & y)', False)
        )

    def test_a_failure_without_details_is_one(self) -> None:
        for body in (b'{"stat":"fail"}', b'<rsp stat="fail"></rsp>'):
            self.assertEqual((self.failure(body).code, self.failure(body).message), (0, "no reason given"))
