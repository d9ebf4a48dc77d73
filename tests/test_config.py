"""From a TOML file to settings; ``tests/configuration`` has what can be wrong with one."""

from __future__ import annotations

from datetime import UTC, date, datetime
from ipaddress import ip_network
from pathlib import Path
from zoneinfo import ZoneInfo

import attrs
import docutils.core
from twisted.trial.unittest import SynchronousTestCase

from afeed import config
from afeed.core.attribution.weights import Weights
from afeed.core.calendar import whole_days
from afeed.core.filters import Filters
from afeed.demo import PROGRAMME, RECORDING
from afeed.settings import (
    Event,
    FlickrSource,
    PushSource,
    ReplaySource,
    ScheduleSettings,
    Secret,
    Server,
    Store,
    XAccount,
    XSource,
)
from tests.configuration.files import ENVIRON, EVENT, EXAMPLE, PROJECT, TOKEN, ConfigurationTestCase

PAGE = PROJECT / "docs" / "configuration.rst"


class LoadTests(ConfigurationTestCase):
    """What a correct file becomes."""

    def test_only_events_are_needed(self) -> None:
        settings = self.load(EVENT)
        self.assertEqual(settings.server, Server())
        self.assertEqual((settings.x, settings.flickr), (None, None))
        self.assertEqual(
            settings.events,
            (
                Event(
                    slug="one",
                    name="One",
                    timezone=ZoneInfo("Europe/Amsterdam"),
                    starts=date(2026, 11, 21),
                    ends=date(2026, 11, 23),
                ),
            ),
        )

    def test_the_annotated_example(self) -> None:
        (self.folder / "last-year.jsonl").touch()
        settings = self.load(EXAMPLE.read_bytes(), ENVIRON)
        self.assertEqual(settings.server, Server())
        self.assertEqual(
            settings.store,
            Store(data_dir=self.folder / "var", archive=f"sqlite:///{self.folder}/var/archive.sqlite3"),
        )
        self.assertEqual(settings.x, XAccount(bearer_token=Secret(TOKEN)))
        self.assertEqual(
            settings.events[0].sources,
            (
                XSource(rule="#aea -is:retweet"),
                FlickrSource(tags=("aneventapart",), interval_s=60.0),
                PushSource(token=Secret(TOKEN)),
                ReplaySource(file=self.folder / "last-year.jsonl", speed=10.0),
            ),
        )

    def test_the_path_may_be_text_and_relative(self) -> None:
        self.write(EVENT)
        relative = Path("..") / self.path.relative_to(self.folder.parent)
        settings = config.load(str(self.folder / relative), {})
        self.assertEqual(settings.store.data_dir, self.folder / "var")

    def test_the_settings_cannot_be_changed(self) -> None:
        self.assertRaises(attrs.exceptions.FrozenInstanceError, setattr, self.load(EVENT), "events", ())

    def test_dotted_keys_and_inline_tables_are_the_same_thing(self) -> None:
        settings = self.load(
            'server.internal = ["10.0.0.0/8", "192.0.2.1"]\n'
            'events = [{slug = "one", name = "One", timezone = "UTC", '
            "starts = 2026-01-01, ends = 2026-01-01}]\n"
        )
        self.assertEqual(settings.server.internal, (ip_network("10.0.0.0/8"), ip_network("192.0.2.1/32")))
        self.assertEqual(settings.events[0].slug, "one")

    def test_a_source_runs_before_and_after_its_event(self) -> None:
        (self.folder / "r.jsonl").touch()
        event = self.load(
            EVENT + '[[events.sources]]\ntype = "replay"\nfile = "r.jsonl"\nlead_days = 30\ntail_days = 0\n'
        ).events[0]
        days = (date(2026, 10, 22), date(2026, 11, 23))
        self.assertEqual(event.active_days(event.sources[0]), days)
        self.assertEqual(event.active(event.sources[0]), whole_days(*days, event.timezone))

    def test_config_29_origins_are_written_as_browsers_write_them(self) -> None:
        for text, expected in (
            ("https://Feed.Example.org/", "https://feed.example.org"),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
            ("https://straße.example:443", "https://xn--strae-oqa.example"),
            ("http://example.org:80", "http://example.org"),
            ("http://example.org:443", "http://example.org:443"),
            ("http://[::1]:8080", "http://[::1]:8080"),
        ):
            settings = self.load(
                f'[server]\npublic_url = "{text}"\nframe_ancestors = ["{text}"]\n'
                f'cors_origins = ["{text}"]\n{EVENT}'
            )
            self.assertEqual(settings.server.public_url, expected)
            self.assertEqual(settings.server.frame_ancestors, (expected,))
            self.assertEqual(settings.server.cors_origins, (expected,))

    def test_the_public_url_follows_the_first_endpoint(self) -> None:
        settings = self.load(f'[server]\nlisten = ["tcp:9000", "tcp:9001"]\n{EVENT}')
        self.assertEqual(settings.server.public_url, "http://127.0.0.1:9000")


class CheckTests(ConfigurationTestCase):
    def test_it_says_what_would_run(self) -> None:
        (self.folder / "last-year.jsonl").touch()
        text = config.check(self.load(EXAMPLE.read_bytes(), ENVIRON))
        for expected in (
            "listen           tcp:8080:interface=127.0.0.1",
            "public_url       http://127.0.0.1:8080",
            f"archive          sqlite:///{self.folder}/var/archive.sqlite3",
            "bearer token from environment variable AFEED_X_BEARER_TOKEN",
            "page           http://127.0.0.1:8080/aea-seattle-2026",
            "days           2026-11-21 to 2026-11-23, America/Los_Angeles",
            "rule #aea -is:retweet",
            "tags aneventapart; asked for every 60 s",
            "POST http://127.0.0.1:8080/aea-seattle-2026/items, token from environment variable AFEED_PUSH_",
            f"{self.folder}/last-year.jsonl at 10 times its speed",
            "runs 2026-11-20 to 2026-11-25",
        ):
            self.assertIn(expected, text)
        self.assertNotIn(TOKEN, text)

    def test_an_event_without_sources_is_told_of(self) -> None:
        self.assertIn("no sources: nothing will come in", config.check(self.load(EVENT)))


class DemoTests(SynchronousTestCase):
    def test_it_is_live_and_keeps_everything_below_its_folder(self) -> None:
        now = datetime(2026, 12, 31, 23, 59, tzinfo=UTC).timestamp()
        settings = config.demo(Path("/state"), ("tcp:8099:interface=127.0.0.1",), now=lambda: now)
        (event,) = settings.events
        self.assertEqual((event.slug, event.starts), ("demo", date(2026, 12, 31)))
        self.assertEqual(event.ends, date(2027, 1, 6))
        self.assertEqual(settings.server.public_url, "http://127.0.0.1:8099")
        self.assertEqual(settings.store.data_dir, Path("/state"))
        self.assertEqual(settings.store.archive, "sqlite:////state/archive.sqlite3")
        (source,) = event.sources
        speed = config.DEMO_SPEED
        self.assertEqual(source, ReplaySource(file=RECORDING, speed=speed, loop=True, rewind=True))
        self.assertEqual(event.schedule, ScheduleSettings(file=PROGRAMME, format="toml", speed=speed))
        self.assertTrue(RECORDING.is_file())
        self.assertIn(event.name, config.check(settings))


class DocumentationTests(SynchronousTestCase):
    def test_the_page_is_correct_restructuredtext(self) -> None:
        docutils.core.publish_doctree(
            PAGE.read_text("utf-8"),
            settings_overrides={
                "halt_level": 2,
                "report_level": 2,
                "warning_stream": False,
                "syntax_highlight": "none",
            },
        )

    def test_the_page_and_the_example_name_every_key(self) -> None:
        names = """
            listen public_url trusted_proxies internal frame_ancestors cors_origins data_dir live_log
            live_log_password_env window max_log_bytes archive archive_password_env bearer_token_env
            api_key_env api_url slug name timezone starts ends hashtags type rule tags interval_s
            token_env file speed loop lead_days tail_days password_hash format keep_media media_dir
            max_media_bytes max_connections_per_address blocked
        """
        keys = [*names.split(), *attrs.fields_dict(Weights), *attrs.fields_dict(Filters)]
        page, example = PAGE.read_text("utf-8"), EXAMPLE.read_text("utf-8")
        self.assertEqual([key for key in sorted(keys) if f"``{key}``" not in page], [])
        self.assertEqual([key for key in sorted(keys) if key not in example], [])
