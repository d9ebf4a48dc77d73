"""Many rows in few statements."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, event, select
from twisted.trial.unittest import SynchronousTestCase

from afeed.archive import queries, schema
from afeed.archive.backends import SQLITE, make_engine, parse_url
from afeed.archive.several import SIZES, put
from afeed.archive.tables import changes, items


def change(seq: int, **other: Any) -> dict[str, Any]:
    row = {"event": "conf", "seq": seq, "type": "item.posted", "at": "now", "item_key": None}
    return {**row, "stored": b"%d" % seq, **other}


def item(number: int, seq: int, **other: Any) -> dict[str, Any]:
    row = {"event": "conf", "item_key": b"%d" % number, "item_id": f"push:{number}", "first_seq": seq}
    return {**row, "seq": seq, **other}


class PutTests(SynchronousTestCase):
    def setUp(self) -> None:
        url, backend = parse_url(f"sqlite:///{Path(self.mktemp()).absolute()}")
        schema.prepare(url, backend)
        engine = make_engine(url, backend, "write")
        self.addCleanup(engine.dispose)
        self.connection: Connection = engine.connect()
        self.addCleanup(self.connection.close)
        self.statements: list[str] = []
        event.listen(engine, "before_cursor_execute", lambda *said: self.statements.append(said[2]))

    def seqs(self) -> list[int]:
        return list(self.connection.scalars(select(changes.c.seq).order_by(changes.c.seq)))

    def test_every_row_is_written_once_however_many_there_are(self) -> None:
        first = 1
        for count in (0, 1, 9, 10, 11, 99, 100, 137, 500):
            rows = [change(seq) for seq in range(first, first + count)]
            put(self.connection, queries.put_changes(SQLITE.insert), rows)
            first += count
        self.assertEqual(self.seqs(), list(range(1, first)))
        stored = self.connection.scalars(select(changes.c.stored).order_by(changes.c.seq))
        self.assertEqual(list(stored), [b"%d" % seq for seq in range(1, first)])

    def test_a_batch_takes_a_few_statements_of_as_few_kinds(self) -> None:
        put(self.connection, queries.put_changes(SQLITE.insert), [change(seq) for seq in range(1, 501)])
        self.assertEqual(len(self.statements), 5)
        put(self.connection, queries.put_changes(SQLITE.insert), [change(seq) for seq in range(501, 638)])
        self.assertEqual(len(self.statements), 5 + 1 + 3 + 7)
        self.assertEqual(len(set(self.statements)), len(SIZES))

    def test_what_a_statement_says_of_a_conflict_holds_for_each_row(self) -> None:
        known = {"source": "push", "content": b"text"}
        posted = [item(number, number, **known) for number in range(1, 13)]
        put(self.connection, queries.put_items(SQLITE.insert), posted)
        removed = [item(number, 100 + number, removed_seq=100 + number) for number in range(1, 12)]
        put(self.connection, queries.remove_items(SQLITE.insert), removed)
        again = [item(number, 200 + number, **known) for number in range(1, 14)]
        put(self.connection, queries.put_items(SQLITE.insert), again)
        columns = (items.c.first_seq, items.c.seq, items.c.removed_seq, items.c.source, items.c.content)
        found = self.connection.execute(select(*columns).order_by(items.c.first_seq)).all()
        gone = [(number, 100 + number, 100 + number, None, None) for number in range(1, 12)]
        self.assertEqual(
            [tuple(row) for row in found],
            [*gone, (12, 212, None, "push", b"text"), (213, 213, None, "push", b"text")],
        )
