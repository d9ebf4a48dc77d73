"""Changes as logs keep them and as clients see them."""

from __future__ import annotations

import json

import msgspec
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from afeed.core.change import (
    EDITED,
    GAP,
    POSTED,
    REDACTED,
    REMOVED,
    STORED_AT_LENGTH,
    Change,
    compose,
    milliseconds,
    redact,
    seconds,
    timestamp,
)
from afeed.core.draft import Removed, SourceGap, prepare
from tests.fakes import a_post, an_item
from tests.properties import given

AT = "2026-11-21T17:00:06.120Z"


class TimeTests(SynchronousTestCase):
    def test_a_time_has_milliseconds_and_always_24_characters(self) -> None:
        self.assertEqual(timestamp(1_795_280_406.12), AT)
        for moment in (0, 0.0004, 1_795_280_406, 253_402_300_799.999):
            self.assertEqual(len(timestamp(moment)), 24)

    @given(st.integers(0, 253_402_300_799_999))
    def test_times_come_back(self, milliseconds: int) -> None:
        text = timestamp(milliseconds / 1000)
        self.assertEqual(int(text[-4:-1]), milliseconds % 1000)
        self.assertEqual(timestamp(seconds(text)), text)

    def test_a_time_in_milliseconds_names_its_zone(self) -> None:
        for text in (AT, "2026-11-21T18:00:06.120+01:00"):
            self.assertEqual(milliseconds(text), 1_795_280_406_120)
        for text in ("", "soon", "2026-11-21", "2026-11-21T17:00:06", "2026-02-30T17:00:06Z", "1795280406Z"):
            self.assertRaises(ValueError, milliseconds, text)


class ChangeTests(SynchronousTestCase):
    def stored(self, kind: str = POSTED, text: str = "hello") -> bytes:
        return compose(prepare(a_post(7, text, version="3")), kind, AT)

    def test_a_change_is_decoded_from_what_was_stored(self) -> None:
        change = Change.decode(42, self.stored())
        self.assertEqual((change.seq, change.at, change.type), (42, AT, POSTED))
        self.assertEqual((change.id, change.version), ("push:7", "3"))
        self.assertEqual(change.item(), an_item(7))
        self.assertEqual(repr(change), "<Change 42 item.posted push:7>")

    def test_clients_see_the_number_first(self) -> None:
        change = Change.decode(42, self.stored())
        seen = json.loads(change.json)
        self.assertEqual(list(seen), ["seq", "at", "type", "version", "item"])
        self.assertEqual(seen["seq"], 42)
        self.assertEqual(seen["item"]["text"], "hello")

    def test_text_of_every_kind_survives(self) -> None:
        for text in ('"\\', "\n\0\x1f", "\u2028\u202e", "👩‍🚀", "שלום"):
            change = Change.decode(1, self.stored(text=text))
            self.assertEqual(json.loads(change.json)["item"]["text"], text)

    def test_a_removal_names_its_item_and_has_none(self) -> None:
        change = Change.decode(1, compose(prepare(Removed("x:1")), REMOVED, AT))
        self.assertEqual((change.id, change.item()), ("x:1", None))
        self.assertEqual(json.loads(change.json), {"seq": 1, "at": AT, "type": REMOVED, "id": "x:1"})

    def test_an_upstream_outage(self) -> None:
        gap = SourceGap(source="x", from_="a", to=None, state="open", fetched=0, reason="silent")
        change = Change.decode(1, compose(prepare(gap), GAP, AT))
        self.assertEqual((change.id, change.item()), (None, None))
        self.assertEqual(
            json.loads(change.json),
            {
                "seq": 1,
                "at": AT,
                "type": GAP,
                "source": "x",
                "from": "a",
                "to": None,
                "state": "open",
                "fetched": 0,
                "reason": "silent",
            },
        )

    def test_a_redaction_keeps_the_number_and_the_time_and_nothing_else(self) -> None:
        for kind in (POSTED, EDITED):
            change = Change.decode(42, self.stored(kind, "regrettable")).redacted()
            self.assertEqual((change.id, change.version, change.item()), (None, None, None))
            self.assertEqual(change.json, b'{"seq":42,"at":"%s","type":"redacted"}' % AT.encode())
            self.assertEqual(Change.decode(42, change.stored).type, REDACTED)
            self.assertEqual(redact(change.stored), change.stored)
        self.assertEqual(len(f'{{"at":"{AT}"'), STORED_AT_LENGTH)

    def test_what_is_no_change_is_refused(self) -> None:
        for stored in (b"", b"{}", b"[]", b'{"at":1,"type":"x"}', b"\xff"):
            self.assertRaises(msgspec.DecodeError, Change.decode, 1, stored)

    def test_equality_is_of_number_and_content(self) -> None:
        one, same = Change.decode(1, self.stored()), Change.decode(1, self.stored())
        self.assertEqual((one, hash(one)), (same, hash(same)))
        self.assertNotEqual(one, Change.decode(2, self.stored()))
        self.assertNotEqual(one, Change.decode(1, self.stored(text="other")))
        self.assertNotEqual(one, "another kind of thing")
