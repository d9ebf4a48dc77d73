"""Each kind of evidence by itself, and what an item must have to be filed at all."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import attrs
import msgspec
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from afeed.core.attribution.filing import Context, Filing, file, seconds_of
from afeed.core.attribution.index import Index, prepare
from afeed.core.attribution.weights import Weights
from afeed.core.item import Author, Item, Media, Quote
from tests.core.attribution.labelled import schedule
from tests.properties import given, settings

INDEX = prepare(schedule())


def item(at: str = "11:00", text: str = "Interesting", *, author: str = "someone", **members: Any) -> Item:
    """A post at ``at`` by the clocks in Amsterdam."""
    hour, minute = at.split(":")
    return Item(
        id="push:1",
        source="push",
        author=Author(name=author, handle=author),
        text=text,
        html=members.pop("html", ""),
        created_at=f"2026-11-21T{int(hour) - 1:02}:{minute}:00Z",
        **members,
    )


def filed(at: str, text: str = "Interesting", context: Context | None = None, **members: Any) -> Filing:
    return file(INDEX, item(at, text, **members), context or Context())


def photo(taken: str | None) -> tuple[Media, ...]:
    return (Media(type="photo", url="https://photos.example/1.jpg", taken_at=taken),)


class TimeTests(SynchronousTestCase):
    def test_one_talk_at_a_time_needs_nothing_else(self) -> None:
        filing = filed("09:45")
        self.assertEqual((filing.talk, filing.reasons, filing.firm), ("keynote", ("during",), False))

    def test_two_talks_at_a_time_do(self) -> None:
        filing = filed("10:45")
        self.assertEqual((filing.talk, filing.reasons), (None, ("between:graphql,postgres",)))

    def test_the_tail_fades(self) -> None:
        scores = [filed(at).score for at in ("10:16", "10:20", "10:25")]
        self.assertEqual(scores, sorted(scores, reverse=True))
        self.assertEqual([filed(at).talk for at in ("10:16", "10:25")], ["keynote", None])
        self.assertEqual(filed("10:25").reasons, ("weak", "after"))

    def test_far_from_everything_there_is_nothing(self) -> None:
        self.assertEqual(filed("22:00"), Filing(None, 0.0, ("nothing",)))

    def test_breaks_are_honest(self) -> None:
        self.assertEqual(filed("13:00", "What a day").reasons, ("pause:Lunch",))
        self.assertEqual(filed("17:31", "What a day").reasons[0], "pause:Drinks")
        filing = filed("09:40", "coffee!")
        self.assertEqual((filing.talk, filing.reasons), (None, ("weak", "during", "chatter:coffee")))

    def test_a_word_of_the_title_is_not_chatter(self) -> None:
        self.assertEqual(filed("12:35", "that postgres queue talk").talk, "postgres")

    def test_a_long_talk_s_time_says_nothing_and_neither_does_a_cancelled_one_s(self) -> None:
        day = schedule()
        [keynote] = [talk for talk in day.talks if talk.id == "keynote"]
        for changed in (
            msgspec.structs.replace(keynote, end=keynote.start + timedelta(hours=7)),
            msgspec.structs.replace(keynote, cancelled=True),
        ):
            index = prepare(msgspec.structs.replace(day, talks=(changed,)))
            self.assertIsNone(file(index, item("09:45")).talk)
            self.assertEqual(file(index, item("09:45", "a pity, #longmemory")).talk, "keynote")


class PhotoTests(SynchronousTestCase):
    def test_a_photo_belongs_where_it_was_taken(self) -> None:
        filing = filed("20:00", kind="photo", media=photo("2026-11-21T09:50:00"))
        self.assertEqual((filing.talk, filing.reasons), ("keynote", ("during taken",)))
        zoned = filed("20:00", kind="photo", media=photo("2026-11-21T08:50:00Z"))
        self.assertEqual(zoned.talk, "keynote")

    def test_a_clock_that_cannot_be_right_is_not_believed(self) -> None:
        for taken in (
            "2026-11-21T17:00:00",
            "2019-01-01T09:50:00",
            "2026",
            "2026-11-21",
            None,
            "9999-12-31T23:59:59",
        ):
            shown = item("09:50", media=photo(taken))
            self.assertEqual(seconds_of(INDEX, shown)[1], False, taken)
            self.assertEqual(file(INDEX, shown).talk, "keynote", taken)

    def test_an_upload_without_a_time_of_its_own_could_be_from_any_time(self) -> None:
        self.assertIsNone(filed("09:50", "", kind="photo", media=photo(None)).talk)


class WordTests(SynchronousTestCase):
    def test_hashtags(self) -> None:
        self.assertEqual(filed("22:00", "still thinking #LongMemory").talk, "keynote")
        self.assertEqual(filed("22:00", "#longmemory").reasons, ("hashtag:#longmemory",))
        self.assertEqual(filed("10:45", "#fcsouth").reasons, ("during", "room:#fcsouth"))
        self.assertEqual(filed("10:45", "#HallNorth").talk, "graphql")
        self.assertEqual(filed("10:45", "#feedconfhallnorth").talk, "graphql")
        self.assertIsNone(filed("22:00", "#fcsouth").talk)

    def test_speakers(self) -> None:
        self.assertEqual(filed("10:45", "go @DeepaRaman!").talk, "graphql")
        self.assertEqual(filed("22:00", "thank you @deeparaman.").talk, "graphql")
        self.assertIsNone(filed("08:10", "breakfast with @deeparaman").talk, "before her talk")
        self.assertEqual(filed("10:45", "@deeparaman2 is not her").talk, None)
        self.assertEqual(filed("22:00", "Tomas Ferreira was great").talk, "postgres", "without his accent")
        self.assertEqual(filed("10:45", "Deepa is on fire").talk, "graphql")
        self.assertIsNone(filed("22:00", "my friend Deepa").talk)
        self.assertEqual(filed("11:20", "slides soon", author="deeparaman").talk, "graphql")
        self.assertIsNone(filed("20:00", "on the boat", author="deeparaman").talk)

    def test_titles(self) -> None:
        self.assertEqual(filed("10:45", "GraphQL, finally").talk, "graphql")
        self.assertEqual(filed("22:00", "Rewriting an ingest in Rust, the slides").talk, "rust")
        self.assertIsNone(filed("22:00", "I like rust").talk, "one word, hours later")
        self.assertIsNone(filed("10:22", "Now: GraphQL without Tears and Postgres as a Queue").talk, "both")
        self.assertEqual(filed("22:00", "accessibility of charts").talk, "charts")

    def test_other_scripts(self) -> None:
        day = schedule()
        [rtl] = [talk for talk in day.talks if talk.id == "rtl"]
        index = prepare(
            msgspec.structs.replace(day, talks=(msgspec.structs.replace(rtl, title="縦書きの世界"),))
        )
        self.assertEqual(file(index, item("22:00", "縦書きの話、よかった")).talk, "rtl")

    def test_links_also_where_the_text_shortens_them(self) -> None:
        self.assertEqual(filed("22:00", "https://www.feedconf.example/talks/rust/").talk, "rust")
        self.assertEqual(filed("22:00", "(see http://feedconf.example/talks/rust).").reasons, ("link",))
        html = '<p>see <a href="https://feedconf.example/talks/rust">feedconf…</a></p>'
        self.assertEqual(filed("22:00", "see feedconf…", html=html).talk, "rust")

    def test_a_quoted_post_counts(self) -> None:
        quote = Quote(author=Author(name="A"), text="#longmemory", html="")
        self.assertEqual(filed("22:00", "this", quote=quote).talk, "keynote")

    def test_types(self) -> None:
        self.assertIn("kind:keynot", filed("10:17", "ok that keynote was good").reasons)


class PeopleTests(SynchronousTestCase):
    def test_an_answer_belongs_to_its_parent_s_talk(self) -> None:
        filing = filed("13:00", "so true", Context(parent="graphql"))
        self.assertEqual((filing.talk, filing.reasons, filing.firm), ("graphql", ("reply",), False))
        self.assertIsNone(filed("13:00", "so true", Context(parent="unknown")).talk)
        self.assertEqual(
            filed("13:00", "but @tferreira says #longmemory", Context(parent="graphql")).talk, "keynote"
        )

    def test_who_was_heard_in_one_talk_is_not_in_the_other(self) -> None:
        filing = filed("10:45", "wow", Context(seen={"postgres": 1}))
        self.assertEqual((filing.talk, filing.reasons), ("postgres", ("during", "seen")))

    def test_who_keeps_to_a_room_is_in_it(self) -> None:
        south = {"postgres": 3, "chaos": 1, "rust": 1}
        self.assertEqual(filed("14:45", "wow", Context(seen=south)).reasons, ("during", "stayed"))
        self.assertIsNone(filed("14:45", "wow", Context(seen={"postgres": 9})).talk, "one talk is no habit")
        self.assertIsNone(filed("14:45", "wow", Context(seen={**south, "keynote": 1, "graphql": 1})).talk)

    def test_only_what_an_item_says_itself_makes_it_firm(self) -> None:
        self.assertTrue(filed("10:45", "GraphQL").firm)
        self.assertFalse(filed("10:45", "wow", Context(seen={"postgres": 1})).firm)

    def test_an_alias_is_the_talk_it_leads_to(self) -> None:
        index = prepare(msgspec.structs.replace(schedule(), aliases={"old": "graphql"}))
        self.assertEqual(file(index, item("13:00"), Context(parent="old")).talk, "graphql")


class WeightTests(SynchronousTestCase):
    def test_weights_are_configurable(self) -> None:
        eager = prepare(schedule(), attrs.evolve(Weights(), threshold=0.1, tail_min=120.0, pause=0.0))
        self.assertEqual(file(eager, item("10:29")).talk, "keynote")
        wary = prepare(schedule(), Weights(threshold=2.5))
        self.assertIsNone(file(wary, item("09:45")).talk)
        off = prepare(schedule(), Weights(tail_min=0.0, lead_min=0.0))
        self.assertEqual(file(off, item("10:16")).reasons, ("nothing",))

    def test_no_talks_at_all(self) -> None:
        index = prepare(msgspec.structs.replace(schedule(), talks=()))
        self.assertEqual(file(index, item("10:45", "GraphQL #longmemory")).reasons, ("nothing",))


class AnythingTests(SynchronousTestCase):
    index: Index = INDEX

    @settings(max_examples=200)
    @given(
        st.text(max_size=300),
        st.text(max_size=30)
        | st.sampled_from(["2026-11-21T09:50:00Z", "0001-01-01T00:00:00+23:00", "9999-12-31"]),
        st.none() | st.text(max_size=25) | st.sampled_from(["2026-11-21T09:50", "0000-00-00T00:00:00"]),
    )
    def test_whatever_an_item_holds(self, text: str, created_at: str, taken: str | None) -> None:
        odd = msgspec.structs.replace(item(), text=text, html=text, created_at=created_at, media=photo(taken))
        self.assertIsInstance(file(self.index, odd, Context(parent=text, seen={text: 1})), Filing)

    def test_a_very_long_text_costs_no_more_than_a_long_one(self) -> None:
        self.assertEqual(filed("22:00", "x " * 1_000_000 + "#longmemory").talk, None)
