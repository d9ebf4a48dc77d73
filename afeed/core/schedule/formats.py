"""The formats of schedules, by the names that the configuration has for them."""

from __future__ import annotations

AUTO, FRAB, VOC, ICAL, TOML = "auto", "frab", "voc", "ical", "toml"

#: ``auto`` looks at the content.
FORMATS = (AUTO, FRAB, VOC, ICAL, TOML)
