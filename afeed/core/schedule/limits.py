"""How large a schedule may be.  The largest real ones have some 1,500 talks in 5 MB."""

from __future__ import annotations

from datetime import timedelta

MAX_BYTES = 16 * 1024 * 1024
#: TOML is written by hand, and its parser is slow.
MAX_TOML_BYTES = 2 * 1024 * 1024
MAX_TALKS = 5_000
MAX_ROOMS = 1_000
#: Elements within elements, objects within objects.
MAX_DEPTH = 32
MAX_ELEMENTS = 200_000

MAX_TITLE_CHARS = 500
MAX_NAME_CHARS = 200
MAX_GUID_CHARS = 500
#: Of a description, before it is sanitised; the rest is cut off.
MAX_PROSE_CHARS = 50_000
MAX_SPEAKERS = 50
MAX_HASHTAGS = 20
MAX_HASHTAG_CHARS = 60

#: Installations and assemblies fill a whole event; nothing fills two.
MAX_LENGTH = timedelta(days=31)

#: How often one calendar entry may repeat, and for how long.
MAX_REPEATS = 1_000
MAX_SERIES = timedelta(days=400)

#: How many moments the series of one file may name together, before any is taken out again.
MAX_MOMENTS = 20_000

MAX_WARNINGS = 50
#: Nobody reads more, and the rest of the file is not looked at.
MAX_PROBLEMS = 200
