"""Where an event's schedule comes from."""

from __future__ import annotations

from afeed import config
from afeed.settings import ScheduleSettings
from tests.configuration.files import EVENT, ConfigurationTestCase, without_privileges


class ScheduleTests(ConfigurationTestCase):
    def schedule(self, text: str) -> ScheduleSettings | None:
        return self.load(f"{EVENT}[events.schedule]\n{text}").events[0].schedule

    def wrong(self, text: str) -> str:
        return self.problem(f"{EVENT}[events.schedule]\n{text}")

    def test_none_is_needed(self) -> None:
        self.assertIsNone(self.load(EVENT).events[0].schedule)

    def test_an_address(self) -> None:
        found = self.schedule(
            'url = "https://exconf.example/schedule.xml?lang=en"\nformat = "frab"\ninterval_s = 60'
        )
        self.assertEqual(
            found,
            ScheduleSettings(url="https://exconf.example/schedule.xml?lang=en", format="frab", interval_s=60.0),
        )

    def test_a_file_beside_the_configuration(self) -> None:
        path = self.folder / "schedule.toml"
        path.write_bytes(b"")
        self.assertEqual(self.schedule('file = "schedule.toml"'), ScheduleSettings(file=path))

    def test_each_event_has_its_own(self) -> None:
        text = EVENT + '[events.schedule]\nurl = "https://a.example/x"\n' + EVENT.replace('"one"', '"two"')
        self.assertEqual([event.schedule is not None for event in self.load(text).events], [True, False])

    def test_mistakes(self) -> None:
        for text, words in (
            ("", "8: events[0].schedule: needs a file or a url"),
            ('url = "ftp://x.example/a"', "9: events[0].schedule.url: must be an address such as https://"),
            ('url = "https://ann:pw@x.example/a"', "must be an address such as https://"),
            ('url = "https://x_.example/a"', "is not a host name"),
            ('url = "https://x.example/a b"', "must be an address"),
            ('file = "absent.xml"', "cannot read the schedule"),
            ('file = "."', "is not a regular file"),
            (
                'url = "https://x.example/a"\nformat = "xml"',
                "10: events[0].schedule.format: must be one of auto, frab",
            ),
            ('url = "https://x.example/a"\ninterval_s = 1', "must be from 10 to 86,400, not 1.0"),
            ('url = "https://x.example/a"\nfile = "afeed.toml"', "file is given too"),
            ('urls = "https://x.example/a"', "unknown key; did you mean url?"),
        ):
            self.assertIn(words, self.wrong(text))
        self.assertIn("must be a table: write [events.schedule]", self.problem(EVENT + "schedule = 3\n"))

    def test_import_34_a_file_that_may_not_be_read(self) -> None:
        path = self.folder / "schedule.xml"
        path.write_bytes(b"x")
        path.chmod(0)
        self.write(f'{EVENT}[events.schedule]\nfile = "schedule.xml"\n')
        with without_privileges():
            error = self.assertRaises(config.ConfigurationError, config.load, self.path, {})
        self.assertIn("cannot read the schedule", str(error))
        self.assertIn("Permission denied", str(error))

    def test_what_would_run_says_it(self) -> None:
        settings = self.load(EVENT + '[events.schedule]\nurl = "https://exconf.example/schedule.xml"\n')
        self.assertIn(
            "  schedule       https://exconf.example/schedule.xml (auto), looked at every 300 s",
            config.check(settings).splitlines(),
        )
