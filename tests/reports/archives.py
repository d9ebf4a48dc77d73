"""Archives with an invented day in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from afeed.archive.bulk import filling, finish
from afeed.core.backup import Beginning
from afeed.core.draft import Draft, Posted
from afeed.core.schedule.model import Schedule
from tests.core.attribution import labelled
from tests.fakes import MemoryLog

EVENT = "exconf"


def make_archive(folder: Path, drafts: Sequence[Draft], event: str = EVENT) -> str:
    """The URL of a new archive in ``folder`` with what a log makes of ``drafts``."""
    log = MemoryLog([event])
    log.append(event, None, list(drafts))
    url = f"sqlite:///{folder / 'archive.sqlite3'}"
    changes = log.events[event].changes
    with filling(url, "none", "2026-11-21T12:00:00.000Z") as archive:
        archive.begin(
            Beginning(event=event, epoch="e1", head=len(changes), ancestors=(), holes=(), positions={})
        )
        archive.add(event, changes)
    finish(url)
    return url


def day() -> tuple[Schedule, list[Draft]]:
    """A programme, and what people said about it, filed as an attentive reader would."""
    drafts: list[Draft] = [
        Posted(msgspec.structs.replace(one.item, talk=one.talk), "1") for one in labelled.posts()
    ]
    return labelled.schedule(), drafts
