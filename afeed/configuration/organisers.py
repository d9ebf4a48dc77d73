"""The tables ``[[admin.users]]``: who may sign in."""

from __future__ import annotations

import re

from afeed.configuration.problems import Wrong, quoted
from afeed.configuration.table import Key, Table
from afeed.organisers import passwords
from afeed.settings import Organiser, Secret

#: ASCII only, so that no two names look the same.
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._@+-]{0,62}[a-z0-9])?\Z")

_IN_PLAIN_SIGHT = (
    "a password does not belong in this file, where it can be read: take it out, choose another, and put "
    "what `afeed hash-password` prints as password_hash"
)


def account_name(value: str) -> str:
    """What somebody types to sign in, where capitals do not count."""
    if not _NAME.match(value):
        raise Wrong(
            "must be 1 to 64 of the characters a-z, 0-9 and . _ @ + -, with a letter or digit first and last, "
            f"not {quoted(value)}"
        )
    return value


def _hash(value: str) -> str:
    flaw = passwords.flaw(value)
    if flaw is not None:
        raise Wrong(flaw)
    return value


def organisers(admin: Table) -> tuple[Organiser, ...]:
    """Everybody in ``[admin]``, those without mistakes."""
    admin.read({}, tables=("users",))
    found: list[Organiser] = []
    names: set[str] = set()
    for table in admin.tables("users") if "users" in admin else []:
        if "password" in table:
            table.wrong("password", _IN_PLAIN_SIGHT)
        values = table.read(
            {
                "name": Key(str, account_name, required=True),
                "password_hash": Key(str, _hash, required="password" not in table, private=True),
            },
            tables=("password",),
        )
        name = values.get("name")
        if name in names:
            table.wrong("name", f"{quoted(name)} is there twice; each account needs a name of its own")
        elif name is not None:
            names.add(name)
        if not table.has_problems:
            # As a Secret, so that no repr and no traceback shows it: it is what a thief would begin with.
            found.append(Organiser(name=values["name"], password_hash=Secret(values["password_hash"])))
    return tuple(found)
