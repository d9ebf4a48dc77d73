"""``afeed check-config``: what a configuration would run, or all that is wrong with it."""

from __future__ import annotations

import argparse

from afeed.command.program import Command, Console, Environment
from afeed.config import check, load

_DESCRIPTION = """\
Reads a configuration as `twistd afeed` would, and says what would run, or everything
that is wrong with it, each with its line.  Nothing is opened, made or changed, and
no secret is printed; those that the file names must be there, for without them afeed
would not start.

  afeed check-config --config /etc/afeed/afeed.toml
  afeed check-config --config /etc/afeed/afeed.toml --json | jq -r '.problems[].message'
"""


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-c", "--config", metavar="FILE", required=True, help="the TOML file to look at")


def _run(asked: argparse.Namespace, console: Console, environment: Environment) -> None:
    settings = load(asked.config, environment.environ)
    text = check(settings)
    events = [event.slug for event in settings.events]
    console.result(text, {"config": asked.config, "ok": True, "events": events, "would_run": text})


COMMAND = Command(
    name="check-config",
    summary="say what a configuration would run, or what is wrong with it",
    description=_DESCRIPTION,
    arguments=_arguments,
    run=_run,
)
