"""Days of rules, compared with what a library finds."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from dateutil.rrule import rrulestr
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from afeed.core.schedule.calendarrules import Rule
from tests.properties import given, settings

#: Without a zone, as days are.  So late, because the library looks until 9999 for a day that never comes.
_START = datetime(9995, 3, 1)  # noqa: DTZ001
_WEEKDAYS = st.sampled_from(("MO", "TU", "WE", "TH", "FR", "SA", "SU"))


def listed(one: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(one, min_size=1, max_size=3, unique=True).map(",".join)


@st.composite
def rules(draw: st.DrawFn) -> dict[str, str]:
    """Any that both follow in the same way."""
    parts = {"FREQ": draw(st.sampled_from(("DAILY", "WEEKLY", "MONTHLY", "YEARLY")))}
    months = draw(st.none() | listed(st.integers(1, 12).map(str)))
    if months:
        parts["BYMONTH"] = months
    days = draw(st.none() | listed(st.integers(1, 31).flatmap(lambda at: st.sampled_from((f"{at}", f"-{at}")))))
    if days:
        parts["BYMONTHDAY"] = days
    # The library wants both of "MO,2TU", where RFC 5545 wants either.
    plain = parts["FREQ"] in ("DAILY", "WEEKLY") or draw(st.booleans())
    most = (20, -53) if parts["FREQ"] == "YEARLY" and not months else ()
    numbered = st.tuples(st.sampled_from((1, 2, 4, -1, -4, *most)), _WEEKDAYS).map(
        lambda pair: f"{pair[0]}{pair[1]}"
    )
    weekdays = draw(st.none() | listed(_WEEKDAYS if plain else numbered))
    if weekdays:
        parts["BYDAY"] = weekdays
    if draw(st.booleans()):
        parts["WKST"] = draw(_WEEKDAYS)
    return parts


class RuleTests(SynchronousTestCase):
    def found(self, parts: dict[str, str], interval: int = 1, days: int = 400) -> list[date]:
        return list(Rule(parts, interval, _START.date()).until(_START.date() + timedelta(days=days)))

    @settings(max_examples=400)
    @given(rules(), st.integers(1, 5), st.integers(0, 900))
    def test_they_are_those_of_a_library(self, parts: dict[str, str], interval: int, later: int) -> None:
        start = _START + timedelta(days=later)
        last = start + timedelta(days=400)
        text = ";".join(f"{key}={value}" for key, value in parts.items())
        library = rrulestr(f"RRULE:{text};INTERVAL={interval};UNTIL={last:%Y%m%d}", dtstart=start)
        expected = [moment.date() for moment in library]
        self.assertEqual(list(Rule(parts, interval, start.date()).until(last.date())), expected)

    def test_days_with_and_without_a_number_are_both_meant(self) -> None:
        found = self.found({"FREQ": "MONTHLY", "BYDAY": "1MO,-1FR"}, days=60)
        self.assertEqual([f"{day:%a %d}" for day in found], ["Mon 06", "Fri 31", "Mon 03", "Fri 28"])
        self.assertEqual(len(self.found({"FREQ": "MONTHLY", "BYDAY": "MO,1TU"}, days=29)), 5)

    def test_a_day_that_never_comes_is_not_looked_for_beyond_the_end(self) -> None:
        self.assertEqual(self.found({"FREQ": "DAILY", "BYMONTH": "2", "BYMONTHDAY": "30"}), [])

    def test_what_says_nothing_is_refused(self) -> None:
        for part, values in (
            ("BYMONTH", ("0", "13", "-1", "", "1,", "X")),
            ("BYMONTHDAY", ("0", "32", "-32", "1.5", "+")),
            ("BYDAY", ("XX", "0MO", "-0MO", "100MO", "", "MO,", "1")),
            ("WKST", ("XX", "")),
        ):
            for value in values:
                self.assertRaises(ValueError, self.found, {"FREQ": "DAILY", part: value})
