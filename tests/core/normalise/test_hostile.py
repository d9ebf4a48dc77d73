"""What a hostile or broken upstream may send; each test is named after its row in the list of such inputs."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.change import Change, compose
from afeed.core.draft import Posted, Removed, prepare
from afeed.core.item import UNKNOWN_AUTHOR, decode_item, encode_item
from afeed.core.normalise import flickr, push, x
from afeed.core.normalise.text import sanitise
from tests.core.normalise.fixtures import POST_ID, item_of, line, link, message_v2, photo, photos, post_v2


def stored(draft: Posted) -> str:
    """The draft as JSON in a log: it must be valid UTF-8 without raw NUL."""
    body = compose(prepare(draft), "item.posted", "2026-11-21T17:00:05.000Z")
    Change.decode(1, body)
    return body.decode("utf-8")


class UpstreamTests(SynchronousTestCase):
    def test_upstream_09_a_post_with_a_goodbye_is_both(self) -> None:
        goodbye = {
            "title": "operational-disconnect",
            "type": "https://api.x.com/2/problems/operational-disconnect",
        }
        message = x.read_message(message_v2(post_v2(), errors=[goodbye]))
        self.assertEqual(len(message.drafts), 1)
        assert message.control is not None
        self.assertEqual(message.control.kind, "disconnect")
        self.assertEqual(message.warnings, ())

    def test_upstream_11_the_same_post_twice_has_one_key(self) -> None:
        keys = {
            prepare(draft).version_key
            for _ in range(2)
            for draft in x.read_message(message_v2(post_v2())).drafts
        }
        self.assertEqual(len(keys), 1)

    def test_upstream_12_an_edit_has_the_same_id_and_a_higher_order(self) -> None:
        before, after = (
            prepare(x.read_message(message_v2(post_v2(id=own, edit_history_tweet_ids=history))).drafts[0])
            for own, history in (
                (POST_ID, [POST_ID]),
                ("1900000000000000009", [POST_ID, "1900000000000000009"]),
            )
        )
        self.assertEqual(before.id_key, after.id_key)
        self.assertGreater(after.order, before.order)

    def test_upstream_15_numbers_beyond_a_double_keep_their_digits(self) -> None:
        body = b'{"data":{"id":9007199254740993,"text":"a","edit_history_tweet_ids":[9007199254740993]}}'
        (draft,) = x.read_message(body).drafts
        assert isinstance(draft, Posted)
        self.assertEqual((draft.item.id, draft.version), ("x:9007199254740993", "9007199254740993"))
        for number in (b"9007199254740993.0", b"9.007199254740993e15", b"true", b"-5", b"18446744073709551616"):
            message = x.read_message(
                b'{"data":{"id":' + number + b',"text":"a","created_at":"2026-11-21T17:00:05Z"}}'
            )
            self.assertEqual(message.warnings, ("no-author", "no-id"))
            self.assertTrue(item_of(message.drafts).id.startswith("x:h"))

    def test_upstream_16_ids_that_look_like_numbers_are_text(self) -> None:
        for post_id in ("007", "1_000", "12.50"):
            message = x.read_message(message_v2(post_v2(id=post_id, edit_history_tweet_ids=[post_id])))
            self.assertEqual(item_of(message.drafts).id, f"x:{post_id}")
            self.assertEqual(decode_item(encode_item(item_of(message.drafts))).id, f"x:{post_id}")

    def test_upstream_17_nul_is_replaced(self) -> None:
        (draft,) = x.read_message(message_v2(post_v2("a\0b"))).drafts
        assert isinstance(draft, Posted)
        self.assertEqual((draft.item.text, draft.item.html), ("a\ufffdb", "<p>a\ufffdb</p>"))
        self.assertNotIn("\\u0000", stored(draft))
        (pushed,) = push.read_push(
            b'{"id":"1","text":"a\\u0000b","author":"A\\u0000"}', "", "2026-11-21T17:00:05Z"
        )
        self.assertNotIn("\\u0000", stored(pushed))

    def test_upstream_18_lone_surrogates_are_replaced(self) -> None:
        for escape in (b"\\ud800", b"\\udc00", b"\\ud800x\\udc00"):
            body = b'{"data":{"id":"1","text":"a' + escape + b'","created_at":"2026-11-21T17:00:05Z"}}'
            (draft,) = x.read_message(body).drafts
            assert isinstance(draft, Posted)
            self.assertIn("a\ufffd", draft.item.text)
            self.assertIn("a\ufffd", stored(draft))
        (pushed,) = push.read_push(b'{"id":"1","text":"\\ud800"}', "", "2026-11-21T17:00:05Z")
        self.assertEqual(pushed.item.text, "\ufffd")

    def test_upstream_18_damaged_utf_8_is_mended(self) -> None:
        (draft,) = x.read_message(
            b'{"data":{"id":"1","text":"caf\xe9","created_at":"2026-11-21T17:00:05Z"}}'
        ).drafts
        assert isinstance(draft, Posted)
        self.assertEqual(draft.item.text, "caf\ufffd")

    def test_upstream_19_ten_megabytes_of_text_are_too_much(self) -> None:
        self.assertEqual(x.read_message(message_v2(post_v2("a" * 10_000_000))).dropped, ("oversize",))
        self.assertEqual(x.read_message(message_v2(post_v2("a" * 500_000))).dropped, ("oversize",))
        self.assertEqual(x.read_message(message_v2(post_v2("ü" * 30_000))).dropped, ("oversize",))
        page = x.read_page(json.dumps({"data": [post_v2("a" * 10_000_000), post_v2()]}).encode())
        self.assertEqual((len(page.drafts), page.dropped), (1, ("oversize",)))

    def test_upstream_22_missing_members_cost_no_post(self) -> None:
        for post, warnings in (
            (post_v2(author_id=None), ("no-author",)),
            (post_v2(id=None, edit_history_tweet_ids=None), ("no-id",)),
            ({"text": "a", "created_at": "2026-11-21T17:00:05Z"}, ("no-author", "no-id")),
            ({"id": "1", "text": "a"}, ("no-author",)),
        ):
            message = x.read_message(message_v2(post))
            self.assertEqual((len(message.drafts), message.warnings), (1, warnings))
        again = [
            item_of(x.read_message(message_v2(post_v2(id=None, edit_history_tweet_ids=None))).drafts).id
            for _ in "ab"
        ]
        self.assertEqual(again[0], again[1])

    def test_upstream_23_includes_without_the_author(self) -> None:
        includes = {"users": [{"id": "78", "name": "Somebody else", "username": "else"}]}
        message = x.read_message(message_v2(post_v2(), includes=includes))
        self.assertEqual((item_of(message.drafts).author, message.warnings), (UNKNOWN_AUTHOR, ("no-author",)))
        message = x.read_message(line({"data": post_v2(), "includes": "odd"}))
        self.assertEqual(item_of(message.drafts).author, UNKNOWN_AUTHOR)

    def test_upstream_25_a_byte_order_mark_is_ignored(self) -> None:
        self.assertEqual(
            x.read_message(b"\xef\xbb\xbf" + message_v2(post_v2())), x.read_message(message_v2(post_v2()))
        )
        self.assertEqual(x.read_message(b"\xef\xbb\xbf\r\n"), x.Message())

    def test_upstream_39_removals_of_unknown_posts_are_tombstones(self) -> None:
        for message in (
            {"data": {"delete": {"tweet": {"id": "5", "author_id": "2"}, "event_at": "2026-11-21T17:00:05Z"}}},
            {"data": {"withheld": {"tweet": {"id": "5"}, "withheld_in_countries": ["DE"]}}},
            {"delete": {"status": {"id_str": "5"}}},
            {"status_withheld": {"id": 5, "withheld_in_countries": ["DE"]}},
        ):
            self.assertEqual(x.read_message(line(message)).drafts, (Removed("x:5"),))

    def test_upstream_41_direction_controls_and_piles_stay_inside_the_post(self) -> None:
        text = "abc\u202edef\u2066ghi " + "\u200b" * 300 + "z" + "\u0301" * 500
        item = item_of(x.read_message(message_v2(post_v2(text))).drafts)
        self.assertEqual(item.text, text)
        self.assertEqual(item.html, "<p>abcdef\u2066ghi \u200b\u200bz" + "\u0301" * 8 + "\u2069</p>")

    def test_upstream_41_names_and_descriptions_cannot_turn_the_page_around(self) -> None:
        includes = {
            "users": [{"id": "77", "name": "\u202enna\n\u2066" + "a" + "\u0301" * 500, "username": "ann"}],
            "media": [
                {
                    "media_key": "3_1",
                    "type": "photo",
                    "url": "https://pbs.twimg.com/1.jpg",
                    "alt_text": "\u202ex",
                }
            ],
        }
        post = post_v2(attachments={"media_keys": ["3_1"]})
        item = item_of(x.read_message(message_v2(post, includes=includes)).drafts)
        self.assertEqual(item.author.name, "nna a" + "\u0301" * 8)
        self.assertEqual(item.media[0].alt, "x")

    def test_upstream_42_links_that_are_programs_are_text(self) -> None:
        text = "click https://t.co/Ab1"
        for target in (
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            " javascript:x",
            "data:text/html,<script>",
            "vbscript:x",
        ):
            entities = {"urls": [link(text, "https://t.co/Ab1", target, "nice.example")]}
            item = item_of(x.read_message(message_v2(post_v2(text, entities=entities))).drafts)
            self.assertEqual(item.html, "<p>click nice.example</p>")
            self.assertEqual(item.text, text)

    def test_upstream_43_pictures_inside_a_network_are_left_out(self) -> None:
        media = [{"media_key": "3_1", "type": "photo", "url": "http://169.254.169.254/latest/meta-data/"}]
        users = [{"id": "77", "name": "Ann", "username": "ann", "profile_image_url": "http://10.0.0.1/a.png"}]
        post = post_v2(attachments={"media_keys": ["3_1"]})
        item = item_of(x.read_message(message_v2(post, includes={"users": users, "media": media})).drafts)
        self.assertEqual((item.media, item.author.avatar), ((), None))
        page = flickr.read_page(photos(photo(url_m="http://169.254.169.254/x.jpg")))
        self.assertTrue(page.drafts[0].item.media[0].url.startswith("https://live.staticflickr.com/"))

    def test_upstream_44_only_harmless_markup_is_left(self) -> None:
        for hostile, harmless in (
            ("<script>alert(1)</script>a", "a"),
            ("<img src=x onerror=alert(1)>a", "a"),
            ("<svg onload=alert(1)><script>x</script></svg>a", "a"),
            ("<math><mtext><style><img src=x onerror=alert(1)></style></mtext></math>", ""),
            (
                '<a href="JAVASCRIPT&#58;alert(1)">a</a>',
                '<a rel="nofollow noopener noreferrer ugc">a</a>',
            ),
            ('<iframe srcdoc="<script>x</script>"></iframe>a', "a"),
            ('<p style="position:fixed" class="x" id="y">a</p>', "<p>a</p>"),
            ("<!-- <p> -->a", "a"),
            ('<form action="/x"><input name="y">a</form>', "a"),
            ("<p>a", "<p>a</p>"),
        ):
            with self.subTest(hostile=hostile):
                self.assertEqual(sanitise(hostile), harmless)

    def test_upstream_46_page_numbers_are_bounded_and_photos_without_owner_dropped(self) -> None:
        for members, pages, total in (
            ({"pages": 10**9, "total": "1000000000"}, 40, 4000),
            ({"pages": -3, "total": -1}, 0, 0),
            ({"pages": "many", "total": None}, 0, 0),
            ({"pages": 10**9, "perpage": 500}, 8, 1),
            ({"pages": 10**9, "perpage": 0}, 40, 1),
            ({"pages": 10**9, "perpage": 1}, 100, 1),
        ):
            with self.subTest(members=members):
                page = flickr.read_page(photos(photo(), **members))
                self.assertEqual((page.pages, page.total), (pages, total))
        page = flickr.read_page(photos(photo(owner=None), photo()))
        self.assertEqual((len(page.drafts), page.dropped), (1, ("malformed",)))

    def test_nesting_without_end_is_malformed(self) -> None:
        for body in (b"[" * 200_000, b'{"data":' * 100_000, b'{"a":[' * 50_000):
            self.assertEqual(x.read_message(body).dropped, ("malformed",))
