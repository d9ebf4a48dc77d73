"""The way in: bytes of a schedule of some format, and what kind of file it is otherwise."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import MappingProxyType
from zoneinfo import ZoneInfo

from afeed.core.schedule import frab, ical, table, voc
from afeed.core.schedule.encoding import decoded
from afeed.core.schedule.formats import AUTO, FRAB, ICAL, TOML, VOC
from afeed.core.schedule.limits import MAX_BYTES
from afeed.core.schedule.model import Reading
from afeed.core.schedule.problems import BadSchedule

_PARSERS: MappingProxyType[str, Callable[[bytes, ZoneInfo], Reading]] = MappingProxyType(
    {
        FRAB: frab.read_frab,
        VOC: voc.read_voc,
        ICAL: ical.read_ical,
        TOML: table.read_table,
    }
)

_TOML_LINE = re.compile(r"^[ \t]*(?:\[\[?[ \t]*[\w.\"-]+[ \t]*\]\]?|[\w.\"-]+[ \t]*=)", re.MULTILINE)
_HTML = re.compile(r"<(?:!doctype\s+html|html)\b", re.IGNORECASE)


def read(data: bytes, zone: ZoneInfo, format: str = AUTO) -> Reading:
    """The schedule in ``data``.

    ``zone`` is the event's: for times without one, in files that name none.  ``format`` is one of
    :data:`~afeed.core.schedule.formats.FORMATS`.  Raises :class:`BadSchedule`, whose words say
    what is wrong and where; nothing else, whatever ``data`` is.
    """
    if len(data) > MAX_BYTES:
        raise BadSchedule([f"it is larger than {MAX_BYTES:,} bytes; is it the schedule of one event?"])
    if not data.strip(b"\xef\xbb\xbf\xff\xfe \t\r\n\0"):
        raise BadSchedule(["it is empty: there are no talks in it"])
    return _PARSERS[detect(data) if format == AUTO else format](data, zone)


def detect(data: bytes) -> str:
    """The format of ``data`` by how it begins.  Raises :class:`BadSchedule` when it is none of ours."""
    head = _head(data)
    if _HTML.match(head):
        raise BadSchedule(
            [
                "this is an HTML page, not a schedule; is this the address of the export, and may it be read "
                "without signing in?"
            ]
        )
    if head.startswith("<"):
        return FRAB
    if head[:20].upper().startswith("BEGIN:"):
        return ICAL
    # A TOML table begins with a bracket too, but JSON's list is never a schedule.
    if head.startswith("{") or (re.match(r"\[\s*[\[{\]\"0-9]", head) and _TOML_LINE.match(head) is None):
        return VOC
    if head.startswith("#") or _TOML_LINE.match(head):
        return TOML
    first = head.split("\n", 1)[0]
    if first.count(",") + first.count(";") + first.count("\t") >= 2:
        raise BadSchedule(
            [
                "this looks like a table with commas (CSV), which says too little about times; export "
                "schedule.xml, schedule.json or .ics, or write the TOML form"
            ]
        )
    raise BadSchedule(["this is neither schedule.xml, schedule.json, iCalendar nor TOML"])


def _head(data: bytes) -> str:
    """The first characters that are not space; bytes that are no text are passed over here."""
    try:
        return decoded(data[: 8192 - 8192 % 4]).lstrip()[:4096]
    except BadSchedule:
        return data[:8192].decode("latin-1").removeprefix("ï»¿").lstrip()[:4096]
