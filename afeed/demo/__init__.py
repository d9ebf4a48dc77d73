"""A bundled recording of a small invented conference, for a first look without any account.

``programme.toml`` has its talks, which :mod:`afeed.demo.programme` brings to the times of the play.
``conference.jsonl`` is played by :class:`afeed.sources.replay.Replay` over and over; the drawings its items
show are in ``photos/`` and are served at :data:`PHOTO_PATH`.
"""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent

#: The recording: one change a line, nine hours long.
RECORDING = _HERE / "conference.jsonl"

#: Its programme, at the recording's own times.
PROGRAMME = _HERE / "programme.toml"

#: The drawings, and the path under which the pages find them.
PHOTOS = _HERE / "photos"
PHOTO_PATH = "/static/demo/"

#: Nine hours in eighteen minutes: a new post every three seconds on average.
DEMO_SPEED = 30.0

#: What the event is called on the pages, and the tag its posts carry.
DEMO_NAME = "Tidelamp, a conference that does not exist"
DEMO_HASHTAG = "#tidelamp"
