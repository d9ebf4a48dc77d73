"""The TOML form, which people write by hand."""

from __future__ import annotations

from tests.core.schedule.case import ScheduleTestCase, when

TALK = """
[[talks]]
id = "feeds"
title = "Feeds that stay"
start = 2026-11-21T09:30:00
minutes = 45
room = "Hall 1"
track = "Web"
speakers = ["Ann Example", {name = "Bo", handle = "@Bo", url = "https://social.example/@bo"}]
hashtags = ["#feedsthatstay"]
abstract = "Plain."
"""


def changed(old: str, new: str) -> str:
    assert old in TALK
    return TALK.replace(old, new)


class TableTests(ScheduleTestCase):
    def test_a_complete_one(self) -> None:
        text = 'title = "ExConf"\ntimezone = "America/New_York"\n[[rooms]]\nname = "Hall 1"\n'
        text += 'hashtags = ["#exhall1"]\n'
        schedule = self.schedule(
            text
            + TALK
            + '[[talks]]\ntitle = "Lunch"\nstart = 2026-11-21T10:15:00-05:00\nend = 2026-11-21T11:00:00\n'
        )
        self.assertEqual((schedule.title, schedule.timezone), ("ExConf", "America/New_York"))
        self.assertEqual([(room.id, room.hashtags) for room in schedule.rooms], [("hall-1", ("#exhall1",))])
        talk, lunch = schedule.talks
        self.assertEqual(when(talk), "2026-11-21 14:30-15:15")
        self.assertEqual((talk.id, talk.hashtags), ("feeds", ("#feedsthatstay",)))
        self.assertEqual(
            [(one.name, one.handles) for one in talk.speakers],
            [("Ann Example", ()), ("Bo", ("bo", "bo@social.example"))],
        )
        self.assertEqual((lunch.is_break, when(lunch)), (True, "2026-11-21 15:15-16:00"))
        self.assertEqual(schedule.talk("feeds"), talk)
        self.assertIsNone(schedule.talk("others"))

    def test_an_id_is_made_of_title_and_speakers(self) -> None:
        without = changed('id = "feeds"\n', "")
        self.assertEqual(self.talk(without).id, self.talk(without.replace("09:30", "15:00")).id)
        self.assertNotEqual(self.talk(without).id, self.talk(without.replace("Ann", "Al")).id)

    def test_mistakes_have_their_line(self) -> None:
        for old, new, words in (
            ("minutes = 45", "minuts = 45", "line 2: unknown key “minuts”; did you mean minutes?"),
            ("minutes = 45", "", "it needs either end or minutes"),
            ("minutes = 45", "minutes = 0", "minutes should be from 1 to"),
            ("minutes = 45", 'minutes = "45"', "minutes should be a number, not “45”"),
            ("minutes = 45", "end = 2026-11-21T09:00:00", "before it starts"),
            ("minutes = 45", "end = 9999-12-31T23:59:59-12:00", "not in a year of this era"),
            ("2026-11-21T09:30:00", '"tomorrow"', "start should be a date and time, not “tomorrow”"),
            ("2026-11-21T09:30:00", "-3", "start should be a date and time"),
            ("2026-11-21T09:30:00", "1.5", "start should be a date and time"),
            ("2026-11-21T09:30:00", "0001-01-01T00:00:00+14:00", "not in a year of this era"),
            ('"feeds"', '"../x"', "its id “../x” should be 1 to 32 of a-z"),
            ('"@Bo"', '"@a b"', "“@a b” is not a handle"),
            ('"@Bo"', "'\"><script>'", "is not a handle"),
            ('"https://social.example/@bo"', '"javascript:alert(1)"', "is not a web address"),
            ('"#feedsthatstay"', '"#"', "“#” is not a hashtag"),
            ('"#feedsthatstay"', '"##a"', "“##a” is not a hashtag"),
            ('"#feedsthatstay"', '"a b"', "“a b” is not a hashtag"),
            ('"#feedsthatstay"', f'"{"a" * 61}"', "has 61 characters; 60 are allowed"),
            ('["Ann Example", ', "[17, ", "“17” is not a speaker"),
            ('title = "Feeds that stay"', "", "it has no title"),
            ('"Hall 1"', '"Hall\\u0000"', "holds a NUL character"),
        ):
            said = self.refusal(changed(old, new))
            self.assertTrue(said.startswith("line 2: "), said)
            self.assertIn(words, said)

    def test_mistakes_of_the_file_as_a_whole(self) -> None:
        for text, words in (
            ("title = \n" + TALK, "line 1, column 9: this is not TOML (Invalid value)"),
            (TALK + "x = ", "this is not TOML (Invalid value (at end of document))"),
            ('timezone = "CEST"\n' + TALK, "timezone: “CEST” is not a time zone"),
            ('[talks]\ntitle = "x"\n', "talks: should be tables; write [[talks]]"),
            ("title = 'x'\n", "there are no talks in it"),
            ("[[rooms]]\nhashtags = []\n" + TALK, "rooms[0]: it has no name"),
            ("x = " + "[" * 100_000, "it is nested too deep"),
            (TALK + "x" + ".a" * 90 + " = 1\n", "it is nested too deep"),
            (TALK + "[[talks]]\n" * 7_000, "it has more than 5,000 talks"),
            ("# " + "x" * 2_100_000, "it is larger than 2,097,152 bytes"),
        ):
            self.assertIn(words, self.refusal(text, "toml"))

    def test_keys_and_mistakes_without_end_do_not_take_for_ever(self) -> None:
        for text, words in (
            ("a." * 100_000 + "a = 1\n" + TALK, "it is nested too deep"),
            (TALK + "x = {" + '"b c" . ' * 100_000 + "a = 1}\n", "it is nested too deep"),
            ("".join(f"k{number} = 1\n" for number in range(100_000)), "and 193 more"),
            ("[[talks]]\nx = 1\n" * 120_000, "it has more than 5,000 talks"),
        ):
            self.assertIn(words, self.refusal(text, "toml", within_s=3.0))
        prose = changed("Plain.", "Yes. No. " * 40 + "v1.2.3.4.5.6 " * 200)
        self.assertEqual(self.talk(prose).id, "feeds")

    def test_handles_are_normalised(self) -> None:
        for written, handle in (
            ("@a", "a"),
            ("https://x.com/a", "a"),
            ("twitter.com/A/", "a"),
            ("https://www.twitter.com/a?lang=de", "a"),
            ("@Ann@Social.Example", "ann@social.example"),
            ("https://bsky.app/profile/ann.bsky.social", "ann.bsky.social"),
            ("ann.bsky.social", "ann.bsky.social"),
        ):
            self.assertEqual(self.talk(changed("@Bo", written)).speakers[1].handles[0], handle)

    def test_an_address_that_only_looks_like_a_profile_is_no_handle(self) -> None:
        for name in ("@-o", "@.o", "@o.", "@@o", "@"):
            talk = self.talk(changed("social.example/@bo", f"social.example/{name}"))
            self.assertEqual(talk.speakers[1].handles, ("bo",), name)
        for name in ("@bo", "a@b", "-o", "bo."):
            talk = self.talk(changed("social.example/@bo", f"bsky.app/profile/{name}"))
            self.assertEqual(talk.speakers[1].handles, ("bo",), name)
