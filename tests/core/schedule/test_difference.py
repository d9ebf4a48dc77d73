"""One version of a schedule after another."""

from __future__ import annotations

import msgspec

from afeed.core.schedule.difference import Succession, succeed
from afeed.core.schedule.model import Schedule
from tests.core.schedule.case import ScheduleTestCase

PROGRAMME = """
[[talks]]
id = "one"
title = "Feeds that stay"
start = 2026-11-21T09:30:00
minutes = 45
room = "Hall 1"
speakers = ["Ann"]

[[talks]]
id = "two"
title = "Cursors"
start = 2026-11-21T09:30:00
minutes = 45
room = "Hall 2"
speakers = ["Bo", "Cy"]

[[talks]]
id = "lunch"
title = "Lunch"
start = 2026-11-21T12:00:00
minutes = 60
"""


class DifferenceTests(ScheduleTestCase):
    def setUp(self) -> None:
        self.old = self.schedule(PROGRAMME)

    def after(self, *replacements: tuple[str, str], old: Schedule | None = None) -> Succession:
        text = PROGRAMME
        for before, after in replacements:
            self.assertIn(before, text)
            text = text.replace(before, after)
        return succeed(old or self.old, self.schedule(text))

    def kinds(self, succession: Succession) -> dict[str, tuple[str, ...]]:
        return {revision.id: revision.kinds for revision in succession.revisions}

    def test_import_30_the_same_again_is_nothing(self) -> None:
        same = self.after()
        self.assertEqual(same.schedule, self.old)
        self.assertEqual(same.revisions, ())

    def test_the_first_version_is_not_news(self) -> None:
        self.assertEqual(succeed(None, self.old), Succession(schedule=self.old, revisions=()))

    def test_what_can_happen_to_a_talk(self) -> None:
        for before, after, kinds in (
            ('"Hall 2"', '"Hall 3"', ("moved",)),
            ('"Cursors"', '"Cursors, again"', ("renamed",)),
            ('"Cy"]', '"Di"]', ("changed",)),
            ('"Cursors"', '"Cancelled: Cursors"', ("renamed", "cancelled")),
            ('id = "two"', 'id = "two"\ncancelled = true', ("cancelled",)),
            ('id = "two"', 'id = "two"\nabstract = "New."', ("changed",)),
        ):
            self.assertEqual(self.kinds(self.after((before, after))), {"two": kinds}, after)
        moved = self.after(("12:00", "12:30")).revisions[0]
        assert moved.before is not None
        self.assertEqual((moved.before.start.hour, moved.after.start.minute), (11, 30))
        extra = self.schedule(
            PROGRAMME + '[[talks]]\nid = "x"\ntitle = "X"\nstart = 2026-11-21T14:00:00\nminutes = 5\n'
        )
        self.assertEqual(self.kinds(succeed(self.old, extra)), {"x": ("new",)})

    def test_a_talk_that_disappears_is_cancelled_and_may_be_back(self) -> None:
        start, end = PROGRAMME.index('[[talks]]\nid = "two"'), PROGRAMME.index('[[talks]]\nid = "lunch"')
        without = self.schedule(PROGRAMME[:start] + PROGRAMME[end:])
        gone = succeed(self.old, without)
        self.assertEqual(self.kinds(gone), {"two": ("cancelled",)})
        talk = gone.schedule.talk("two")
        assert talk is not None
        self.assertTrue(talk.cancelled)
        self.assertIn(talk.room, [room.id for room in gone.schedule.rooms])
        again = succeed(gone.schedule, without)
        self.assertEqual((again.schedule, again.revisions), (gone.schedule, ()))
        back = succeed(again.schedule, self.old)
        self.assertEqual(self.kinds(back), {"two": ("back",)})
        self.assertEqual(back.schedule, self.old)

    def test_import_29_a_talk_whose_id_changes_is_found_under_the_old_one(self) -> None:
        changed = self.after(('"one"', '"eins"'))
        self.assertEqual(changed.revisions, ())
        self.assertEqual(changed.schedule.aliases, {"one": "eins"})
        self.assertEqual(changed.schedule.talk("one"), changed.schedule.talk("eins"))
        moved = self.after(('"one"', '"uno"'), ('"Hall 1"', '"Hall 9"'), old=changed.schedule)
        self.assertEqual(self.kinds(moved), {"uno": ("moved",)})
        self.assertEqual(moved.schedule.aliases, {"one": "uno", "eins": "uno"})
        returned = self.after(old=moved.schedule)
        self.assertEqual(returned.schedule.aliases, {"eins": "one", "uno": "one"})

    def test_ids_are_not_led_where_nothing_proves_it(self) -> None:
        for old, new in ((("one", "eins"), ('"Ann"', '"Al"')), (("lunch", "mittag"), ("12:00", "13:00"))):
            changed = self.after(*((f'id = "{old[0]}"', f'id = "{old[1]}"'), new))
            self.assertEqual(changed.schedule.aliases, {})
            self.assertEqual(self.kinds(changed), {old[0]: ("cancelled",), old[1]: ("new",)})
        twins = msgspec.structs.replace(
            self.old,
            talks=tuple(
                msgspec.structs.replace(self.old.talks[0], guid=guid, id=guid) for guid in ("left", "right")
            ),
        )
        self.assertEqual(succeed(self.old, twins).schedule.aliases, {}, "two could be meant")
