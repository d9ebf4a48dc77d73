"""What an incorrect file is told."""

from __future__ import annotations

from hypothesis import strategies as st

from afeed import config
from tests.configuration.files import ENVIRON, EVENT, EXAMPLE, TOKEN, ConfigurationTestCase
from tests.properties import given


class ProblemTests(ConfigurationTestCase):
    def _server(self, line: str) -> str:
        return self.problem(f"[server]\n{line}\n{EVENT}").removeprefix("2: server.")

    def _event(self, line: str) -> str:
        """The problem of the event with ``line`` in place of its own line for that key."""
        key = line.partition(" ")[0]
        lines = [line if old.startswith(f"{key} ") else old for old in EVENT.splitlines()]
        return self.problem("\n".join(lines if line in lines else [*lines, line])).partition(": events[0].")[2]

    def _source(self, *lines: str, accounts: bool = True) -> str:
        access = (
            '[accounts.x]\nbearer_token_env = "T"\n[accounts.flickr]\napi_key_env = "T"\n' if accounts else ""
        )
        text = "\n".join((access, EVENT, "[[events.sources]]", *lines))
        return self.problem(text, {"T": TOKEN}).partition(": events[0].")[2]

    def test_everything_is_reported_at_once_with_its_line(self) -> None:
        problems = self.problems(
            '[server]\nlisten = ["tcp:0"]\ncolour = "red"\n[store]\nwindow = 1\n[accounts.x]\n'
            '[[events]]\nslug = "UPPER"\nname = ""\ntimezone = "CEST"\nstarts = "2026-11-21"\n'
            'sources = [{type = "push"},\n  {type = "y"}]\n'
        )
        self.assertEqual(
            [problem.rpartition(": ")[0] and problem.split(": ")[:2] for problem in problems],
            [
                ["2", "server.listen[0]"],
                ["3", "server.colour"],
                ["5", "store.window"],
                ["6", "accounts.x.bearer_token_env"],
                ["7", "events[0].ends"],
                ["8", "events[0].slug"],
                ["9", "events[0].name"],
                ["10", "events[0].timezone"],
                ["11", "events[0].starts"],
                ["12", "events[0].sources[0].token_env"],
                ["13", "events[0].sources[1].type"],
            ],
        )

    def test_config_05_an_unknown_key_is_told_the_nearest_one(self) -> None:
        self.assertEqual(
            self._server("trusted_proxy = []"), "trusted_proxy: unknown key; did you mean trusted_proxies?"
        )
        self.assertIn("known here: cors_origins,", self._server("ratelimt = 5"))
        self.assertEqual(self.problem("[sever]\n" + EVENT), "1: sever: unknown key; did you mean server?")
        self.assertEqual(self.problem('"a b" = 1\n' + EVENT)[:8], '1: "a b"')
        self.assertIn(
            "accounts.flicker: unknown key; did you mean flickr?", self.problem("[accounts.flicker]\n" + EVENT)
        )
        self.assertIn("sources[0].intervall_s: unknown key; did you mean interval_s?", self._source(
            'type = "flickr"', 'tags = ["a"]', "intervall_s = 5"
        ))  # fmt: skip

    def test_config_07_wrong_types(self) -> None:
        for line, message in (
            ("listen = 8080", "listen: must be an array"),
            (
                'listen = "tcp:8080"',
                "listen: must be an array, such as ['tcp:8080'], not the string 'tcp:8080'",
            ),
            ("listen = [8080]", "listen[0]: must be a string in quotes, not the integer 8080"),
            ("listen = []", "listen: must have 1 to 20 elements, not 0"),
            ("public_url = true", "public_url: must be a string in quotes, not the boolean true"),
            ("internal = [{a = 1}]", "internal[0]: must be a string in quotes, not a table"),
        ):
            self.assertTrue(self._server(line).startswith(message), self._server(line))
        for line in (
            "window = true",
            'window = "1000"',
            "window = 1e4",
            "window = [1000]",
            "window = 2026-11-21",
        ):
            self.assertIn("store.window: must be an integer", self.problem(f"[store]\n{line}\n{EVENT}"))

    def test_tables_that_are_something_else(self) -> None:
        self.assertEqual(self.problem("server = 1\n" + EVENT), "1: server: must be a table: write [server]")
        self.assertIn("write [accounts.x]", self.problem("[accounts]\nx = 1\n" + EVENT))
        self.assertEqual(self.problem("[events]\n"), "1: events: must be an array of tables: write [[events]]")
        self.assertIn("write [[events.sources]]", self.problem(EVENT + "[events.sources]\n"))
        self.assertIn("write [[events]]", self.problem("events = [1]\n"))

    def test_config_07_ports(self) -> None:
        for port in ("80a", "0", "-1", "65536", "true"):
            self.assertTrue(self._server(f'listen = ["tcp:{port}"]').startswith("listen[0]: the port must be"))

    def test_one_endpoint_twice(self) -> None:
        self.assertIn("names one endpoint twice", self._server('listen = ["tcp:8080", "tcp:8080"]'))

    def test_an_endpoint_that_does_not_tell_the_public_url(self) -> None:
        problem = self.problem(f'[server]\nlisten = ["unix:a.sock"]\n{EVENT}')
        self.assertEqual(
            problem,
            "1: server.public_url: is missing, and a unix endpoint does not tell what browsers ask for",
        )

    def test_config_29_origins_without_a_scheme_or_with_a_path(self) -> None:
        for value in (
            "example.com", "//example.com", "ftp://example.com", "https://", "https://a b.example", "*", "null",
            "https://example.com/feed", "https://example.com?x", "https://example.com#x", "https://example.com:0",
            "https://example.com:99999", "https://*.example.com", "https://-a.example", "https://1.2.3",
            "https://0x7f.1", "https://a..b", "https://me@example.com", "https://[::1", "https://\\\\example.com",
            "https://" + "a" * 64,
        ):  # fmt: skip
            for key in ("frame_ancestors", "cors_origins"):
                self.assertTrue(self._server(f'{key} = ["{value}"]').startswith(f"{key}[0]: "), value)
            self.assertTrue(self._server(f'public_url = "{value}"').startswith("public_url: "), value)

    def test_config_30_trusting_everybody(self) -> None:
        for networks in ('"0.0.0.0/0"', '"::/0"', '"0.0.0.0/1", "128.0.0.0/1"'):
            self.assertIn("covers every address", self._server(f"trusted_proxies = [{networks}]"))

    def test_metrics_and_health_details_are_not_for_the_whole_world(self) -> None:
        for networks in ('"0.0.0.0/0"', '"::/0"', '"0.0.0.0/1", "128.0.0.0/1"'):
            self.assertIn("shown to the whole world", self._server(f"internal = [{networks}]"))

    def test_every_wrong_network_of_a_list_is_told_at_once(self) -> None:
        for key in ("trusted_proxies", "internal"):
            name, everything = self.problems(f'[server]\n{key} = ["localhost", "0.0.0.0/0"]\n{EVENT}')
            self.assertIn(f"2: server.{key}[0]: must be a CIDR", name)
            self.assertIn(f"2: server.{key}[1]: '0.0.0.0/0' covers every address", everything)

    def test_config_31_host_names_and_crooked_networks(self) -> None:
        for value in ("localhost", "proxy.example.org", "", "10.0.0.0/33", "10.0.0", "fe80::1%eth0/64", "*"):
            self.assertIn("must be a CIDR", self._server(f'trusted_proxies = ["{value}"]'), value)
        self.assertIn("write 10.0.0.0/8 or 10.1.2.3", self._server('internal = ["10.1.2.3/8"]'))

    def test_slugs(self) -> None:
        for value in ("", "Upper", "a_b", "a/b", "ä", "a" * 65, "a b", ".."):
            self.assertIn("slug: must be 1 to 64 of the characters", self._event(f'slug = "{value}"'), value)
        for value in ("admin", "api", "static", "healthz", "readyz", "metrics", "favicon.ico", "robots.txt"):
            self.assertIn("is an address of afeed itself", self._event(f'slug = "{value}"'), value)

    def test_config_36_two_events_of_one_slug(self) -> None:
        self.assertEqual(
            self.problem(EVENT + EVENT), "10: events[1].slug: 'one' is the slug of the event in line 3 already"
        )

    def test_config_37_bad_zones(self) -> None:
        for value in (
            "CEST",
            "Mars/Base",
            "",
            "../../etc/passwd",
            "/etc/localtime",
            "UTC+2",
            "europe/amsterdam",
        ):
            self.assertIn("is not a time zone", self._event(f'timezone = "{value}"'), value)
        self.assertIn("such as Europe/Amsterdam", self._event('timezone = "CEST"'))
        self.assertIn("did you mean Europe/Amsterdam?", self._event('timezone = "Europe/Amsterdm"'))

    def test_dates(self) -> None:
        for value in ('"2026-11-21"', "2026-11-21T09:00:00", "09:00:00", "20261121", "true"):
            self.assertIn("starts: must be a date without quotes", self._event(f"starts = {value}"))
        self.assertIn("must be a date from 2000 to 2199", self._event("ends = 9999-12-31"))
        self.assertIn("must be a date from 2000 to 2199", self._event("starts = 0001-01-01"))
        self.assertEqual(self._event("ends = 2026-11-20"), "ends: 2026-11-20 is before starts, 2026-11-21")

    def test_names(self) -> None:
        self.assertIn("name: is empty", self._event('name = " "'))
        self.assertIn("200 are allowed", self._event(f'name = "{"a" * 201}"'))
        self.assertIn("control character", self._event('name = "a\\u0000b"'))
        self.assertIn("control character", self._event('name = "a\\nfake.toml:1: log"'))

    def test_hashtags(self) -> None:
        for value in ("", "#", "##a", "a", "#a b", "a b", "#a-b", "#a#b"):
            self.assertIn("hashtags[0]: must be # and then", self._event(f'hashtags = ["{value}"]'), value)
        self.assertIn("60 are allowed", self._event(f'hashtags = ["#{"a" * 60}"]'))
        self.assertIn("twice", self._event('hashtags = ["#aea", "#AEA"]'))
        self.assertEqual(
            self.load(EVENT + 'hashtags = ["#été", "#技術", "#हिन्दी"]').events[0].hashtags,
            ("#été", "#技術", "#हिन्दी"),
        )

    def test_source_types(self) -> None:
        self.assertIn("sources[0].type: is missing; it must be one of x, flickr, push, replay", self._source())
        self.assertIn("unknown type 'flicker'; did you mean flickr?", self._source('type = "flicker"'))
        self.assertIn("type: must be a string", self._source("type = 1"))

    def test_sources_need_their_accounts(self) -> None:
        for lines, account in (
            (('type = "x"', 'rule = "#a"'), "[accounts.x]"),
            (('type = "flickr"', 'tags = ["a"]'), "[accounts.flickr]"),
        ):
            self.assertIn(account, self._source(*lines, accounts=False))

    def test_x_rules(self) -> None:
        self.assertIn("rule: is missing", self._source('type = "x"'))
        self.assertIn("rule: is empty", self._source('type = "x"', 'rule = ""'))
        self.assertIn("1,024 are allowed", self._source('type = "x"', f'rule = "{"a" * 1025}"'))

    def test_two_x_sources_share_one_tag(self) -> None:
        problem = self._source('type = "x"', 'rule = "#a"', "[[events.sources]]", 'type = "x"', 'rule = "#b"')
        self.assertIn("sources[1].type: the event has this source in line", problem)
        self.assertIn("combine the rules into one with OR", problem)

    def test_flickr_sources(self) -> None:
        kind = 'type = "flickr"'
        self.assertIn("tags: is missing; it must be an array", self._source(kind))
        self.assertIn("1 to 20 elements, not 0", self._source(kind, "tags = []"))
        self.assertIn("1 to 20 elements, not 21", self._source(kind, f"tags = {['a'] * 21}"))
        self.assertIn("tags[1]: must be one tag", self._source(kind, 'tags = ["a", " "]'))
        self.assertIn("tags[0]: must be one tag", self._source(kind, 'tags = ["a,b"]'))
        for value in ("0", "0.5", "-1", "nan", "inf", "86401"):
            self.assertIn(
                "must be from 1 to 86,400", self._source(kind, 'tags = ["a"]', f"interval_s = {value}")
            )
        self.assertIn("must be a number", self._source(kind, 'tags = ["a"]', "interval_s = true"))

    def test_days_before_and_after(self) -> None:
        for value in ("-1", "3661"):
            self.assertIn("from 0 to 3,660", self._source('type = "x"', 'rule = "#a"', f"lead_days = {value}"))
        self.assertIn("must be an integer", self._source('type = "x"', 'rule = "#a"', "tail_days = 1.5"))

    def test_config_36_one_push_source_for_each_event(self) -> None:
        push = ('type = "push"', 'token_env = "T"')
        self.assertIn("use the same token", self._source(*push, "[[events.sources]]", *push).split("\n")[0])

    def test_replay_files(self) -> None:
        (self.folder / "r.jsonl").touch()
        kind = 'type = "replay"'
        self.assertIn("file: is missing", self._source(kind))
        self.assertIn("cannot read the recording", self._source(kind, 'file = "no.jsonl"'))
        self.assertIn("not a regular file", self._source(kind, 'file = "."'))
        for value in ("0", "0.0", "-1", "nan", "inf"):
            self.assertIn("speed: must be from", self._source(kind, 'file = "r.jsonl"', f"speed = {value}"))
        self.assertIn("loop: must be true or false", self._source(kind, 'file = "r.jsonl"', "loop = 1"))

    def test_config_36_two_replays_would_share_one_position(self) -> None:
        (self.folder / "r.jsonl").touch()
        replay = ('type = "replay"', 'file = "r.jsonl"')
        problem = self._source(*replay, "[[events.sources]]", *replay)
        self.assertIn("join the recordings into one file", problem)


class AnythingTests(ConfigurationTestCase):
    """Whatever the file says, it is settings or problems."""

    _LINES = tuple(line for line in EXAMPLE.read_text("utf-8").splitlines() if "=" in line and line[0] != "#")
    _VALUES = (
        "true", "0", "-1", "1e400", "nan", "99999999999999999999", '""', '"\\u0000"', '"\\U0001F600"', '"/"',
        '"a:b=c\\\\"', '"://"', '"sqlite:///"', '"redis://:@[/"', '"https://[::"', '"%"', '"\\u202e"', "[]",
        "[[]]", '["", 1, {}]', "{}", "{a.b = 1}", "2026-02-28", "0001-01-01", "9999-12-31", "10:00:00",
        f'"{"a" * 5000}"',
    )  # fmt: skip

    def setUp(self) -> None:
        super().setUp()
        (self.folder / "last-year.jsonl").touch()

    @given(st.lists(st.tuples(st.sampled_from(_LINES), st.sampled_from(_VALUES)), min_size=1, max_size=4))
    def test_any_key_may_hold_any_value(self, changes: list[tuple[str, str]]) -> None:
        text = EXAMPLE.read_text("utf-8")
        for line, value in changes:
            text = text.replace(line, f"{line.partition(' = ')[0]} = {value}")
        self.write(text)
        try:
            config.check(config.load(self.path, ENVIRON))
        except config.ConfigurationError as error:
            self.assertEqual(len(str(error).splitlines()), len(error.problems))
            self.assertNotIn(TOKEN, str(error))

    @given(st.binary(max_size=60), st.integers(min_value=0, max_value=3000))
    def test_any_bytes_anywhere(self, noise: bytes, position: int) -> None:
        source = EXAMPLE.read_bytes()
        self.write(source[:position] + noise + source[position:])
        try:
            config.load(self.path, ENVIRON)
        except config.ConfigurationError as error:
            self.assertGreater(len(error.problems), 0)
