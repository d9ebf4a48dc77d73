"""Files that are made to do harm, in every format: refused in a sentence, quickly, and nothing else."""

from __future__ import annotations

import json
import time

import msgspec
from hypothesis import strategies as st

from afeed.core.schedule.formats import FORMATS
from afeed.core.schedule.model import Reading, digest
from afeed.core.schedule.problems import BadSchedule
from afeed.core.schedule.reading import read
from tests.core.schedule.case import AMSTERDAM, ScheduleTestCase
from tests.core.schedule.test_frab import EVENT as FRAB_EVENT
from tests.core.schedule.test_frab import xml
from tests.core.schedule.test_ical import ical
from tests.core.schedule.test_table import TALK
from tests.core.schedule.test_voc import document, event
from tests.properties import given, settings

BILLION = (
    '<!DOCTYPE x [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    + "]>"
)


class FileTests(ScheduleTestCase):
    def test_import_01_nothing(self) -> None:
        for data in (b"", b"\xef\xbb\xbf", b" \r\n\t", b"\xff\xfe", b"\0\0\0\0"):
            for format in FORMATS:
                self.assertEqual(self.refusal(data, format), "it is empty: there are no talks in it")

    def test_import_03_too_large(self) -> None:
        self.assertIn("larger than 16,777,216 bytes", self.refusal(b"{" + b" " * 50_000_000))

    def test_import_05_encodings(self) -> None:
        for text, format in (
            (xml(), "frab"),
            (json.dumps(document()), "voc"),
            (ical(), "ical"),
            (TALK, "toml"),
        ):
            text = text.replace("Feeds", "Fédération")
            expected = read(text.encode(), AMSTERDAM)
            self.assertEqual(expected.format, format)
            for encoding in ("utf-8-sig", "utf-16"):
                declared = (
                    text.replace('encoding="UTF-8"', 'encoding="UTF-16"') if encoding == "utf-16" else text
                )
                self.assertEqual(read(declared.encode(encoding), AMSTERDAM), expected, f"{format} {encoding}")
            if format != "voc":  # json.dumps escapes
                said = self.refusal(text.encode("cp1252"))
                self.assertRegex(said, r"\Aline \d+")
            if format in ("ical", "toml"):
                self.assertIn("0xe9 is not UTF-8 (in Windows-1252 it would read", said)
                self.assertIn("Fédération", said)
        declared = xml().replace("UTF-8", "windows-1252").replace("Feeds", "Fédération “x”")
        self.assertEqual(self.talk(declared.encode("cp1252")).title, "Fédération “x” that stay")
        unknown = xml().replace("UTF-8", "klingon")
        self.assertIn("encoding", self.refusal(unknown))

    def test_import_21_entities(self) -> None:
        said = self.refusal(xml().replace("?>", "?>" + BILLION).replace("Feeds", "&i;"), within_s=0.5)
        self.assertIn("it declares a document type", said)
        external = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
        self.assertIn(
            "document type", self.refusal(xml().replace("?>", "?>" + external).replace("Feeds", "&a;"))
        )
        self.assertIn("undefined entity", self.refusal(xml().replace("Feeds", "&a;")))

    def test_import_23_nesting(self) -> None:
        said = self.refusal("<schedule>" + "<a>" * 100_000, within_s=1.0)
        self.assertIn("nested deeper than 32", said)
        self.assertIn("more than 200,000 elements", self.refusal("<schedule>" + "<a/>" * 300_000, within_s=5.0))

    def test_import_24_rooms_with_names_of_every_kind(self) -> None:
        names = ["../x", "💩", "مرحبا", "‮evil", "a/b?c#d", "%2e%2e", "<script>", "x"]
        events = [event(room=name, guid=str(number)) for number, name in enumerate(names)]
        rooms = self.schedule(json.dumps(document(*events))).rooms
        self.assertEqual([room.name for room in rooms][:3], names[:3])
        self.assertEqual(rooms[3].name, "evil")
        self.assertEqual(len({room.id for room in rooms}), len(names))
        for room in rooms:
            self.assertRegex(room.id, r"\A[a-z0-9-]{1,39}\Z")

    def test_import_25_rooms_that_look_alike(self) -> None:
        names = ["Café", "Cafe\u0301", "CAFÉ"]
        events = [event(room=name, guid=str(number)) for number, name in enumerate(names)]
        reading = self.reading(json.dumps(document(*events)))
        ids = {room.name: room.id for room in reading.schedule.rooms}
        self.assertEqual(len(set(ids.values())), 3)
        self.assertEqual(len(reading.warnings), 2)
        self.assertIn("taken for two, but look like one", reading.warnings[0])
        turned = self.reading(json.dumps(document(*reversed(events)))).schedule
        self.assertEqual({room.name: room.id for room in turned.rooms}, ids, "the order does not matter")

    def test_import_38_descriptions_are_sanitised(self) -> None:
        hostile = (
            "<p onclick=x()>Hi <b>you</b><img src=x onerror=alert(1)></p><script>alert(1)</script>"
            "<a href='javascript:alert(1)'>a</a><a href='/logout'>b</a><style>*{}</style>"
            "<iframe src='//x'></iframe><ul><li>one<li>two</ul>"
        )
        abstract = self.talk(json.dumps(document(event(abstract=hostile)))).abstract
        self.assertEqual(
            abstract,
            '<p>Hi <b>you</b></p><a rel="nofollow noopener noreferrer ugc">a</a>'
            '<a rel="nofollow noopener noreferrer ugc">b</a><ul><li>one</li><li>two</li></ul>',
        )
        plain = self.talk(json.dumps(document(event(abstract="a < b & c")))).abstract
        self.assertEqual(plain, "<p>a &lt; b &amp; c</p>")

    def test_tags_that_do_not_end_do_not_take_long(self) -> None:
        many = [event(guid=str(number), abstract="<p " * 16_000) for number in range(40)]
        began = time.process_time()
        self.schedule(json.dumps(document(*many)))
        self.assertLess(time.process_time() - began, 4.0)

    def test_what_a_message_shows_of_the_file_is_one_line_of_text(self) -> None:
        for data, format in (
            (b"BEGIN:VCALENDAR\x0bX\x07\nEND:VTODO\n", "ical"),
            (b"BEGIN:V\x0b" + b"X" * 9000 + b"\n", "ical"),
            (b"title = '\x0b\xe9\x07'\n", "toml"),
            (b'{"\x0b\xe9\x1b": 1}', "voc"),
        ):
            said = self.refusal(data, format)
            self.assertTrue(said.isprintable(), said)
            self.assertLess(len(said), 300)

    def test_tracks_without_a_name_are_none(self) -> None:
        named = [{"name": "\u202e"}, {"name": " \t"}, {"name": 7}, {"name": "Web\u202e  and  more"}]
        tracks = self.schedule(json.dumps(document(event(track="Web and more"), tracks=named))).tracks
        self.assertEqual([track.name for track in tracks], ["Web and more"])
        head = "<track name='&#x202e;'/><track name='Web  and  more'/>"
        text = xml(FRAB_EVENT.replace(">Web<", ">Web and more<"), head)
        self.assertEqual([track.name for track in self.schedule(text).tracks], ["Web and more"])

    def test_a_table_with_commas_and_other_files_are_named(self) -> None:
        for text, words in (
            ("Title,Start,End\nx,y,z\n", "looks like a table with commas (CSV)"),
            ("titel;beginn;ende\n", "looks like a table with commas (CSV)"),
            ("%PDF-1.7\n", "neither schedule.xml, schedule.json, iCalendar nor TOML"),
            ("\x7fELF\x02\x01", "neither schedule.xml"),
            ("  <!doctype HTML>\n<p>", "this is an HTML page"),
        ):
            self.assertIn(words, self.refusal(text))

    def test_more_talks_than_any_event_has(self) -> None:
        many = xml("<event id='{}'><title>x</title><start>9:00</start><duration>0:10</duration></event>" * 5001)
        self.assertIn("more than 5,000 talks", self.refusal(many))


class ValueTests(ScheduleTestCase):
    def test_what_was_read_is_kept_as_it_is(self) -> None:
        for text in (xml(), json.dumps(document()), ical(), TALK):
            reading = self.reading(text)
            self.assertEqual(msgspec.json.decode(msgspec.json.encode(reading), type=Reading), reading)
        changed = self.reading(xml(FRAB_EVENT.replace("Feeds", "Seeds"))).schedule
        self.assertNotEqual(digest(self.reading(xml()).schedule), digest(changed))
        self.assertEqual(digest(self.reading(xml()).schedule), digest(self.reading(xml()).schedule))


class AnythingTests(ScheduleTestCase):
    """Whatever the bytes are: a schedule, or a sentence."""

    def either(self, data: bytes, format: str) -> None:
        try:
            read(data, AMSTERDAM, format)
        except BadSchedule as error:
            self.assertTrue(str(error))

    @settings(max_examples=150)
    @given(st.binary(max_size=200), st.sampled_from(FORMATS))
    def test_bytes(self, data: bytes, format: str) -> None:
        self.either(data, format)

    @settings(max_examples=300)
    @given(
        st.sampled_from([xml(), json.dumps(document()), ical(), TALK]),
        st.integers(0, 2000),
        st.integers(0, 30),
        st.text(max_size=12)
        | st.sampled_from(["\0", "9999", '"', "<", "]]>", "null", "-1e999", "\udcff", "{}", "[]"]),
    )
    def test_good_files_with_something_else_in_them(self, text: str, at: int, gone: int, put: str) -> None:
        at %= len(text)
        self.either((text[:at] + put + text[at + gone :]).encode("utf-8", "surrogatepass"), "auto")

    @settings(max_examples=200)
    @given(
        st.sampled_from(sorted(event())),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
            max_leaves=5,
        ),
    )
    def test_members_of_any_type(self, member: str, value: object) -> None:
        self.either(json.dumps(document(event(**{member: value}))).encode(), "voc")
