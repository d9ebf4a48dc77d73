"""Whether pictures are kept, and where."""

from __future__ import annotations

from afeed import config
from tests.configuration.files import EVENT, ConfigurationTestCase


class MediaTests(ConfigurationTestCase):
    def test_pictures_live_at_their_source_unless_it_is_said_otherwise(self) -> None:
        settings = self.load(EVENT)
        self.assertFalse(settings.events[0].keep_media)
        self.assertIn("pictures       live at their source", config.check(settings))
        self.assertNotIn("bytes at most", config.check(settings))

    def test_kept_ones_are_beside_the_data_or_where_one_wants_them(self) -> None:
        settings = self.load(EVENT + "keep_media = true\n")
        self.assertTrue(settings.events[0].keep_media)
        self.assertEqual(settings.store.media, self.folder / "var" / "media")
        self.assertIn(f"{self.folder}/var/media, 10,000,000,000 bytes at most", config.check(settings))
        settings = self.load(
            f'[store]\nmedia_dir = "pictures"\nmax_media_bytes = 20_000_000\n{EVENT}keep_media = true\n'
        )
        self.assertEqual(settings.store.media, self.folder / "pictures")
        self.assertEqual(settings.store.max_media_bytes, 20_000_000)

    def test_what_makes_no_sense_is_told(self) -> None:
        (self.folder / "file").touch()
        for line, problem in (
            ("max_media_bytes = 1", "max_media_bytes: must be from 20,000,000"),
            ('media_dir = "file"', "media_dir: "),
            ("media_dir = 1", "media_dir: must be a string"),
        ):
            self.assertIn(problem, self.problem(f"[store]\n{line}\n{EVENT}"))
        self.assertIn("keep_media: must be true or false", self.problem(EVENT + 'keep_media = "yes"\n'))

    def test_their_address_is_no_event(self) -> None:
        self.assertIn("an address of afeed itself", self.problem(EVENT.replace('"one"', '"media"')))
