"""Where secrets come from, and that they are never shown."""

from __future__ import annotations

import os

from afeed import config
from afeed.configuration.credentials import password, token
from afeed.configuration.problems import Wrong
from afeed.settings import PushSource, Secret
from tests.configuration.files import EVENT, TOKEN, ConfigurationTestCase, without_privileges

PUSH = EVENT + '[[events.sources]]\ntype = "push"\n'


class CredentialsTests(ConfigurationTestCase):
    def _token(self, text: str, environ: dict[str, str] | None = None) -> Secret:
        source = self.load(text, environ).events[0].sources[0]
        assert isinstance(source, PushSource)
        return source.token

    def _secret_file(self, content: bytes, mode: int = 0o600) -> None:
        path = self.folder / "push-token"
        path.write_bytes(content)
        path.chmod(mode)

    def test_from_the_environment(self) -> None:
        token = self._token(PUSH + 'token_env = "AFEED_PUSH_TOKEN"', {"AFEED_PUSH_TOKEN": TOKEN})
        self.assertEqual(token.reveal(), TOKEN)
        self.assertEqual(token.origin, "environment variable AFEED_PUSH_TOKEN")

    def test_from_a_file_beside_the_configuration_without_its_last_newline(self) -> None:
        for end in (b"", b"\n", b"\r\n"):
            self._secret_file(TOKEN.encode() + end)
            self.assertEqual(self._token(PUSH + 'token_file = "push-token"').reveal(), TOKEN)

    def test_a_file_that_everybody_may_read_is_told_of(self) -> None:
        self._secret_file(TOKEN.encode(), 0o644)
        origin = self._token(PUSH + 'token_file = "push-token"').origin
        self.assertIn("every user of this machine may read it", origin)

    def test_a_file_that_others_may_write_to_is_refused(self) -> None:
        for mode in (0o620, 0o602):
            self._secret_file(TOKEN.encode(), mode)
            self.assertIn("chmod 600", self.problem(PUSH + 'token_file = "push-token"'))

    def test_config_22_empty_multi_line_and_sample_values_are_refused_without_showing_them(self) -> None:
        for value, message in (
            ("", "is empty"),
            (f"{TOKEN}\nmore", "more than one line"),
            (f"{TOKEN}\n\n", "more than one line"),
            (f"{TOKEN} more", "a space"),
            (f"{TOKEN}\x07", "a control character"),
            (f"{TOKEN}é", "outside ASCII"),
            (TOKEN[:5], "shorter than 8"),
            (TOKEN * 300, "longer than 4096"),
            ("CHANGEME", "sample value"),
            ("AFEED_PUSH_TOKEN", "sample value"),
        ):
            problem = self.problem(PUSH + 'token_env = "T"', {"T": value})
            self.assertTrue(
                problem.startswith(
                    "10: events[0].sources[0].token_env: the secret in the environment variable T "
                ),
                problem,
            )
            self.assertIn(message, problem)
            self.assertNotIn(value[:5] or TOKEN, problem.replace("sample value", ""))
            if value:
                self._secret_file(value.encode())
                in_file = self.problem(PUSH + 'token_file = "push-token"')
                self.assertIn("the secret in this file ", in_file)
                self.assertIn(message, in_file)

    def test_config_22_what_counts_as_a_sample_value(self) -> None:
        for value in (
            "changeme", "Change-Me", "change_this_now", "your-token-here", "<your-token>", "my_secret_token",
            "password", "Passw0rd1", "PUSH_TOKEN", "bearer-token", "xxxxxxxxxxxx", "12345678", "${PUSH_TOKEN}",
            "{{token}}", "$PUSH_TOKEN",
        ):  # fmt: skip
            self.assertIn("sample value", str(self.assertRaises(Wrong, token, value)), value)

    def test_random_secrets_are_no_sample_values(self) -> None:
        for value in (
            "AAAAAAAAAAAAAAAAAAAAAMLheAAAAAAA0%2BuSeid%2BULvsea4JtiGRiSDSJSI%3DEUifiRBkKeyE2XzMDjRfl76ZC9Ub0wnz4X",
            "9e107d9d372bb6826bd81d3542a419d6",
            "1234a07d9d372bb6826bd81d3542a419",
            "test-token-of-the-suite",
            "a7Key-secretly-random/+=",
        ):
            self.assertEqual(token(value), value)

    def test_config_26_variable_and_file_both_is_a_mistake(self) -> None:
        self._secret_file(TOKEN.encode())
        text = PUSH + 'token_env = "T"\ntoken_file = "push-token"'
        self.assertEqual(
            self.problem(text, {"T": TOKEN}),
            "11: events[0].sources[0].token_file: token_env is given too; keep one, so that it is clear "
            "which one counts",
        )

    def test_config_26_the_check_says_where_a_secret_comes_from_and_not_what_it_is(self) -> None:
        text = config.check(self.load(PUSH + 'token_env = "T_ONE"', {"T_ONE": TOKEN}))
        self.assertIn("token from environment variable T_ONE", text)
        self.assertNotIn(TOKEN, text)

    def test_neither_is_a_mistake(self) -> None:
        self.assertIn("token_env: is missing", self.problem(PUSH))

    def test_a_variable_that_is_not_set(self) -> None:
        for name in ("AFEED_PUSH_TOKEN", "TOK"):
            problem = self.problem(f'{PUSH}token_env = "{name}"')
            self.assertIn(f"the environment variable {name} is not set", problem)

    def test_a_secret_put_in_place_of_the_name_of_its_variable_or_file_is_not_shown(self) -> None:
        for value in (TOKEN, "d41d8cd98f00b204e9800998ecf8427e", "ABCDEFGHIJKLMNOP"):
            for key in ("token_env", "token_file"):
                self.assertNotIn(value, self.problem(f'{PUSH}{key} = "{value}"'))

    def test_a_secret_in_the_file_itself_is_refused_and_not_shown(self) -> None:
        texts = (
            (f'[accounts.x]\nbearer_token = "{TOKEN}"', "bearer_token_env or bearer_token_file"),
            (f'[accounts.flickr]\napi_key = "{TOKEN}"', "api_key_env or api_key_file"),
            (f'{PUSH}token = "{TOKEN}"', "token_env or token_file"),
            (f'{PUSH}token_env = "T"\nsecret = "{TOKEN}"', "token_env or token_file"),
            (f'[store]\nlive_log = "redis://:{TOKEN}@localhost/0"', "live_log_password_env"),
            (f'[store]\nlive_log = "redis://me:{TOKEN}/@a@localhost/0"', "live_log_password_env"),
            (f'[store]\narchive = "postgresql+psycopg://me:{TOKEN}@localhost/a"', "archive_password_env"),
            (f'[store]\narchive = "postgresql+psycopg://localhost/a?password={TOKEN}"', "archive_password_env"),
        )
        for text, advice in texts:
            problem = self.problem(text + ("" if "[[events]]" in text else EVENT), {"T": TOKEN + "2"})
            self.assertIn("does not belong in this file", problem)
            self.assertIn(advice, problem)
            self.assertNotIn(TOKEN, problem)

    def test_a_url_with_a_mistake_does_not_show_its_password(self) -> None:
        for text in (
            f'live_log = "reddis://:{TOKEN}@host"',
            f'live_log = "redis://:{TOKEN}@ho st/x/y"',
            f'archive = "mysql://me:{TOKEN}@host/db"',
            f'archive = "://me:{TOKEN}@host/db"',
        ):
            self.assertNotIn(TOKEN, self.problem(f"[store]\n{text}\n{EVENT}"))
        self.assertNotIn(TOKEN, self.problem(f'[server]\npublic_url = "https://me:{TOKEN}@host"\n{EVENT}'))

    def test_a_password_key_of_the_wrong_type_is_not_shown(self) -> None:
        problem = self.problem(PUSH + "token_env = 31415926535")
        self.assertNotIn("31415926535", problem)
        self.assertIn("must be a string", problem)

    def test_files_that_cannot_be_used(self) -> None:
        self.assertIn("no such file", self.problem(PUSH + 'token_file = "push-token"'))
        self.assertIn("not a regular file", self.problem(PUSH + 'token_file = "."'))
        self._secret_file(TOKEN.encode())
        os.chmod(self.folder / "push-token", 0)
        self.write(PUSH + 'token_file = "push-token"')
        with without_privileges():
            error = self.assertRaises(config.ConfigurationError, config.load, self.path, {})
        self.assertIn("may not read this file", str(error))

    def test_the_settings_show_no_secret(self) -> None:
        text = (
            '[store]\nlive_log = "redis://localhost:6379/0"\nlive_log_password_env = "T"\n'
            'archive = "postgresql+psycopg://me@localhost/a"\narchive_password_env = "T"\n'
            '[accounts.x]\nbearer_token_env = "T"\n'
        )
        settings = self.load(text + PUSH + 'token_env = "T"', {"T": TOKEN})
        self.assertEqual(settings.store.live_log, f"redis://:{TOKEN}@localhost:6379/0")
        self.assertEqual(settings.store.archive, f"postgresql+psycopg://me:{TOKEN}@localhost/a")
        for shown in (repr(settings), str(settings), config.check(settings)):
            self.assertNotIn(TOKEN, shown)
            self.assertIn("***", shown)

    def test_a_password_with_any_character_survives_the_url(self) -> None:
        password = "p@ss/w:rd?#%41[]"
        settings = self.load(
            '[store]\nlive_log = "redis://me@localhost"\nlive_log_password_env = "T"\n' + EVENT, {"T": password}
        )
        self.assertEqual(settings.store.live_log, "redis://me:p%40ss%2Fw%3Ard%3F%23%2541%5B%5D@localhost")

    def test_a_password_may_be_short_and_have_spaces(self) -> None:
        for value in ("pg", "two words", "größer"):
            self.assertEqual(password(value), value)
        for value in ("", "changeme", "a\nb", "a\x00b"):
            self.assertRaises(Wrong, password, value)

    def test_a_password_for_a_store_that_has_none(self) -> None:
        for key in ("live_log", "archive"):
            self.assertIn(
                "has no password", self.problem(f'[store]\n{key}_password_env = "T"\n{EVENT}', {"T": TOKEN})
            )
