"""Lines of X's stream, API v2."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.draft import Posted, Removed
from afeed.core.item import UNKNOWN_AUTHOR, Author, Media
from afeed.core.normalise.x import Control, Message, read_message
from tests.core.normalise.fixtures import POST_ID, item_of, line, link, message_v2, post_v2, user_v2

ANN = Author(
    name="Ann",
    handle="ann",
    url="https://x.com/ann",
    avatar="https://pbs.twimg.com/profile_images/1/ann_normal.jpg",
)
BO = Author(
    name="Bo",
    handle="bo",
    url="https://x.com/bo",
    avatar="https://pbs.twimg.com/profile_images/1/bo_normal.jpg",
)


class PostTests(SynchronousTestCase):
    def test_a_post_becomes_an_item(self) -> None:
        message = read_message(
            message_v2(post_v2("Keynote starts"), matching_rules=[{"id": "1", "tag": "afeed:aea"}])
        )
        item = item_of(message.drafts)
        self.assertEqual(item.id, f"x:{POST_ID}")
        self.assertEqual((item.source, item.kind), ("x", "post"))
        self.assertEqual(item.author, ANN)
        self.assertEqual(item.text, "Keynote starts")
        self.assertEqual(item.html, "<p>Keynote starts</p>")
        self.assertEqual(item.created_at, "2026-11-21T17:00:05Z")
        self.assertEqual(item.url, f"https://x.com/ann/status/{POST_ID}")
        self.assertEqual(item.lang, "en")
        self.assertEqual(message.tags, ("afeed:aea",))
        self.assertEqual(message.newest_id, POST_ID)
        self.assertEqual((message.control, message.dropped, message.warnings), (None, (), ()))

    def test_both_spellings_of_the_members_mean_the_same(self) -> None:
        quoted = {"id": "1899", "text": "Quoted", "author_id": "88"}
        users = [user_v2(), user_v2("88", "bo", "Bo")]
        old = post_v2(
            "Short",
            note_tweet={"text": "Long"},
            referenced_tweets=[{"type": "quoted", "id": "1899"}],
            edit_history_tweet_ids=["1", POST_ID],
        )
        new = post_v2(
            "Short",
            note_post={"text": "Long"},
            referenced_posts=[{"type": "quoted", "id": "1899"}],
            edit_history_post_ids=["1", POST_ID],
            edit_history_tweet_ids=None,
        )
        before = read_message(message_v2(old, includes={"users": users, "tweets": [quoted]}))
        after = read_message(message_v2(new, includes={"users": users, "posts": [quoted]}))
        self.assertEqual(before, after)
        item = item_of(before.drafts)
        self.assertEqual((item.id, item.text), ("x:1", "Long"))
        assert item.quote is not None
        self.assertEqual((item.quote.text, item.quote.author), ("Quoted", BO))

    def test_every_tag_of_the_rules_that_matched_is_told_once(self) -> None:
        rules = [
            {"id": 1, "tag": "a"},
            {"id": "2", "tag": ""},
            {"id": "3"},
            {"id": "4", "tag": "b"},
            {"id": "5", "tag": "a"},
        ]
        self.assertEqual(read_message(message_v2(post_v2(), matching_rules=rules)).tags, ("a", "b"))

    def test_a_long_post_has_entities_of_its_own(self) -> None:
        long = "x" * 300 + " #aea"
        note = {"text": long, "entities": {"hashtags": [{"start": 301, "end": 305, "tag": "aea"}]}}
        post = post_v2(
            "x" * 279 + "…", note_tweet=note, entities={"hashtags": [{"start": 0, "end": 4, "tag": "aea"}]}
        )
        item = item_of(read_message(message_v2(post)).drafts)
        self.assertEqual(item.text, long)
        self.assertIn('<a href="https://x.com/hashtag/aea"', item.html)

    def test_an_edit_is_a_new_version_of_the_same_item(self) -> None:
        first = read_message(message_v2(post_v2("Helo", id="10", edit_history_tweet_ids=["10"])))
        second = read_message(message_v2(post_v2("Hello", id="12", edit_history_tweet_ids=["10", "12"])))
        self.assertEqual(item_of(first.drafts).id, item_of(second.drafts).id)
        self.assertEqual([draft.version for m in (first, second) for draft in m.drafts], ["10", "12"])  # type: ignore[union-attr]
        self.assertEqual(item_of(second.drafts).url, "https://x.com/ann/status/12")
        self.assertEqual(second.newest_id, "12")

    def test_an_old_version_that_knows_of_its_edit_stays_the_old_version(self) -> None:
        (draft,) = read_message(
            message_v2(post_v2("Helo", id="10", edit_history_tweet_ids=["10", "12"]))
        ).drafts
        assert isinstance(draft, Posted)
        self.assertEqual(draft.version, "10")

    def test_a_post_without_time_has_the_time_of_its_id(self) -> None:
        item = item_of(read_message(message_v2(post_v2(created_at=None))).drafts)
        self.assertEqual(item.created_at, "2025-03-13T01:44:34Z")

    def test_a_post_from_the_end_of_the_calendar_has_the_time_of_its_id(self) -> None:
        for given in ("9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z"):
            item = item_of(read_message(message_v2(post_v2(created_at=given))).drafts)
            self.assertEqual(item.created_at, "2025-03-13T01:44:34Z", given)

    def test_a_reply_says_to_what(self) -> None:
        post = post_v2(referenced_tweets=[{"type": "replied_to", "id": "1898"}], possibly_sensitive=True)
        item = item_of(read_message(message_v2(post)).drafts)
        self.assertEqual((item.reply_to, item.sensitive), ("x:1898", True))

    def test_languages_that_are_none_are_left_out_and_old_codes_renamed(self) -> None:
        for given, expected in (
            ("und", None),
            ("qme", None),
            ("zxx", None),
            ("iw", "he"),
            ("pt-BR", "pt-BR"),
            ("?", None),
        ):
            with self.subTest(lang=given):
                self.assertEqual(item_of(read_message(message_v2(post_v2(lang=given))).drafts).lang, expected)


class EntityTests(SynchronousTestCase):
    def item(self, text: str, **members: Any) -> Any:
        return item_of(read_message(message_v2(post_v2(text, **members))).drafts)

    def test_links_are_expanded_and_hashtags_and_mentions_linked(self) -> None:
        text = "A &amp; B: https://t.co/Ab1 #aea @bo $TWTR"
        item = self.item(
            text,
            entities={
                "urls": [
                    link(
                        text,
                        "https://t.co/Ab1",
                        "https://example.org/talks/1?a=1&b=2",
                        "example.org/talks/1?a=…",
                    )
                ],
                "hashtags": [{"start": 28, "end": 32, "tag": "aea"}],
                "mentions": [{"start": 33, "end": 36, "username": "bo"}],
                "cashtags": [{"start": 37, "end": 42, "tag": "TWTR"}],
            },
        )
        self.assertEqual(item.text, "A & B: https://example.org/talks/1?a=1&b=2 #aea @bo $TWTR")
        rel = 'rel="nofollow noopener noreferrer ugc"'
        self.assertEqual(
            item.html,
            f'<p>A &amp; B: <a href="https://example.org/talks/1?a=1&amp;b=2" {rel}>example.org/talks/1?a=…</a>'
            f' <a href="https://x.com/hashtag/aea" {rel}>#aea</a> <a href="https://x.com/bo" {rel}>@bo</a> '
            f'<a href="https://x.com/search?q=%24TWTR" {rel}>$TWTR</a></p>',
        )

    def test_entities_that_are_not_where_they_say_are_skipped(self) -> None:
        item = self.item(
            "No tags here",
            entities={
                "hashtags": [
                    {"start": 0, "end": 4, "tag": "aea"},
                    {"start": 90, "end": 94, "tag": "aea"},
                    {"tag": "x"},
                ],
                "mentions": [{"start": 5, "end": 2, "username": "bo"}, "odd", None],
                "urls": {"start": 0},
            },
        )
        self.assertEqual(item.html, "<p>No tags here</p>")

    def test_without_entities_the_text_is_searched(self) -> None:
        item = self.item("see https://example.org #aea &amp; @bo")
        for part in (
            'href="https://example.org"',
            'href="https://x.com/hashtag/aea"',
            'href="https://x.com/bo"',
        ):
            self.assertIn(part, item.html)
        self.assertEqual(item.text, "see https://example.org #aea & @bo")


class MediaTests(SynchronousTestCase):
    def item(self, medium: dict[str, Any], text: str = "Look") -> Any:
        includes = {"users": [user_v2()], "media": [{"media_key": "3_1", **medium}]}
        post = post_v2(text, attachments={"media_keys": ["3_1", "3_2"]})
        return item_of(read_message(message_v2(post, includes=includes)).drafts)

    def test_a_photo(self) -> None:
        url = "https://pbs.twimg.com/media/X.jpg"
        item = self.item({"type": "photo", "url": url, "width": 1200, "height": 800, "alt_text": " A\nstage "})
        self.assertEqual(item.media, (Media(type="photo", url=url, width=1200, height=800, alt="A stage"),))

    def test_of_a_video_the_best_mp4_is_taken(self) -> None:
        variants = [
            {"bit_rate": 256000, "content_type": "video/mp4", "url": "https://video.twimg.com/low.mp4"},
            {"content_type": "application/x-mpegURL", "url": "https://video.twimg.com/x.m3u8"},
            {"bit_rate": "832000", "content_type": "video/mp4", "url": "https://video.twimg.com/high.mp4"},
        ]
        still = "https://pbs.twimg.com/still.jpg"
        for kind, expected in (("video", "video"), ("animated_gif", "gif")):
            item = self.item({"type": kind, "preview_image_url": still, "variants": variants})
            medium = Media(type=expected, url="https://video.twimg.com/high.mp4", thumb_url=still)  # type: ignore[arg-type]
            self.assertEqual(item.media, (medium,))

    def test_a_video_without_a_playable_file_is_its_still(self) -> None:
        item = self.item({"type": "video", "preview_image_url": "https://pbs.twimg.com/still.jpg"})
        self.assertEqual(item.media, (Media(type="photo", url="https://pbs.twimg.com/still.jpg"),))

    def test_the_links_of_its_own_media_vanish(self) -> None:
        text = "Look https://t.co/Ab1 here https://t.co/Ab2"
        urls = [
            link(text, "https://t.co/Ab1", f"https://x.com/ann/status/{POST_ID}/photo/1", "pic.x.com/Ab1"),
            link(text, "https://t.co/Ab2", f"https://x.com/ann/status/{POST_ID}/video/1", media_key="3_1"),
        ]
        includes = {
            "users": [user_v2()],
            "media": [{"media_key": "3_1", "type": "photo", "url": "https://pbs.twimg.com/media/X.jpg"}],
        }
        post = post_v2(text, attachments={"media_keys": ["3_1"]}, entities={"urls": urls})
        self.assertEqual(item_of(read_message(message_v2(post, includes=includes)).drafts).text, "Look  here")
        # Where the media were not delivered, the link is the only way to them.
        self.assertIn("/photo/1", item_of(read_message(message_v2(post)).drafts).text)


class QuoteTests(SynchronousTestCase):
    def item(self, text: str, expanded: str, included: bool = True) -> Any:
        tweets = [{"id": "1899", "text": "Quoted &amp; all", "author_id": "88"}] if included else []
        post = post_v2(
            text,
            referenced_tweets=[{"type": "quoted", "id": "1899"}],
            entities={"urls": [link(text, "https://t.co/Q1", expanded, "x.com/bo/status/1…")]},
        )
        includes = {"users": [user_v2(), user_v2("88", "bo", "Bo")], "tweets": tweets}
        return item_of(read_message(message_v2(post, includes=includes)).drafts)

    def test_the_quoted_post_is_part_of_the_item_and_its_link_at_the_end_is_not(self) -> None:
        item = self.item("Indeed https://t.co/Q1", "https://twitter.com/bo/status/1899")
        self.assertEqual((item.text, item.html), ("Indeed", "<p>Indeed</p>"))
        assert item.quote is not None
        self.assertEqual(
            (item.quote.text, item.quote.html, item.quote.author, item.quote.url),
            ("Quoted & all", "<p>Quoted &amp; all</p>", BO, "https://x.com/bo/status/1899"),
        )

    def test_a_link_to_it_within_the_text_stays(self) -> None:
        item = self.item("What https://t.co/Q1 says", "https://x.com/bo/status/1899")
        self.assertEqual(item.text, "What https://x.com/bo/status/1899 says")

    def test_a_quoted_post_that_was_not_delivered_stays_a_link(self) -> None:
        item = self.item("Indeed https://t.co/Q1", "https://x.com/bo/status/1899", included=False)
        self.assertEqual((item.text, item.quote), ("Indeed https://x.com/bo/status/1899", None))

    def test_another_link_at_the_end_stays(self) -> None:
        item = self.item("Indeed https://t.co/Q1", "https://x.com/bo/status/1898")
        self.assertEqual(item.text, "Indeed https://x.com/bo/status/1898")

    def test_a_post_that_quotes_itself_ends(self) -> None:
        post = post_v2(referenced_tweets=[{"type": "quoted", "id": POST_ID}])
        message = read_message(message_v2(post, includes={"users": [user_v2()], "tweets": [post]}))
        self.assertIsNone(item_of(message.drafts).quote)


class RepostTests(SynchronousTestCase):
    ORIGINAL = post_v2(
        "The whole text #aea",
        id="1800000000000000000",
        author_id="88",
        edit_history_tweet_ids=["1799", "1800000000000000000"],
    )

    def repost(self, repost_id: str, *tweets: dict[str, Any]) -> Message:
        post = post_v2(
            "RT @bo: The whole te…",
            id=repost_id,
            edit_history_tweet_ids=[repost_id],
            referenced_tweets=[{"type": "retweeted", "id": "1800000000000000000"}],
        )
        includes = {"users": [user_v2(), user_v2("88", "bo", "Bo")], "tweets": list(tweets)}
        return read_message(message_v2(post, includes=includes))

    def test_a_repost_is_the_original_with_who_shared_it(self) -> None:
        message = self.repost("1900000000000000002", self.ORIGINAL)
        item = item_of(message.drafts)
        self.assertEqual(
            (item.id, item.text, item.author, item.shared_by), ("x:1799", "The whole text #aea", BO, ANN)
        )
        self.assertEqual(item.url, "https://x.com/bo/status/1800000000000000000")
        self.assertEqual(message.newest_id, "1900000000000000002")

    def test_a_second_repost_is_the_same_version_of_the_same_item(self) -> None:
        first = self.repost("1900000000000000002", self.ORIGINAL).drafts[0]
        second = self.repost("1900000000000000003", self.ORIGINAL).drafts[0]
        assert isinstance(first, Posted)
        assert isinstance(second, Posted)
        self.assertEqual((first.item.id, first.version), (second.item.id, second.version))

    def test_without_the_original_its_beginning_is_kept_until_the_original_comes(self) -> None:
        message = self.repost("1900000000000000002")
        (draft,) = message.drafts
        assert isinstance(draft, Posted)
        item = draft.item
        self.assertEqual((item.id, item.text), ("x:1800000000000000000", "The whole te…"))
        self.assertEqual(item.author, Author(name="bo", handle="bo", url="https://x.com/bo"))
        self.assertEqual((item.shared_by, item.created_at), (ANN, "2024-06-10T03:00:17Z"))
        self.assertEqual((draft.version, message.warnings), ("1", ("no-original",)))

    def test_the_fallback_keeps_entities_behind_the_prefix(self) -> None:
        text = "RT @bo: #aea now"
        entities = {
            "mentions": [{"start": 3, "end": 6, "username": "bo"}],
            "hashtags": [{"start": 8, "end": 12, "tag": "aea"}],
        }
        post = post_v2(text, referenced_tweets=[{"type": "retweeted", "id": "1800"}], entities=entities)
        item = item_of(read_message(message_v2(post)).drafts)
        self.assertEqual(item.text, "#aea now")
        self.assertTrue(item.html.startswith('<p><a href="https://x.com/hashtag/aea"'), item.html)


class DamageTests(SynchronousTestCase):
    def test_a_missing_author_is_unknown_and_counted(self) -> None:
        message = read_message(message_v2(post_v2(), includes={}))
        item = item_of(message.drafts)
        self.assertEqual((item.author, message.warnings), (UNKNOWN_AUTHOR, ("no-author",)))
        self.assertEqual(item.url, f"https://x.com/i/web/status/{POST_ID}")

    def test_errors_beside_a_post_concern_parts_of_it(self) -> None:
        problem = {"title": "Not Found Error", "type": "https://api.x.com/2/problems/resource-not-found"}
        message = read_message(message_v2(post_v2(), errors=[problem]))
        self.assertEqual(len(message.drafts), 1)
        self.assertEqual((message.control, message.warnings), (None, ("partial-error",)))

    def test_a_blank_line_is_nothing(self) -> None:
        for blank in (b"", b"\r\n", b"  "):
            self.assertEqual(read_message(blank), Message())

    def test_what_is_no_message_is_dropped(self) -> None:
        for body, reason in (
            (b"<html>", "malformed"),
            (b"[]", "malformed"),
            (b"17", "malformed"),
            (b'{"data":{"id":"1"}}', "malformed"),
            (b'{"something":"new"}', "unsupported"),
            (b'{"data":{"id":"12.50","text":"no time"}}', "malformed"),
        ):
            with self.subTest(body=body):
                self.assertEqual(read_message(body), Message(dropped=(reason,)))


class ControlTests(SynchronousTestCase):
    def control(self, message: object) -> Control | None:
        return read_message(line(message)).control

    def test_the_server_says_goodbye(self) -> None:
        goodbye = {
            "title": "operational-disconnect",
            "disconnect_type": "UpstreamOperationalDisconnect",
            "detail": "This stream has been disconnected for operational reasons.",
            "type": "https://api.x.com/2/problems/operational-disconnect",
        }
        control = self.control({"errors": [{"title": "other"}, goodbye]})
        assert control is not None
        self.assertEqual(control.kind, "disconnect")
        self.assertEqual(
            control.reason,
            "operational-disconnect: UpstreamOperationalDisconnect: This stream has been disconnected for "
            "operational reasons.",
        )

    def test_a_refused_connection_is_a_disconnect(self) -> None:
        refusal = {
            "title": "ConnectionException",
            "detail": "This stream is currently at the maximum allowed connection limit.",
            "connection_issue": "TooManyConnections",
            "type": "https://api.x.com/2/problems/streaming-connection",
        }
        for message in (refusal, {"errors": [refusal]}):
            control = self.control(message)
            assert control is not None
            self.assertEqual(control.kind, "disconnect")
            self.assertIn("TooManyConnections", control.reason)

    def test_other_errors_do_not_end_the_stream(self) -> None:
        for message, reason in (
            ({"errors": [{"code": 88, "message": "Rate limit exceeded"}]}, "88: Rate limit exceeded"),
            ({"errors": []}, "X gave no reason"),
            ({"errors": "odd"}, "X gave no reason"),
            ({"title": "Invalid", "detail": "a\nb", "type": "about:blank"}, "Invalid: a b"),
        ):
            self.assertEqual(self.control(message), Control("error", reason))

    def test_reasons_are_one_short_line(self) -> None:
        control = self.control({"errors": [{"detail": "x\x1b[31m\n" * 500}]})
        assert control is not None
        self.assertLessEqual(len(control.reason), 300)
        self.assertTrue(control.reason.isprintable())

    def test_there_is_always_a_reason(self) -> None:
        for message, reason in (
            ({"errors": [{"detail": " \u202e"}]}, "X gave no reason"),
            ({"warning": {}}, "X gave no reason"),
            ({"event": ""}, "an event without a name"),
            ({"event": "\u2067 "}, "an event without a name"),
        ):
            control = self.control(message)
            assert control is not None
            self.assertEqual(control.reason, reason, message)


class ComplianceTests(SynchronousTestCase):
    def test_posts_that_are_taken_away_are_removed(self) -> None:
        for event in ("delete", "drop", "withheld"):
            for member in ("tweet", "post"):
                body = {
                    event: {member: {"id": "10", "author_id": "77"}, "event_at": "2026-11-21T17:00:00.000Z"}
                }
                self.assertEqual(read_message(line({"data": body})), Message(drafts=(Removed("x:10"),)))

    def test_events_about_users_are_not_followed(self) -> None:
        for event in ("user_delete", "user_protect", "undrop", "tweet_edit"):
            message = read_message(line({"data": {event: {"user": {"id": "77"}, "tweet": {"id": "10"}}}}))
            self.assertEqual(message, Message(dropped=("unsupported",)))
