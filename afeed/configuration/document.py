"""Reading the configuration file; every failure is one line that names the path."""

from __future__ import annotations

import codecs
import re
import tomllib
from pathlib import Path
from typing import Any

from afeed.configuration.positions import Positions, positions
from afeed.configuration.problems import ConfigurationError, Problem
from afeed.core.schedule.nesting import has_long_key

MAX_BYTES = 1_000_000

_PLACE = re.compile(r" \(at line (?P<line>\d+), column (?P<column>\d+)\)")
_AT_THE_END = " (at end of document)"


def read_document(path: Path, file: str) -> tuple[dict[str, Any], Positions]:
    """The values of the TOML file at ``path`` and the line of each key; ``file`` is what messages call it.

    Raises :class:`ConfigurationError` with one problem when there is nothing to look at in detail.
    """

    def failure(message: str, line: int | None = None) -> ConfigurationError:
        return ConfigurationError([Problem(file, line, "", message)])

    try:
        with path.open("rb") as stream:
            source = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise failure("there is no such file") from None
    except IsADirectoryError:
        raise failure("is a directory; name the TOML file in it") from None
    except PermissionError:
        raise failure("may not be read by the user that runs afeed") from None
    except (OSError, ValueError) as error:
        raise failure(f"cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if len(source) > MAX_BYTES:
        raise failure(f"is larger than {MAX_BYTES:,} bytes; is it the right file?")
    if source.startswith(codecs.BOM_UTF8):
        raise failure("begins with a byte order mark; save it as UTF-8 without one", 1)
    try:
        text = source.decode("utf-8")
    except UnicodeDecodeError as error:
        line = source.count(b"\n", 0, error.start) + 1
        raise failure(f"is not UTF-8 (byte 0x{source[error.start]:02x}); save it as UTF-8", line) from None
    if not text.strip():
        raise failure("is empty; it needs at least one [[events]] table")
    if has_long_key(text):
        raise failure("is not valid TOML for afeed: a key has more than a hundred parts")
    try:
        return tomllib.loads(text), positions(source)
    except RecursionError:
        raise failure("is not valid TOML: brackets are nested too deep") from None
    except ValueError as error:
        # TOMLDecodeError, or int() refusing thousands of digits.  Neither quotes a value.
        message = str(error)
        place = _PLACE.search(message)
        if place is None:
            last = len(text.splitlines()) if message.endswith(_AT_THE_END) else None
            raise failure(f"is not valid TOML: {message}", last) from None
        message = f"is not valid TOML: {message[: place.start()]} (column {place['column']})"
        raise failure(message, int(place["line"])) from None
