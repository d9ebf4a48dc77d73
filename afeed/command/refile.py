"""``afeed refile``: have everything filed again, while afeed runs."""

from __future__ import annotations

import argparse
import time

from afeed.archive.filings import Refiling, ask_beside, count_items, look_beside
from afeed.command.program import Command, Console, Environment, Mistaken, Refused, add_site_config
from afeed.configuration.site import load_site
from afeed.core.change import timestamp

#: How long a running afeed may take to begin, and may be without progress, in seconds.
TAKEN_S, STUCK_S = 30.0, 120.0
#: How often it is looked how far it is, in seconds.
LOOK_S = 0.5

_DESCRIPTION = """\
Has every post of an event filed again: each is put under the talk that it is about, by
the schedule and the weights that the running afeed has.  afeed does that by itself
whenever the schedule or the weights change; this is for when you want to be sure.

The order is put into the archive's database, and the afeed that runs the sources
carries it out beside all else it does, a million posts in some minutes; this command
waits and says how far it is.  Ctrl-C ends the waiting, not the work.  If afeed does not
run, the order stands until it does.

What an organiser has filed by hand stays where it is.

  afeed refile exconf-2026 --config /etc/afeed/afeed.toml
  afeed refile exconf-2026 --config /etc/afeed/afeed.toml --no-wait --json
"""


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_site_config(parser)
    parser.add_argument("event", metavar="EVENT", help="the slug of the event")
    parser.add_argument("--no-wait", action="store_true", help="give the order, and do not wait for it")


def _run(asked: argparse.Namespace, console: Console, environment: Environment) -> None:
    site = load_site(asked.config, environment.environ)
    event = site.event(asked.event)
    if event is None:
        slugs = ", ".join(one.slug for one in site.events)
        raise Mistaken(f"the configuration has no event {asked.event}; there are: {slugs}")
    if event.schedule is None:
        raise Mistaken(
            f"{event.slug} has no schedule: add a table [events.schedule], and nothing else is needed"
        )
    url = site.store.archive
    number = ask_beside(url, event.slug, timestamp(environment.now()))
    if number is None:
        raise Refused("there is no archive of this version yet; start afeed, which files everything by itself")
    if asked.no_wait:
        told = {"event": event.slug, "asked": number, "done": False}
        console.result(f"{event.slug} is filed again as soon as afeed runs.", told)
        return
    state = _wait(url, event.slug, number, console)
    console.result(
        f"{event.slug}: {state.seen:,} posts were filed again, and {state.changed:,} of them moved.",
        {
            "event": event.slug,
            "asked": number,
            "done": True,
            "seen": state.seen,
            "changed": state.changed,
        },
    )


def _wait(url: str, event: str, number: int, console: Console) -> Refiling:
    """The state in which the order was carried out."""
    total = count_items(url, event)
    since, before = time.monotonic(), None
    while True:
        state = look_beside(url, event)
        begun = state is not None and is_of(state, number)
        if state is not None and begun and state.done:
            return state
        if begun and state != before:
            since, before = time.monotonic(), state
        waited = time.monotonic() - since
        if not begun and waited > TAKEN_S:
            raise Refused(
                f"nobody has begun within {TAKEN_S:.0f} s: afeed does not run, or its schedule cannot be read, "
                "which /healthz would say. The order stands, and is carried out then"
            )
        if waited > STUCK_S:
            raise Refused(f"nothing has happened for {STUCK_S:.0f} s; see what /healthz says of filing")
        console.progress(event, state.seen if state is not None and begun else 0, total, "posts")
        time.sleep(LOOK_S)


def is_of(state: Refiling, number: int) -> bool:
    """Whether this run has begun after it was asked for the ``number``-th time."""
    last = state.wanted.rpartition(".")[2]
    return last.isdecimal() and int(last) >= number


COMMAND = Command(
    name="refile",
    summary="have every post of an event filed under its talk again, while afeed runs",
    description=_DESCRIPTION,
    arguments=_arguments,
    run=_run,
)
