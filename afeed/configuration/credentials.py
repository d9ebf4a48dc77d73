"""Secrets: from an environment variable or a file that the configuration names, never from the configuration
itself, and never into a message.

A name that cannot be one is not quoted either: it may be the secret itself, put beside the wrong key.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from afeed.configuration.problems import Wrong, quoted
from afeed.configuration.table import Key, Surroundings, Table
from afeed.settings import Secret

_LONGEST = 4096
_SHORTEST = 8
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}\Z")
_CONVENTIONAL = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\Z")
#: Capitals that are too few to be a token.
_SHORT = re.compile(rf"[A-Z_]{{1,{_SHORTEST - 1}}}\Z")
#: Whole values only, and only of words: a random token must not look like one by chance.
_SAMPLE = re.compile(
    r"""change[-_. ]?(?:me|this|it)[-_. a-z]* | (?:my|your|the|some)[-_. ][-_. a-z]*
      | [-_. a-z]*[-_. ](?:here|goes here) | (?:bearer|access|push|api|x|flickr)?[-_. ]?(?:token|key|secret)
      | (?:my|your)?[-_. ]?passw(?:or|0r)[dt][0-9]* | sample | example | dummy | default | placeholder | todo
      | fixme | none | null | test | admin | letmein | qwerty[a-z]* | 123456[0-9]* | 012345[0-9]*
      | <.*> | \$\{?\(?\w*\)?\}? | \{\{?.*\}\}? | (.)\1*""",
    re.IGNORECASE | re.VERBOSE,
)


def reference_keys(name: str) -> dict[str, Key]:
    """The keys that may say where the secret ``name`` is found."""
    return {f"{name}_env": Key(str, private=True), f"{name}_file": Key(str, private=True)}


def password(value: str) -> str:
    """``value`` if it is one line and not from a manual; what else a password may be, its database knows.
    What :class:`Wrong` says here and in :func:`token` follows the words that say where the secret is."""
    if not value:
        raise Wrong("is empty")
    if "\n" in value or "\r" in value:
        raise Wrong("has more than one line; put nothing but the secret")
    if not value.isprintable():
        raise Wrong("has a control character; remove it")
    if len(value) > _LONGEST:
        raise Wrong(f"is longer than {_LONGEST} characters; is it the right place?")
    if _SAMPLE.fullmatch(value) or _CONVENTIONAL.match(value):
        raise Wrong("is a sample value; put the real one")
    return value


def token(value: str) -> str:
    """``value`` if it is a password that can be sent in an HTTP header or URL and is not easily guessed."""
    value = password(value)
    if not value.isascii() or " " in value:
        raise Wrong("has a space or a character outside ASCII; remove it")
    if len(value) < _SHORTEST:
        raise Wrong(f"is shorter than {_SHORTEST} characters and easily guessed")
    return value


def secret(
    table: Table,
    name: str,
    found: dict[str, Any],
    around: Surroundings,
    *,
    rule: Callable[[str], str] = token,
    required: bool = True,
) -> Secret | None:
    """The secret ``name`` of ``table``, from the references among the values ``found``, which are taken out of
    it; None where there is none, which is reported if it is ``required``.  ``rule`` says what it must be
    like."""
    variable, file = found.pop(f"{name}_env", None), found.pop(f"{name}_file", None)
    given = [key for key in (f"{name}_env", f"{name}_file") if key in table]
    if len(given) == 2:
        table.wrong(given[1], f"{given[0]} is given too; keep one, so that it is clear which one counts")
        return None
    if not given:
        if required and name not in table:
            table.wrong(
                f"{name}_env",
                f"is missing; name an environment variable, or a file with {name}_file",
            )
        return None
    try:
        if variable is not None:
            value = _from_environment(variable, around.environ)
            # A name under which something was found is a name, and not the secret itself.
            return Secret(
                _ruled(rule, value, f"the secret in the environment variable {variable}"),
                f"environment variable {variable}",
            )
        if file is not None:
            path = around.folder / file
            value = _from_file(path, around.folder)
            return Secret(_ruled(rule, value, "the secret in this file"), _origin(path))
    except Wrong as wrong:
        table.wrong(given[0], str(wrong))
    return None


def _ruled(rule: Callable[[str], str], value: str, subject: str) -> str:
    try:
        return rule(value)
    except Wrong as wrong:
        raise Wrong(f"{subject} {wrong}") from None


def _from_environment(variable: str, environ: Mapping[str, str]) -> str:
    if not _VARIABLE.match(variable):
        raise Wrong(
            "must be the name of an environment variable, such as AFEED_TOKEN; if this is the secret itself, "
            "take it out of the file and put it into a variable"
        )
    if variable not in environ:
        name = variable if _CONVENTIONAL.match(variable) or _SHORT.match(variable) else "that it names"
        raise Wrong(f"the environment variable {name} is not set")
    return environ[variable]


def _from_file(path: Path, folder: Path) -> str:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise Wrong("this is not a regular file")
        with path.open("rb") as stream:
            content = stream.read(_LONGEST + 3)
    except FileNotFoundError:
        raise Wrong(f"there is no such file (relative paths start at {folder})") from None
    except PermissionError:
        raise Wrong("the user that runs afeed may not read this file") from None
    except (OSError, ValueError) as error:
        raise Wrong(f"the file cannot be read ({getattr(error, 'strerror', None) or 'bad path'})") from None
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise Wrong(f"other users may change the secret in {quoted(str(path))}: chmod 600 it")
    try:
        value = content.decode("utf-8")
    except UnicodeDecodeError:
        raise Wrong("the secret in this file is not UTF-8 text; is it the right file?") from None
    return value.removesuffix("\n").removesuffix("\r")


def _origin(path: Path) -> str:
    # Container platforms mount secrets readable by all, so this is told, not refused.
    exposed = os.stat(path).st_mode & stat.S_IROTH
    return f"file {path}" + (" (every user of this machine may read it)" if exposed else "")
