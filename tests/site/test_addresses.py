"""Where pages are in the copy."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from afeed.site.addresses import talk_file, talk_report_file


class FileTests(SynchronousTestCase):
    def test_no_page_of_a_talk_has_the_place_of_another_talk(self) -> None:
        talks = ("intro", "intro-2", "intro-2-2")
        places = [talk_file(talk, page) for talk in talks for page in (1, 2, 3)]
        places += [talk_report_file(talk) for talk in talks]
        self.assertEqual(len(set(places)), len(places))
