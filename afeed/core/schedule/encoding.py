"""From bytes to text without guessing: a wrong guess is mojibake that nobody notices until it is on a wall."""

from __future__ import annotations

import codecs

from afeed.core.schedule.problems import BadSchedule, quoted

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def decoded(data: bytes) -> str:
    """``data`` as text: UTF-8, or UTF-16 and UTF-32 where a byte order mark or the zeros of ASCII show it.
    Raises :class:`BadSchedule` with the place of what does not fit, and how it would read in Windows-1252."""
    encoding, text = _sniffed(data)
    try:
        return text.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise BadSchedule(
                [f"it begins as {encoding.upper()} but byte {error.start:,} does not fit"]
            ) from None
        line = text.count(b"\n", 0, error.start) + 1
        start = max(text.rfind(b"\n", 0, error.start) + 1, error.start - 15)
        around = text[start : error.start + 15].decode("cp1252", "replace").split("\n")[0].strip()
        raise BadSchedule(
            [
                f"line {line}: byte 0x{text[error.start]:02x} is not UTF-8 (in Windows-1252 it would read "
                f"{quoted(around)}); save the file as UTF-8"
            ]
        ) from None


def _sniffed(data: bytes) -> tuple[str, bytes]:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return encoding, data[len(mark) :]
    if len(data) >= 4:
        # Every format here begins with ASCII.
        if data[0] and not data[1] and data[2] and not data[3]:
            return "utf-16-le", data
        if not data[0] and data[1] and not data[2] and data[3]:
            return "utf-16-be", data
    return "utf-8", data
