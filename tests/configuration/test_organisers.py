"""``[[admin.users]]``."""

from __future__ import annotations

from afeed.config import check
from afeed.organisers.passwords import hashed
from tests.configuration.files import EVENT, ConfigurationTestCase

PASSWORD = "four gulls on a pier"
HASH = hashed(PASSWORD)


def user(name: str = "ann", hash: str = HASH) -> str:
    return f'[[admin.users]]\nname = "{name}"\npassword_hash = "{hash}"\n'


class OrganiserTests(ConfigurationTestCase):
    def test_nobody_signs_in_unless_somebody_is_named(self) -> None:
        self.assertEqual(self.load(EVENT).organisers, ())
        self.assertNotIn("organisers", check(self.load(EVENT)))

    def test_accounts_keep_their_hash_to_themselves(self) -> None:
        settings = self.load(user() + user("ben@example.org") + EVENT)
        self.assertEqual([one.name for one in settings.organisers], ["ann", "ben@example.org"])
        self.assertEqual(settings.organisers[0].password_hash.reveal(), HASH)
        for shown in (repr(settings), check(settings)):
            self.assertNotIn(HASH.rpartition("$")[2], shown)
        self.assertIn("ann, ben@example.org; they sign in at http://127.0.0.1:8080/admin", check(settings))

    def test_passwords_that_would_travel_readably_are_told_of(self) -> None:
        for url, told in (("http://feed.example", True), ("https://feed.example", False)):
            text = f'[server]\npublic_url = "{url}"\n' + user() + EVENT
            self.assertEqual("put TLS in front" in check(self.load(text)), told, url)

    def test_config_23_a_password_in_the_file_is_refused_with_what_to_do(self) -> None:
        for password in ("admin", "short", PASSWORD):
            problem = self.problem(f'[[admin.users]]\nname = "ann"\npassword = "{password}"\n' + EVENT)
            self.assertIn("3: admin.users[0].password: a password does not belong in this file", problem)
            self.assertIn("`afeed hash-password`", problem)
            self.assertNotIn(password + '"', problem)

    def test_config_23_a_password_in_place_of_its_hash_is_not_quoted(self) -> None:
        problem = self.problem(user(hash=PASSWORD) + EVENT)
        self.assertIn("admin.users[0].password_hash: is not an argon2id hash; `afeed hash-password`", problem)
        self.assertNotIn("gulls", problem)

    def test_every_mistake_is_told(self) -> None:
        text = (
            user("Ann")
            + user()
            + user()
            + '[[admin.users]]\nname = "cleo"\npasword_hash = "x"\n[admin]\nuser = 1\n'
        )
        with_table = text.replace("[admin]\nuser = 1\n", "")
        problems = "\n".join(self.problems(with_table + EVENT))
        self.assertIn("2: admin.users[0].name: must be 1 to 64 of the characters", problems)
        self.assertIn("8: admin.users[2].name: 'ann' is there twice", problems)
        self.assertIn("admin.users[3].password_hash: is missing", problems)
        self.assertIn("admin.users[3].pasword_hash: ", problems)
        self.assertIn("admin.user: unknown key", self.problem("[admin]\nuser = 1\n" + EVENT))
        self.assertIn("write [[admin.users]]", self.problem("[admin]\nusers = 1\n" + EVENT))
