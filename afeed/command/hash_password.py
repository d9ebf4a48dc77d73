"""``afeed hash-password``: what goes into the configuration for somebody who may sign in."""

from __future__ import annotations

import argparse

from afeed.command.program import Command, Console, Environment, Refused
from afeed.configuration.organisers import account_name
from afeed.configuration.problems import Wrong
from afeed.organisers import passwords

_DESCRIPTION = f"""\
Prints the lines that let somebody sign in at /admin, to be put at the end of the configuration file.

The password is asked for on the terminal and not shown.  Without a terminal the first line of the standard
input is the password.  It has {passwords.LEAST_CHARACTERS} characters or more; what is printed does not give
it away.
"""

_LINES = """\
[[admin.users]]
name = "{name}"
password_hash = "{hash}\""""


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", default="organiser", help="what they type to sign in (organiser)")


def _run(asked: argparse.Namespace, console: Console, environment: Environment) -> None:
    try:
        name = account_name(asked.name.lower())
    except Wrong as wrong:
        raise Refused(f"The name {wrong}") from None
    password = _password(environment)
    weakness = passwords.weakness(password, name)
    if weakness is not None:
        raise Refused(f"This password {weakness}")
    made = passwords.hashed(password)
    console.result(_LINES.format(name=name, hash=made), {"name": name, "password_hash": made})


def _password(environment: Environment) -> str:
    if not environment.stdin.isatty():
        # One character more than may be, so that what is longer is noticed and not cut.
        line = environment.stdin.readline(passwords.MOST_BYTES + 2)
        return line.removesuffix("\n").removesuffix("\r")
    try:
        password = environment.ask_secretly("Password: ")
        again = environment.ask_secretly("Once more: ")
    except EOFError:
        raise Refused("There was no password") from None
    if password != again:
        raise Refused("The two are not the same; try again")
    return password


COMMAND = Command(
    name="hash-password",
    summary="make the lines of the configuration that let somebody sign in",
    description=_DESCRIPTION,
    arguments=_arguments,
    run=_run,
)
