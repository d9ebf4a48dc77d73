"""What the tests of all schedule formats have in common.  All conferences here are invented."""

from __future__ import annotations

import time
from zoneinfo import ZoneInfo

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.schedule.model import Reading, Schedule, Talk
from afeed.core.schedule.problems import BadSchedule
from afeed.core.schedule.reading import read

AMSTERDAM = ZoneInfo("Europe/Amsterdam")


class ScheduleTestCase(SynchronousTestCase):
    """Reads texts as the event's own zone, Amsterdam, has them."""

    def reading(self, text: str | bytes, format: str = "auto", zone: ZoneInfo = AMSTERDAM) -> Reading:
        return read(text if isinstance(text, bytes) else text.encode(), zone, format)

    def schedule(self, text: str | bytes, format: str = "auto") -> Schedule:
        """The schedule in ``text``, about which there is nothing to warn of."""
        reading = self.reading(text, format)
        self.assertEqual(reading.warnings, ())
        return reading.schedule

    def talk(self, text: str | bytes) -> Talk:
        """The only one."""
        [talk] = self.schedule(text).talks
        return talk

    def refusal(self, text: str | bytes, format: str = "auto", within_s: float | None = None) -> str:
        """Why it is refused; with ``within_s``, the processor time that this may take."""
        began = time.process_time()
        error = self.assertRaises(BadSchedule, self.reading, text, format)
        if within_s is not None:
            self.assertLess(time.process_time() - began, within_s)
        self.assertNotIn("\n", str(error))
        return str(error)


def when(talk: Talk) -> str:
    """``2026-11-21 08:30-09:15``, in UTC."""
    return f"{talk.start:%Y-%m-%d %H:%M}-{talk.end:%H:%M}"
