from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from afeed.archive.advice import advised


class AdviceTests(SynchronousTestCase):
    def test_what_helps_follows_what_the_database_says(self) -> None:
        for said, helps in (
            ("database is locked", "let it come to its end"),
            ('FATAL: password authentication failed for user "feed"', "tell afeed the new one"),
            ("FATAL: sorry, too many clients already", "max_connections"),
            ("FATAL: remaining connection slots are reserved for superusers", "max_connections"),
            ("cannot execute INSERT in a read-only transaction", "is it a standby"),
            ("canceling statement due to lock timeout", "pg_locks"),
            ("could not extend file: No space left on device", "make room"),
            ('connection to server at "127.0.0.1", port 5432 failed: Connection refused', "start it"),
            ("postgresql+psycopg://db/feed did not answer within 5 s", "hangs"),
            ("consuming input failed: server closed the connection unexpectedly", "its own log"),
        ):
            sentence = advised(said)
            self.assertTrue(sentence.startswith(f"{said} ("), sentence)
            self.assertIn(helps, sentence)

    def test_what_is_not_known_stays_as_it_is(self) -> None:
        self.assertEqual(advised("out of cheese"), "out of cheese")
