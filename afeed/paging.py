"""What a page shows of an event at one moment, put together from the channel's window and the archive."""

from __future__ import annotations

import msgspec

from afeed.channel import Channel
from afeed.core.change import Change
from afeed.core.errors import ArchiveUnavailable
from afeed.core.item import Item
from afeed.core.outages import Outages
from afeed.core.present import Present, is_late, present
from afeed.interfaces import FeedPage, IArchive, PageItem


async def feed_page(
    channel: Channel, archive: IArchive, limit: int, before: int | None, prompt: bool
) -> FeedPage:
    """See :meth:`afeed.interfaces.IFeed.page`."""
    if not channel.ready:
        return await _page_without_log(channel, archive, limit, before, prompt)
    with channel.removals() as removed:
        found, older, cursor, head = await _items(channel, archive, limit, before, prompt)
    shown = [one for one in found if one.seq > removed.get(one.item.id, 0)]
    gaps = channel.outages.shown(before, 0 if older is None else older, head)
    return FeedPage(shown, cursor, older, gaps, channel.stalled)


async def _items(
    channel: Channel, archive: IArchive, limit: int, before: int | None, prompt: bool
) -> tuple[list[PageItem], int | None, str, int]:
    """Up to ``limit`` items, where the page before them begins, and the head to which all of it belongs as a
    cursor and as a number."""
    # One more than asked for tells whether there is an older page.
    state = present(channel.newest_first(), limit + 1, before, is_late if prompt else None)
    cursor, head, first = channel.cursor, channel.head, channel.first
    items = [PageItem(seq, state.filed(_item(change))) for seq, change in state.posted]
    older: int | None = None
    if len(items) <= limit and first > 1:
        bound = first if before is None else min(before, first)
        wanted = limit + 1 - len(items)
        try:
            items += await _older_items(channel, archive, wanted, bound, prompt, state)
        except ArchiveUnavailable:
            if not items:
                raise
            older = bound  # what is at hand; the older page says what is wrong
    if len(items) > limit:
        older = items[limit - 1].seq
    return items[:limit], older, cursor, head


async def _page_without_log(
    channel: Channel, archive: IArchive, limit: int, before: int | None, prompt: bool
) -> FeedPage:
    """A log that was away from the start is no reason to show nothing: the archive has nearly all."""
    event = channel.event
    archived = await archive.position(event)
    if archived is None:
        raise ArchiveUnavailable("neither the live log nor the archive can tell what was posted")
    items = await archive.items(event, limit + 1, before, prompt)
    older = items[limit - 1].seq if len(items) > limit else None
    outages = Outages()
    outages.recall(await archive.gaps(event))
    gaps = outages.shown(before, 0 if older is None else older, archived.seq)
    return FeedPage(items[:limit], f"{archived.epoch}:{archived.seq}", older, gaps, channel.stalled)


async def _older_items(
    channel: Channel, archive: IArchive, limit: int, before: int, prompt: bool, newer: Present
) -> list[PageItem]:
    """Up to ``limit`` items from the archive, corrected by what ``newer`` says of them."""
    first = channel.first
    archived = await archive.position(channel.event)
    if archived is None or archived.seq < first - 1:
        # What lies between is in the log alone; a page that left it out would hide posts.
        raise ArchiveUnavailable("the archive is catching up with the live log")
    found = await archive.items(channel.event, limit + len(newer.removed), before, prompt)
    items: list[PageItem] = []
    for one in found:
        edit = newer.edited.get(one.item.id)
        if one.item.id not in newer.removed:
            item = one.item if edit is None else msgspec.structs.replace(_item(edit), talk=one.item.talk)
            items.append(PageItem(one.seq, newer.filed(item)))
    return items[:limit]


def _item(change: Change) -> Item:
    item = change.item()
    assert item is not None
    return item
