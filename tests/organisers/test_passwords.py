"""What a password must be like, and its hash."""

from __future__ import annotations

from argon2 import PasswordHasher, extract_parameters
from twisted.trial.unittest import SynchronousTestCase

from afeed.organisers.passwords import MOST_BYTES, decoy, flaw, hashed, matches, weakness

GOOD = "four gulls on a pier"


class WeaknessTests(SynchronousTestCase):
    def test_what_is_guessed_at_once_is_refused(self) -> None:
        for password, why in (
            ("", "fewer than 12"),
            ("admin", "fewer than 12"),
            ("eleven_char", "fewer than 12"),
            ("Password1234!", "the word 'password'"),
            ("admin_admin_2026", "the word 'admin'"),
            ("Gwendolyn-Gwendolyn", "the word 'gwendolyn'"),
            ("abababababab", "same few characters"),
            ("four gulls\ton a pier", "control character"),
            ("ä" * 400 + "four gulls" * 100, f"more than {MOST_BYTES:,} bytes"),
        ):
            self.assertIn(why, str(weakness(password, "gwendolyn")), password)

    def test_words_and_random_characters_will_do(self) -> None:
        for password in (GOOD, "x7!Kq0pLw2#z", "passwordless since 1999", "Möwen über der Mole"):
            self.assertIsNone(weakness(password, "ann"), password)


class HashTests(SynchronousTestCase):
    def test_a_hash_matches_its_password_and_no_other(self) -> None:
        made = hashed(GOOD)
        self.assertTrue(made.startswith("$argon2id$"))
        self.assertIsNone(flaw(made))
        self.assertTrue(matches(made, GOOD))
        self.assertFalse(matches(made, GOOD + " "))
        self.assertNotIn(GOOD, made)
        self.assertNotEqual(hashed(GOOD), made)

    def test_two_ways_to_type_an_accent_are_one_password(self) -> None:
        self.assertTrue(
            matches(
                hashed("Mo\N{COMBINING DIAERESIS}wen auf der Mole"),
                "M\N{LATIN SMALL LETTER O WITH DIAERESIS}wen auf der Mole",
            )
        )

    def test_what_is_no_hash_matches_nothing(self) -> None:
        for nonsense in ("", GOOD, "$argon2id$", "$argon2id$v=19$m=65536,t=3,p=4$abc$def"):
            self.assertFalse(matches(nonsense, GOOD))

    def test_a_decoy_costs_the_same_and_matches_nothing(self) -> None:
        for hasher in (
            PasswordHasher(),
            PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1, hash_len=24),
        ):
            made = hasher.hash(GOOD)
            found = decoy(made)
            self.assertEqual(extract_parameters(found), extract_parameters(made))
            self.assertIsNone(flaw(found))
            self.assertFalse(matches(found, GOOD))
            self.assertNotEqual(decoy(made), found)


class FlawTests(SynchronousTestCase):
    def test_what_is_no_hash_is_not_quoted(self) -> None:
        for value in (GOOD, "", "$argon2id$v=19$m=65536,t=3,p=4$" + GOOD, "$2b$12$" + "a" * 53):
            sentence = str(flaw(value))
            self.assertIn("is not an argon2id hash", sentence)
            self.assertNotIn(GOOD, sentence)

    def test_other_kinds_and_costs_are_refused(self) -> None:
        tail = "$c2FsdHNhbHRzYWx0$" + "A" * 43
        for head, why in (
            ("$argon2i$v=19$m=65536,t=3,p=4", "another kind"),
            ("$argon2id$v=16$m=65536,t=3,p=4", "not an argon2id hash"),
            ("$argon2id$v=19$m=8192,t=3,p=4", "too quickly"),
            ("$argon2id$v=19$m=4194304,t=3,p=4", "more than 512 MiB"),
            ("$argon2id$v=19$m=65536,t=900,p=4", "20 passes"),
        ):
            self.assertIn(why, str(flaw(head + tail)), head)
