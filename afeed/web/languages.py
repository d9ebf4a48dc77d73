"""The languages of the pages: their words, from the catalogues in ``locale/``, and how they write dates.

English is the language of the source; every other has a catalogue, ``locale/<language>.po``, which is read as
translators write it, once, at the start.  ``python -m afeed.web.catalogues`` brings the catalogues up to date
with the source.  A reader's language is that of the address (``?lang=de``) or what the browser prefers
(``Accept-Language``); nothing is stored."""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cache, lru_cache
from importlib.resources import files

import attrs
from babel import Locale
from babel.dates import (
    format_date,
    format_datetime,
    format_interval,
    format_skeleton,
    format_time,
    format_timedelta,
)
from babel.messages import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal
from babel.support import Translations
from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

#: How the languages of the pages are called in themselves, by tag; the order is that of the links.
NAMES: Mapping[str, str] = {"en": "English", "de": "Deutsch", "fr": "Français"}

#: Ways to write English, and where dates are written so.
_PLACES: Mapping[str, str] = {"en": "en_GB", "en-US": "en_US", "de": "de", "fr": "fr"}

#: Whoever has no other wish, or none that can be met.
DEFAULT = "en"

#: So many characters of ``Accept-Language`` are looked at; browsers send fewer.
MOST_ACCEPTED = 200

#: Counts with which every plural form of every language turns up.
_COUNTS = range(200, -1, -1)


@attrs.frozen(eq=False)
class Language:
    """``tag`` is what ``lang`` attributes say (``de``, ``en-US``)."""

    tag: str
    locale: Locale
    translations: Translations

    @property
    def name(self) -> str:
        """The tag of the catalogue: one of :data:`NAMES`."""
        return str(self.locale.language)

    def text(self, english: str, **values: object) -> str:
        """``english`` in this language, itself where the catalogue has nothing; ``values`` stand in it as
        ``%(name)s``."""
        found = str(self.translations.gettext(english))
        return found % values if values else found

    def plurals(self, one: str, other: str) -> dict[str, str]:
        """The forms by category, as JavaScript's ``Intl.PluralRules`` names them (``one``, ``other`` ...)."""
        return {
            self.locale.plural_form(count): str(self.translations.ngettext(one, other, count))
            for count in _COUNTS
        }

    def days(self, starts: date, ends: date) -> str:
        """``21–23 Nov 2026``, ``21.–23. Nov. 2026``, and so on; what the two days share is said once."""
        return str(format_interval(starts, ends, "yMMMd", locale=self.locale))

    def day(self, day: date) -> str:
        """``21``, as on the leaf of a calendar."""
        return str(format_date(day, "d", locale=self.locale))

    def month(self, day: date) -> str:
        """``Nov``, above it."""
        return str(format_date(day, "LLL", locale=self.locale)).rstrip(".")

    def weekday(self, day: date, *, short: bool = False) -> str:
        """``Saturday, 21 November``, or ``Sat, 21 Nov``."""
        return str(format_skeleton("MMMEd" if short else "MMMMEEEEd", day, locale=self.locale))

    def hour_minute(self, moment: datetime, zone: tzinfo) -> str:
        """``17:05``, or ``5:05 PM`` where that is written so."""
        there = moment.astimezone(zone)
        return _hour_minute(there.hour, there.minute, self.tag)

    def short_day(self, moment: datetime, zone: tzinfo, today: date) -> str:
        """``Sat 21`` where that is another day than ``today``, else nothing."""
        day = moment.astimezone(zone).date()
        return "" if day == today else str(format_skeleton("Ed", day, locale=self.locale))

    def number(self, number: int) -> str:
        """``1,234``."""
        return _number(number, self.tag)

    def away(self, days: int) -> str:
        """``in 5 days``."""
        return str(
            format_timedelta(timedelta(days=days), granularity="day", add_direction=True, locale=self.locale)
        )

    def ago(self, seconds: float) -> str:
        """``3 minutes ago``."""
        passed = timedelta(seconds=-max(1.0, seconds))
        return str(format_timedelta(passed, threshold=1, add_direction=True, locale=self.locale))

    def ahead(self, seconds: float) -> str:
        """``in 3 minutes``."""
        left = timedelta(seconds=max(1.0, seconds))
        return str(format_timedelta(left, threshold=1, add_direction=True, locale=self.locale))

    def clock(self, at: str, timezone: tzinfo = UTC) -> str:
        """``17:00:05`` for an RFC 3339 time."""
        return str(format_time(datetime.fromisoformat(at).astimezone(timezone), "medium", locale=self.locale))

    def moment(self, at: str, timezone: tzinfo = UTC) -> str:
        """``21 Nov 2026, 17:00:05 UTC`` for an RFC 3339 time."""
        when = datetime.fromisoformat(at).astimezone(timezone)
        return f"{format_datetime(when, 'medium', locale=self.locale)} {when.tzname()}"


def catalogue(name: str) -> Catalog:
    """The catalogue of a language, as it stands in the package; raises :class:`FileNotFoundError` for one that
    has none."""
    with files("afeed.web").joinpath("locale", f"{name}.po").open("rb") as file:
        return read_po(file, locale=name)


@lru_cache(maxsize=10_000)
def _hour_minute(hour: int, minute: int, tag: str) -> str:
    """A programme of a thousand talks has thousands, too."""
    return str(format_time(time(hour, minute), "short", locale=languages()[tag].locale))


@lru_cache(maxsize=10_000)
def _number(number: int, tag: str) -> str:
    """A page of the archive has hundreds, and putting one into form takes a tenth of a millisecond."""
    return str(format_decimal(number, locale=languages()[tag].locale))


@cache
def _translations(name: str) -> Translations:
    if name == DEFAULT:
        return Translations()
    compiled = io.BytesIO()
    write_mo(compiled, catalogue(name))
    compiled.seek(0)
    return Translations(compiled)


@cache
def languages() -> Mapping[str, Language]:
    """All languages by tag."""
    return {
        tag: Language(tag, locale, _translations(str(locale.language)))
        for tag, place in _PLACES.items()
        for locale in [Locale.parse(place)]
    }


def default() -> Language:
    """The language of who has no wish."""
    return languages()[DEFAULT]


def choose(asked: str | None, accepted: str | None) -> tuple[Language, bool]:
    """The language for who asked for one by its tag and whose browser sends ``accepted``
    (``Accept-Language``); and whether the first of the two decided."""
    if asked is not None and asked in languages():
        return languages()[asked], True
    accepted = accepted or ""
    if len(accepted) > MOST_ACCEPTED:
        # Without the last wish, which may have lost its end and with that its weight.
        accepted = accepted[:MOST_ACCEPTED].rpartition(",")[0]
    return languages()[_best(accepted)], False


@lru_cache(maxsize=256)
def _best(accepted: str) -> str:
    return str(parse_accept_header(accepted, LanguageAccept).best_match(list(_PLACES), DEFAULT))
