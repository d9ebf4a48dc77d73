"""How the pictures are, in one sentence."""

from __future__ import annotations

from typing import Any

from afeed.archive.media import Standing
from afeed.core.change import timestamp
from afeed.core.health import Check

NAME = "media"


def media_check(
    standing: Standing,
    most_bytes: int,
    *,
    leads: bool,
    trouble: str | None,
    disk: str | None,
    fault: str | None,
) -> Check:
    """``trouble`` is what is wrong with the archive, ``disk`` with the folder of the files, and ``fault`` what
    was wrong with the picture that could not be fetched last."""
    data: dict[str, Any] = {
        "waiting": standing.waiting,
        "kept": standing.kept,
        "failed": standing.failed,
        "bytes": standing.size,
        "most_bytes": most_bytes,
        "last_error": fault,
        "oldest": None if standing.oldest is None else timestamp(standing.oldest),
    }
    if trouble is not None:
        return Check(name=NAME, state="degraded", detail=f"Pictures wait for the archive: {trouble}", data=data)
    if disk is not None:
        detail = f"The folder of pictures cannot be written to ({disk}): make room, or mend the disk."
        return Check(name=NAME, state="degraded", detail=detail, data=data)
    if not leads:
        return Check(
            name=NAME, state="ok", detail="It rests on this node: the one that leads fetches pictures."
        )
    if standing.size >= most_bytes:
        detail = (
            f"{standing.waiting:,} pictures wait: {standing.size:,} bytes are kept and max_media_bytes is "
            f"{most_bytes:,}. Raise it, and restart afeed."
        )
        return Check(name=NAME, state="degraded", detail=detail, data=data)
    detail = f"{standing.kept:,} pictures are kept and {standing.waiting:,} wait."
    if standing.failed:
        detail += f" {standing.failed:,} could not be fetched."
    return Check(name=NAME, state="ok", detail=detail, data=data)
