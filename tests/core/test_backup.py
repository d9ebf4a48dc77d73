from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import msgspec
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from afeed.core.backup import Beginning, Closing, Composer, HeldBack, Hole, Opening, Row, parse
from afeed.core.change import Change
from afeed.core.cursor import Ancestor
from afeed.core.errors import BadBackup
from tests.fakes import an_item
from tests.livelog.samples import posted
from tests.properties import given, settings


def beginning(event: str, head: int, *holes: Hole) -> Beginning:
    return Beginning(
        event=event,
        epoch="k3f9",
        head=head,
        ancestors=(Ancestor("old1", 2),),
        holes=holes,
        positions={"x": "7"},
    )


def row(number: int) -> Row:
    values = {"event": "one", "item_id": f"push:{number}", "removed": True, "version": None, "number": number}
    return Row(table="hidden_items", values=values)


def composed(*events: tuple[Beginning, list[Change]], rows: Sequence[Row] = ()) -> list[bytes]:
    """The lines of a backup of ``events``, and ``rows`` that belong to no log."""
    written: list[bytes] = []
    opening = Opening(created="2026-11-21T17:00:00.000Z", afeed="1", events=tuple(b.event for b, _ in events))
    composer = Composer(written.append, opening)
    for begun, changes in events:
        composer.begin(begun)
        composer.add(changes)
    for one in rows:
        composer.row(one)
    composer.close()
    return b"".join(written).splitlines(keepends=True)


class RoundTripTests(SynchronousTestCase):
    def test_what_was_put_in_comes_out_byte_for_byte(self) -> None:
        one, two = beginning("one", 3), beginning("two", 0)
        changes = [posted(seq, text="snow \N{SNOWMAN}\n\u2028") for seq in (1, 2, 3)]
        parts = list(parse(composed((one, changes), (two, []))))
        self.assertIsInstance(parts[0], Opening)
        self.assertEqual(parts[1:-1], [one, *changes, two])
        assert isinstance(parts[-1], Closing)
        self.assertEqual(parts[-1].changes, {"one": 3, "two": 0})

    def test_what_belongs_to_no_log_comes_out_as_well(self) -> None:
        rows = [row(1), row(2), Row(table="blocked_authors", values={"name": "snow \N{SNOWMAN}"})]
        parts = list(parse(composed((beginning("one", 1), [posted(1)]), rows=rows)))
        self.assertEqual(parts[3:-1], rows)
        assert isinstance(parts[-1], Closing)
        self.assertEqual(parts[-1].rows, {"hidden_items": 2, "blocked_authors": 1})

    def test_a_backup_of_the_first_format_is_read(self) -> None:
        lines = composed((beginning("one", 1), [posted(1)]))
        lines[0] = lines[0].replace(b'"version":2', b'"version":1')
        closing = msgspec.json.decode(lines[-1])
        del closing["rows"]
        closing["sha256"] = sha256(b"".join(lines[:-1])).hexdigest()
        lines[-1] = msgspec.json.encode({"end": closing.pop("end"), **closing}) + b"\n"
        self.assertEqual(len(list(parse(lines))), 4)

    def test_numbers_may_jump_over_holes_and_only_over_them(self) -> None:
        holes = (Hole(1, 2, "k3f9", "t"), Hole(3, 3, "k3f9", "t"), Hole(5, 6, "k3f9", "t"))
        list(parse(composed((beginning("one", 6, *holes), [posted(4)]))))
        for head, holes, seqs in ((3, (), (1, 3)), (3, (), (1, 2)), (2, (), (1, 2, 3)), (2, (), (1, 1))):
            with self.assertRaises(BadBackup):
                list(parse(composed((beginning("one", head, *holes), [posted(seq) for seq in seqs]))))


class HeldTests(SynchronousTestCase):
    """What is held back."""

    def held(self, number: int, **members: object) -> HeldBack:
        item = an_item(number)
        values: dict = {"held": item.id, "version": "1", "reason": "word", "until": None, "item": item}
        return HeldBack(**{**values, "at": "2026-11-21T17:00:06.120Z", "stopped": False, **members})

    def composed(self, *held: HeldBack) -> list[bytes]:
        written: list[bytes] = []
        opening = Opening(created="2026-11-21T17:00:00.000Z", afeed="1", events=("one", "two"))
        composer = Composer(written.append, opening)
        composer.begin(beginning("one", 1))
        composer.add([posted(1)])
        for one in held:
            composer.hold(one)
        composer.begin(beginning("two", 0))
        composer.row(row(1))
        composer.close()
        return b"".join(written).splitlines(keepends=True)

    def test_what_is_held_comes_out_behind_the_changes_of_its_event(self) -> None:
        held = [self.held(2), self.held(3, stopped=True, until="2026-11-21T18:00:06+01:00")]
        parts = list(parse(self.composed(*held)))
        self.assertEqual(parts[3:5], held)
        self.assertEqual(parts[5], beginning("two", 0))

    def test_damage_is_found(self) -> None:
        lines = self.composed(self.held(2))
        self.assertIn(b'"held":"push:2"', lines[3])
        for number, old, new in (
            (3, b'"stopped":false', b'"stopped":true'),
            (3, b'"held":"push:2"', b'"held":"push:3"'),
            (3, b'"at":"2026', b'"at":"soon'),
            (3, b'"until":null', b'"until":"2026-11-21"'),
            (3, b'"item":{', b'"item":{"id":1,'),
        ):
            damaged = [*lines[:number], lines[number].replace(old, new), *lines[number + 1 :]]
            self.assertNotEqual(damaged, lines)
            with self.assertRaises(BadBackup):
                list(parse(damaged))
        for order in ((0, 3, 1, 2), (0, 1, 3, 2), (0, 1, 2, 4, 5, 3, 6), (0, 1, 2, 4, 5, 6)):
            with self.assertRaises(BadBackup):
                list(parse([lines[number] for number in order]))


class DamageTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.lines = composed(
            (beginning("one", 3), [posted(seq) for seq in (1, 2, 3)]),
            (beginning("two", 1), [posted(1)]),
            rows=[row(1), row(2)],
        )

    def refused(self, lines: list[bytes]) -> str:
        return str(self.assertRaises(BadBackup, lambda: list(parse(lines))))

    def test_a_backup_that_ends_early_is_refused_wherever_that_is(self) -> None:
        whole = b"".join(self.lines)
        for length in range(len(whole)):
            self.refused(whole[:length].splitlines(keepends=True))

    def test_any_line_that_is_missing_doubled_or_moved_is_noticed(self) -> None:
        for number, line in enumerate(self.lines):
            rest = self.lines[:number] + self.lines[number + 1 :]
            self.refused(rest)
            self.refused([*self.lines[: number + 1], line, *self.lines[number + 1 :]])
            self.refused([*rest[: number - 1], line, *rest[number - 1 :]] if number else [*rest, line])

    @settings(max_examples=300)
    @given(at=st.integers(0, 10**6), byte=st.integers(0, 255))
    def test_any_byte_that_was_changed_is_noticed(self, at: int, byte: int) -> None:
        lines = composed((beginning("one", 1), [posted(1)]))
        whole = bytearray(b"".join(lines))
        at %= len(whole)
        if whole[at] == byte:
            return
        whole[at] = byte
        changed = bytes(whole).splitlines(keepends=True)
        try:
            parts = list(parse(changed))
        except BadBackup:
            return
        # Some bytes may be another way of saying the same: of the last line, whose content is compared.
        self.assertEqual(parts, list(parse(lines)))

    def test_what_is_nested_without_end_is_refused_like_anything_else(self) -> None:
        deep = b',"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n"
        for number, line in enumerate(self.lines):
            self.refused([*self.lines[:number], line[:-2] + deep, *self.lines[number + 1 :]])

    def test_another_file_is_called_no_backup(self) -> None:
        for line in (b"", b"hello\n", b'{"format":"zip","version":1,"created":"","afeed":"","events":[]}\n'):
            self.assertIn("no backup of afeed", self.refused([line]))

    def test_a_newer_format_is_named(self) -> None:
        opening = msgspec.json.decode(self.lines[0])
        opening["version"] = 3
        self.assertIn("format 3", self.refused([msgspec.json.encode(opening) + b"\n", *self.lines[1:]]))

    def test_what_names_another_event_or_an_impossible_position_is_refused(self) -> None:
        for member, value in (("event", "three"), ("epoch", "../x"), ("head", -1), ("head", 2**60)):
            line = msgspec.json.decode(self.lines[1])
            line[member] = value
            self.refused([self.lines[0], msgspec.json.encode(line) + b"\n", *self.lines[2:]])
