"""How posts are filed under talks."""

from __future__ import annotations

import attrs

from afeed import config
from afeed.core.attribution.weights import Weights
from tests.configuration.files import EVENT, ConfigurationTestCase


class AttributionTests(ConfigurationTestCase):
    def weights(self, text: str) -> Weights:
        return self.load(f"{EVENT}[events.attribution]\n{text}").events[0].attribution

    def wrong(self, text: str) -> str:
        return self.problem(f"{EVENT}[events.attribution]\n{text}")

    def test_none_is_needed(self) -> None:
        self.assertEqual(self.load(EVENT).events[0].attribution, Weights())

    def test_every_weight_is_a_key_and_the_others_stay_as_they_are(self) -> None:
        for field in attrs.fields(Weights):
            found = self.weights(f"{field.name} = 7")
            self.assertEqual(found, attrs.evolve(Weights(), **{field.name: 7.0}))

    def test_each_event_has_its_own(self) -> None:
        text = EVENT + "[events.attribution]\nreply = 0\n" + EVENT.replace('"one"', '"two"')
        self.assertEqual([event.attribution.reply for event in self.load(text).events], [0.0, 3.0])

    def test_what_is_not_usual_is_said(self) -> None:
        text = f"{EVENT}[events.attribution]\nreply = 0\ntail_min = 45.5\n"
        self.assertIn("  attribution    tail_min 45.5, reply 0\n", config.check(self.load(text)) + "\n")
        self.assertNotIn("attribution", config.check(self.load(EVENT)))

    def test_mistakes(self) -> None:
        for text, words in (
            ("treshold = 1.5", "unknown key; did you mean threshold?"),
            ("reply = -1", "9: events[0].attribution.reply: must be from 0 to 100"),
            ("tail_min = 5000", "must be from 0 to 1,440"),
            ('reply = "3"', "must be a number"),
            ("reply = nan", "must be"),
        ):
            self.assertIn(words, self.wrong(text))
        wrong = self.problem(EVENT + "attribution = 3\n")
        self.assertIn("must be a table: write [events.attribution]", wrong)
