"""``afeed export-site``: a copy of an event's pages that needs no server."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import attrs

from afeed.archive.walk import ItemReader, reading_items
from afeed.command.background import Background
from afeed.command.export import find_event, kept_schedule
from afeed.command.program import Command, Console, Environment, Refused, add_site_config
from afeed.configuration.site import Site, load_site
from afeed.core.change import timestamp
from afeed.media.addresses import media_key
from afeed.media.fetching import Fetcher
from afeed.media.store import MediaStore
from afeed.settings import Event
from afeed.site.builder import Builder
from afeed.site.folder import replaced
from afeed.site.pictures import Gathered, PictureFolder, fetch, wanted
from afeed.site.rendering import SiteRenderer
from afeed.web import languages
from afeed.web.assets import packaged
from afeed.web.fragments import Fragments

_DESCRIPTION = """\
Writes an event as a folder of plain HTML that can be opened from a disk, a file share
or any web server: an overview, the schedule, a page and a report for each talk, every
post by day with a permalink, feeds, and everything as CSV and JSON Lines.  The pages
need no script and ask nobody for anything but pictures.

Posts are as they are now; none that was removed, hidden or held back is in the copy.
Their pictures are shown from where they are, unless --images puts them into the copy:
those that afeed keeps, and else from the network, up to 20 MB each and from public
addresses only.  One that cannot be had stays a link.

DIR is written as DIR.partial and gets its name when it is whole; an earlier copy of the
same event is replaced then.  If the command is killed, say it again: pictures that were
fetched are not fetched again.  afeed may go on running.

  afeed export-site exconf-2026 --config /etc/afeed/afeed.toml --images /srv/www/exconf
"""

#: Items whose pictures are gathered together.
_TOGETHER = 100


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_site_config(parser)
    parser.add_argument("event", metavar="EVENT", help="the slug of the event")
    parser.add_argument("folder", metavar="DIR", type=Path, help="the folder to write")
    parser.add_argument("--images", action="store_true", help="put the pictures into the copy")
    parser.add_argument(
        "--language",
        choices=tuple(languages.languages()),
        default=languages.DEFAULT,
        help="the language of the pages (en); posts stay as they are",
    )


def _run(asked: argparse.Namespace, console: Console, environment: Environment) -> None:
    site = load_site(asked.config, environment.environ)
    event = find_event(site, asked.event)
    folder: Path = asked.folder.absolute()
    if not folder.parent.is_dir():
        raise Refused(f"there is no folder {folder.parent}")
    now = environment.now()
    mark = {"event": event.slug, "made": timestamp(now)}
    gathered = Gathered()
    with replaced(folder, mark) as partial, reading_items(site.store.archive) as archive:
        pictures = PictureFolder(partial)
        if asked.images:
            gathered = _gather(archive, site, event, pictures, console)
        assets = packaged()
        fragments = Fragments(event.timezone)
        builder = Builder(
            partial,
            # The addresses at which a server shows the pictures that it keeps are none in a copy.
            attrs.evolve(event, keep_media=False),
            kept_schedule(site, event),
            archive,
            SiteRenderer(assets, lambda _: fragments, pictures.place),
            assets,
            languages.languages()[asked.language],
            site.server.public_url,
            now,
            lambda what, count, total: console.progress(what, count, total, "posts"),
        )
        written = builder.build()
    if gathered.missing:
        console.remark(
            f"{gathered.missing:,} pictures could not be had; the copy shows them from where they are."
        )
    console.result(
        f"{folder} has {written.posts:,} posts and {written.talks:,} talks on {written.pages:,} pages. "
        f"Open {folder / 'index.html'}.",
        {
            "site": str(folder),
            "event": event.slug,
            "posts": written.posts,
            "talks": written.talks,
            "pages": written.pages,
            "images": {"there": gathered.there, "fetched": gathered.fetched, "missing": gathered.missing}
            if asked.images
            else None,
        },
    )


def _gather(
    archive: ItemReader, site: Site, event: Event, pictures: PictureFolder, console: Console
) -> Gathered:
    """Put the pictures of all items into the copy."""
    gathered = Gathered()
    store = MediaStore(site.store.media)
    total = archive.count(event.slug)

    def kept(address: str) -> tuple[bytes, str] | None:
        found = archive.kept_picture(media_key(address))
        if found is None or not store.has(*found):
            return None
        with store.open(*found) as file:
            return file.read(), found[1]

    with Background() as background:
        fetcher = background.call(_fetcher)
        count = 0
        for page in archive.pages(event.slug, size=_TOGETHER):
            missing = wanted([one.item for one in page], pictures, kept, gathered)
            if missing:
                background.call(lambda _, missing=missing: fetch(missing, pictures, fetcher, gathered))  # type: ignore[misc]
            count += len(page)
            console.progress("pictures", count, total, "posts")
    return gathered


async def _fetcher(reactor: Any) -> Fetcher:
    return Fetcher(reactor)


COMMAND = Command(
    name="export-site",
    summary="write an event as a folder of plain HTML that needs no server",
    description=_DESCRIPTION,
    arguments=_arguments,
    run=_run,
)
