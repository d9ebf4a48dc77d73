"""Lines and replies of X's API 1.1."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.draft import Removed
from afeed.core.item import Author, Media
from afeed.core.normalise.x import Control, Message, read_message
from tests.core.normalise.fixtures import POST_ID, item_of, line, post_v1, user_v1

BO = Author(
    name="Bo",
    handle="bo",
    url="https://x.com/bo",
    avatar="https://pbs.twimg.com/profile_images/2/bo_normal.png",
)


class PostTests(SynchronousTestCase):
    def test_a_post_becomes_an_item(self) -> None:
        message = read_message(
            line(post_v1("A &lt;3 B", in_reply_to_status_id=7, in_reply_to_status_id_str="7"))
        )
        item = item_of(message.drafts)
        self.assertEqual((item.id, item.text, item.author), (f"x:{POST_ID}", "A <3 B", BO))
        self.assertEqual((item.created_at, item.reply_to), ("2026-11-21T17:00:05Z", "x:7"))
        self.assertEqual(message.newest_id, POST_ID)

    def test_times_of_other_zones_and_of_milliseconds_are_understood(self) -> None:
        for created_at, expected in (
            ("Sat Nov 21 09:00:05 -0800 2026", "2026-11-21T17:00:05Z"),
            ("nonsense", "2026-11-21T17:00:06Z"),
            (None, "2026-11-21T17:00:06Z"),
            ("Fri Dec 31 23:59:59 +0000 9999", "2026-11-21T17:00:06Z"),
            ("Mon Jan 01 00:00:00 +0000 0001", "2026-11-21T17:00:06Z"),
            ("Sat Nov 31 09:00:05 -0800 2026", "2026-11-21T17:00:06Z"),
        ):
            item = item_of(
                read_message(line(post_v1(created_at=created_at, timestamp_ms="1795280406120"))).drafts
            )
            self.assertEqual(item.created_at, expected)

    def test_the_extended_text_wins_with_its_entities(self) -> None:
        extended = {
            "full_text": "The whole text #aea",
            "entities": {"hashtags": [{"text": "aea", "indices": [15, 19]}], "urls": []},
        }
        item = item_of(
            read_message(line(post_v1("The whole…", truncated=True, extended_tweet=extended))).drafts
        )
        self.assertEqual(item.text, "The whole text #aea")
        self.assertIn('href="https://x.com/hashtag/aea"', item.html)

    def test_full_text_is_text(self) -> None:
        post = {**post_v1(), "full_text": "The whole text"}
        del post["text"]
        self.assertEqual(item_of(read_message(line(post)).drafts).text, "The whole text")

    def test_entities_are_applied(self) -> None:
        text = "@ann see https://t.co/Ab1 $TWTR"
        entities = {
            "user_mentions": [{"screen_name": "Ann", "indices": [0, 4]}],
            "urls": [
                {
                    "url": "https://t.co/Ab1",
                    "expanded_url": "https://example.org/",
                    "display_url": "example.org",
                    "indices": [9, 25],
                }
            ],
            "symbols": [{"text": "TWTR", "indices": [26, 31]}],
            "hashtags": [{"text": "x", "indices": [1]}],
        }
        item = item_of(read_message(line(post_v1(text, entities=entities))).drafts)
        self.assertEqual(item.text, "@ann see https://example.org/ $TWTR")
        for part in ('href="https://x.com/Ann"', ">example.org</a>", "q=%24TWTR"):
            self.assertIn(part, item.html)


class MediaTests(SynchronousTestCase):
    def test_all_media_are_kept_and_their_link_is_not(self) -> None:
        text = "Look https://t.co/Pic"
        first = {
            "type": "photo",
            "url": "https://t.co/Pic",
            "expanded_url": f"https://twitter.com/bo/status/{POST_ID}/photo/1",
            "display_url": "pic.twitter.com/Pic",
            "media_url_https": "https://pbs.twimg.com/media/A.jpg",
            "sizes": {"large": {"w": 1024, "h": 768}},
            "ext_alt_text": "A stage",
            "indices": [5, 21],
        }
        second = {**first, "media_url_https": "https://pbs.twimg.com/media/B.jpg", "ext_alt_text": None}
        post = post_v1(text, entities={"media": [first]}, extended_entities={"media": [first, second]})
        item = item_of(read_message(line(post)).drafts)
        self.assertEqual(item.text, "Look")
        self.assertEqual(
            item.media,
            (
                Media(
                    type="photo", url="https://pbs.twimg.com/media/A.jpg", width=1024, height=768, alt="A stage"
                ),
                Media(type="photo", url="https://pbs.twimg.com/media/B.jpg", width=1024, height=768),
            ),
        )

    def test_a_gif_plays(self) -> None:
        variants = [{"bitrate": 0, "content_type": "video/mp4", "url": "https://video.twimg.com/g.mp4"}]
        gif = {
            "type": "animated_gif",
            "media_url_https": "https://pbs.twimg.com/g.jpg",
            "video_info": {"variants": variants},
        }
        item = item_of(read_message(line(post_v1(extended_entities={"media": [gif]}))).drafts)
        expected = Media(
            type="gif", url="https://video.twimg.com/g.mp4", thumb_url="https://pbs.twimg.com/g.jpg"
        )
        self.assertEqual(item.media, (expected,))


class RepostTests(SynchronousTestCase):
    def test_a_repost_is_the_original_with_who_shared_it(self) -> None:
        original = post_v1("Original", id=5, id_str="5", user=user_v1("ann", "Ann"))
        item = item_of(read_message(line(post_v1("RT @ann: Origi…", retweeted_status=original))).drafts)
        self.assertEqual(
            (item.id, item.text, item.author.handle, item.shared_by), ("x:5", "Original", "ann", BO)
        )

    def test_a_quote_is_kept_also_in_a_repost(self) -> None:
        quoted = post_v1("Quoted", id=4, id_str="4", user=user_v1("cy", "Cy"))
        original = post_v1("Original", id=5, id_str="5", quoted_status_id_str="4")
        for post in (
            post_v1("RT", retweeted_status={**original, "quoted_status": quoted}),
            post_v1("RT", retweeted_status=original, quoted_status=quoted),
        ):
            item = item_of(read_message(line(post)).drafts)
            assert item.quote is not None
            self.assertEqual((item.id, item.quote.text, item.quote.author.name), ("x:5", "Quoted", "Cy"))

    def test_nested_reposts_end(self) -> None:
        post = post_v1("innermost")
        for _ in range(60):
            post = post_v1(
                "outer", quoted_status=post, retweeted_status=post if len(json.dumps(post)) < 20_000 else None
            )
        self.assertEqual(len(read_message(line(post)).drafts), 1)


class ControlTests(SynchronousTestCase):
    def test_messages_about_the_stream(self) -> None:
        for message, kind, reason in (
            (
                {"limit": {"track": 27, "timestamp_ms": "1447730314793"}},
                "limit",
                "27 posts matched and were not delivered since connecting",
            ),
            (
                {"warning": {"code": "FALLING_BEHIND", "message": "Too slow.", "percent_full": 60}},
                "warning",
                "FALLING_BEHIND: Too slow.",
            ),
            (
                {"disconnect": {"code": 4, "stream_name": "s", "reason": "stall"}},
                "disconnect",
                "4: stall",
            ),
            ({"scrub_geo": {"user_id": 1, "up_to_status_id": 2}}, "info", "scrub_geo"),
            ({"friends": [1, 2]}, "info", "friends"),
            ({"event": "follow", "source": {}, "target": {}}, "info", "follow"),
        ):
            with self.subTest(message=message):
                self.assertEqual(read_message(line(message)), Message(control=Control(kind, reason)))  # type: ignore[arg-type]

    def test_removals(self) -> None:
        for message in (
            {"delete": {"status": {"id": 10, "id_str": "10", "user_id": 3}, "timestamp_ms": "1"}},
            {"delete": {"status": {"id": 10}}},
            {"status_withheld": {"id": 10, "user_id": 3, "withheld_in_countries": ["DE"]}},
        ):
            self.assertEqual(read_message(line(message)), Message(drafts=(Removed("x:10"),)))

    def test_what_is_private_or_about_users_is_not_used(self) -> None:
        for message in ({"direct_message": {"id": 1, "text": "psst"}}, {"user_withheld": {"id": 2}}):
            self.assertEqual(read_message(line(message)), Message(dropped=("unsupported",)))

    def test_a_removal_of_nothing_is_malformed(self) -> None:
        self.assertEqual(read_message(b'{"delete":{}}'), Message(dropped=("malformed",)))
