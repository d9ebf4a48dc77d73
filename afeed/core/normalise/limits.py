"""How large things from outside may be."""

from __future__ import annotations

#: An item whose JSON is longer than this is dropped as ``oversize``.
MAX_ITEM_BYTES = 64 * 1024

#: A stream line longer than this is not even parsed.
MAX_LINE_BYTES = 1024 * 1024

#: Longer texts cannot become an item of :data:`MAX_ITEM_BYTES`, so no work is spent on them.
MAX_TEXT_CHARS = MAX_ITEM_BYTES

#: Entities (links, hashtags, mentions) of one post that are looked at.
MAX_ENTITIES = 500

#: Photos and videos of one item that are kept.
MAX_MEDIA = 20

#: Characters of a name, of an alternative text, and of an upstream's own message quoted in a log.
MAX_NAME_CHARS = 200
MAX_ALT_CHARS = 2000
MAX_REASON_CHARS = 300
