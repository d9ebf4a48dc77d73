"""``afeed export``: an event's posts in a format of other programs."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

from afeed.archive.walk import reading_items
from afeed.command.program import Command, Console, Environment, Mistaken, Refused, add_site_config
from afeed.command.whole_file import whole
from afeed.configuration.site import Site, load_site
from afeed.core.change import timestamp
from afeed.core.schedule.model import Schedule, Talk
from afeed.exports.subject import Subject
from afeed.exports.writing import FORMATS
from afeed.schedules.kept import Shelf
from afeed.schedules.programme import FOLDER
from afeed.settings import Event

_DESCRIPTION = """\
Writes the posts of an event, or of one talk, as they are now: edited ones as they were
edited, and none that was removed, hidden or held back.  They come from the archive, in
the order in which they came in; what arrived in the last second or two may be in the
live log alone, and is in the next export.

afeed may go on running, and waits for nothing.  The file is there as a whole or not at
all.  Formats:

  jsonl   one post a line, as in docs/protocol.rst; a source of the type "replay" plays it
  csv     for spreadsheets: UTF-8; what they would take for a formula is text
  atom    Atom, for feed readers
  json    JSON Feed 1.1, likewise

  afeed export exconf-2026 --config /etc/afeed/afeed.toml --format csv -o exconf.csv
  afeed export exconf-2026 --config /etc/afeed/afeed.toml --talk keynote | wc -l

The address of a talk's page ends with its id.
"""


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_site_config(parser)
    parser.add_argument("event", metavar="EVENT", help="the slug of the event")
    parser.add_argument(
        "-f", "--format", choices=tuple(FORMATS), default="jsonl", help="one of those above (jsonl)"
    )
    parser.add_argument("-t", "--talk", metavar="ID", help="only what is filed under this talk")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="the file to write (standard output)")
    parser.add_argument(
        "--force", action="store_true", help="replace FILE if it exists, once the new one is whole"
    )


def _run(asked: argparse.Namespace, console: Console, environment: Environment) -> None:
    site = load_site(asked.config, environment.environ)
    event = find_event(site, asked.event)
    talk = find_talk(kept_schedule(site, event), asked.talk)
    out: Path | None = asked.output
    if out is None and asked.json:
        raise Mistaken("--json is about the file, so name one with --output")
    if out is not None:
        refuse_path(out, force=asked.force)
    subject = subject_of(site, event, talk)
    writer = FORMATS[asked.format].make(subject, timestamp(environment.now()))
    with reading_items(site.store.archive) as archive, _heard():
        position = archive.position(event.slug)
        total = archive.count(event.slug, subject.talk)
        with nullcontext(sys.stdout.buffer) if out is None else whole(out) as file:
            put = _Counting(file)
            put(writer.begin())
            count = 0
            for page in archive.pages(event.slug, subject.talk):
                for found in page:
                    put(writer.item(found))
                count += len(page)
                console.progress(subject.title, count, total, "posts")
            put(writer.end())
    if out is None:
        return
    console.result(
        f"{out} has {count:,} posts, in {put.size:,} bytes.",
        {
            "export": str(out),
            "event": event.slug,
            "talk": subject.talk,
            "format": asked.format,
            "posts": count,
            "bytes": put.size,
            "sha256": put.sha256,
            "position": None if position is None else f"{position.epoch}:{position.seq}",
        },
    )


@contextmanager
def _heard() -> Iterator[None]:
    """Say in one sentence that whoever read the output has left; else Python says so at the very end."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise Refused("nobody reads the output any more") from None


class _Counting:
    """Writes to ``file`` and knows how much and what."""

    def __init__(self, file: BinaryIO) -> None:
        self._write: Callable[[bytes], Any] = file.write
        self._hash = sha256()
        self.size = 0

    def __call__(self, data: bytes) -> None:
        self._write(data)
        self._hash.update(data)
        self.size += len(data)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


def find_event(site: Site, slug: str) -> Event:
    """The event with this slug, or who has misspelt it."""
    event = site.event(slug)
    if event is None:
        known = ", ".join(event.slug for event in site.events)
        raise Mistaken(f"the configuration has no event {slug!r}; it has {known}")
    return event


def find_talk(schedule: Schedule | None, talk: str | None) -> Talk | str | None:
    """The talk with this id; the id itself where there is no schedule (any more) that could tell."""
    if talk is None or schedule is None:
        return talk
    found = schedule.talk(talk)
    if found is None:
        raise Mistaken(f"the schedule has no talk {talk!r}; the address of its page ends with its id")
    return found


def kept_schedule(site: Site, event: Event) -> Schedule | None:
    """The version of the event's schedule that afeed uses, if it has one."""
    kept = Shelf(site.store.data_dir / FOLDER).load(event.slug)
    return None if kept is None else kept.schedule


def subject_of(site: Site, event: Event, talk: Talk | str | None) -> Subject:
    """What an export is about."""
    return Subject(
        public_url=site.server.public_url.rstrip("/"),
        slug=event.slug,
        name=event.name,
        starts=event.starts,
        talk=talk.id if isinstance(talk, Talk) else talk,
        talk_title=talk.title if isinstance(talk, Talk) else None,
    )


def refuse_path(out: Path, *, force: bool) -> None:
    """Refuse to write where that cannot be done, or would replace something, before any work is done."""
    if not out.parent.is_dir():
        raise Refused(f"there is no folder {out.parent}")
    if out.is_dir():
        raise Refused(f"{out} is a folder; name a file")
    if out.exists() and not out.is_file():  # the new file would take the place of /dev/null for everybody
        raise Refused(f"{out} is no ordinary file; leave out --output for a pipe")
    if out.exists() and not force:
        raise Refused(f"{out} exists already; name another file, or say --force to replace it")


COMMAND = Command(
    name="export",
    summary="write an event's posts as JSON Lines, CSV, Atom or JSON Feed",
    description=_DESCRIPTION,
    arguments=_arguments,
    run=_run,
)
