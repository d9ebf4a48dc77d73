"""The command line of ``afeed``."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from typing import NoReturn, TextIO

import attrs

import afeed
from afeed.command import (
    backup,
    check_config,
    export,
    export_site,
    forget,
    hash_password,
    import_schedule,
    refile,
    restore,
)
from afeed.command.program import (
    DONE,
    FAILED,
    INTERRUPTED,
    MISTAKEN,
    Command,
    Console,
    Environment,
    Mistaken,
    Refused,
)
from afeed.config import ConfigurationError
from afeed.core.errors import AfeedError

COMMANDS: tuple[Command, ...] = (
    backup.COMMAND,
    restore.COMMAND,
    export.COMMAND,
    export_site.COMMAND,
    import_schedule.COMMAND,
    refile.COMMAND,
    forget.COMMAND,
    check_config.COMMAND,
    hash_password.COMMAND,
)

_DESCRIPTION = "Looks after the data of a live feed.  The feed itself is run by `twistd afeed`."
_EPILOG = """\
before an event:    check-config, import-schedule, hash-password
while it runs:      backup, refile, forget
when it is over:    export, export-site, backup

exit status:
  0    done
  1    not done, for the reason that is printed; the next try may succeed
  2    the command line or the configuration is wrong
  130  interrupted

`afeed COMMAND --help` explains a command.  docs/operations.rst has the whole picture.
"""


def make_parser() -> argparse.ArgumentParser:
    """What ``afeed`` understands."""
    parser = argparse.ArgumentParser(
        prog="afeed",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"afeed {afeed.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    for command in COMMANDS:
        sub = commands.add_parser(
            command.name,
            help=command.summary,
            description=command.description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        command.arguments(sub)
        sub.add_argument("--json", action="store_true", help="print the result as one JSON object")
        sub.set_defaults(found=command)
    return parser


def main(
    arguments: Sequence[str] | None = None,
    environment: Environment | None = None,
    out: TextIO | None = None,
    err: TextIO | None = None,
) -> int:
    """Run ``afeed`` with ``arguments`` (those of the process when None); returns the exit status.  A command
    line that cannot be understood raises :class:`SystemExit` with status 2, and ``--help`` with 0."""
    asked = make_parser().parse_args(arguments)
    command: Command = asked.found
    console = Console(out or sys.stdout, err or sys.stderr, as_json=asked.json)
    try:
        command.run(asked, console, environment or Environment(environ=os.environ, now=time.time))
    except ConfigurationError as error:
        console.refusal(str(error), problems=[attrs.asdict(problem) for problem in error.problems])
        return MISTAKEN
    except Mistaken as error:
        console.refusal(_sentence(str(error)))
        return MISTAKEN
    except (Refused, AfeedError) as error:
        console.refusal(_sentence(str(error)))
        return FAILED
    except OSError as error:
        console.refusal(_sentence(f"{error.filename or 'the system'}: {error.strerror or error}"))
        return FAILED
    except KeyboardInterrupt:
        console.refusal("Interrupted.")
        return INTERRUPTED
    return DONE


def _sentence(text: str) -> str:
    return text if text.endswith(".") else text + "."


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def script() -> NoReturn:
    """What the installed program ``afeed`` calls.  SIGTERM ends it as Ctrl-C does: what is half done is tidied
    away."""
    signal.signal(signal.SIGTERM, _interrupt)
    sys.exit(main())
