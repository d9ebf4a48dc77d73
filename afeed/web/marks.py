"""An outage as the mark that pages show between the posts; ``templates/gap.html`` has the words."""

from __future__ import annotations

from datetime import tzinfo

import attrs

from afeed.core.draft import SourceGap
from afeed.web.fragments import plain_time


@attrs.frozen(kw_only=True)
class GapMark:
    """``kind`` is the sentence: the outage lasts (``ongoing``), could not be filled in (``open``), or was, with
    ``none``, ``one`` or ``some`` posts.  ``id`` names the outage, for whatever is told of it later."""

    kind: str
    id: str = ""
    source: str = ""
    from_: str = ""
    from_text: str = ""
    to: str | None = None
    to_text: str = ""
    fetched: int = 0


#: What scripts fill in.
BLANKS = tuple(GapMark(kind=kind) for kind in ("ongoing", "open", "none", "one", "some"))


def mark(gap: SourceGap, timezone: tzinfo) -> GapMark:
    """The mark of ``gap``, its times in ``timezone`` until a script knows the reader's."""
    return GapMark(
        kind=_kind(gap),
        id=f"gap-{gap.source}-{gap.from_}",
        source=gap.source.partition(":")[0].capitalize(),
        from_=gap.from_,
        from_text=plain_time(gap.from_, timezone),
        to=gap.to,
        to_text="" if gap.to is None else plain_time(gap.to, timezone),
        fetched=gap.fetched,
    )


def _kind(gap: SourceGap) -> str:
    if gap.state == "open":
        return "ongoing" if gap.to is None else "open"
    return {0: "none", 1: "one"}.get(gap.fetched, "some")
