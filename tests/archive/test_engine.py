"""What is told of the errors of databases."""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import OperationalError
from twisted.trial.unittest import SynchronousTestCase

from afeed.archive.engine import explain


class ExplainTests(SynchronousTestCase):
    def test_no_sentence_ends_with_the_punctuation_of_another_program_and_its_own(self) -> None:
        for words, told in (
            ("Connection lost\n\tIs the server there?\n", "Connection lost Is the server there"),
            ("Connection lost.", "Connection lost"),
            ("no such table: a.b", "no such table: a.b"),
            ("...", "OperationalError"),
        ):
            error = OperationalError("SELECT 1", None, sqlite3.OperationalError(words))
            self.assertEqual(explain(error), told)
