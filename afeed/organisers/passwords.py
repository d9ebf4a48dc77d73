"""Passwords: what one must be like, its hash, and the comparison, which takes the same time for nobody."""

from __future__ import annotations

import re
import secrets
from base64 import b64encode
from unicodedata import normalize

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

#: What a password may be.  The upper bound is one of bytes: what is longer is not even hashed.
LEAST_CHARACTERS, MOST_BYTES = 12, 1024
#: What a hash in the configuration may cost: argon2's memory in KiB and its passes.  Less than the least is
#: guessed too quickly (OWASP Password Storage Cheat Sheet), more would let strangers busy this machine.
LEAST_MEMORY, MOST_MEMORY, MOST_PASSES = 19 * 1024, 512 * 1024, 20

#: How argon2's own tools write a hash; salt and hash have at least 8 and 16 bytes.
_ENCODED = re.compile(
    r"\$argon2id\$v=19\$m=(?P<memory>[0-9]{1,8}),t=(?P<passes>[0-9]{1,4}),p=[1-9]"
    r"\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{22,172}\Z"
)

#: One lane: a comparison takes one core for a moment and leaves the others to the feed (64 MiB and three passes
#: are argon2's second recommendation, RFC 9106, section 4).
_hasher = PasswordHasher(time_cost=3, memory_cost=64 * 1024, parallelism=1)


def weakness(password: str, name: str = "") -> str | None:
    """Why this is no password for ``name``, as the end of a sentence; None for one that will do."""
    if len(password) < LEAST_CHARACTERS:
        return f"has fewer than {LEAST_CHARACTERS} characters; take four or five words"
    if len(prepared(password)) > MOST_BYTES:
        return f"has more than {MOST_BYTES:,} bytes"
    if not password.isprintable():
        return "holds a control character"
    plain = password.casefold()
    for word in ("password", "passwort", "admin", "letmein", "qwerty", "123456", name.casefold()):
        if word and not re.sub(re.escape(word) + r"|[\W\d_]", "", plain):
            return f"is little more than the word {word!r}, which is among the first that are tried"
    if len(set(plain)) < 5:
        return "repeats the same few characters"
    return None


def prepared(password: str) -> bytes:
    """The bytes that are hashed.  Keyboards differ in how they compose accented letters (RFC 8265, section
    4.2)."""
    return normalize("NFC", password).encode("utf-8", "surrogatepass")


def hashed(password: str) -> str:
    """A new argon2id hash, with a salt of its own.  Takes some hundred milliseconds."""
    return _hasher.hash(prepared(password))


def matches(encoded: str, password: str) -> bool:
    """Whether ``password`` is the one of the hash ``encoded``.  As slow as that hash wants it to be, so not
    for the reactor's thread."""
    try:
        return _hasher.verify(encoded, prepared(password))
    except (Argon2Error, InvalidHashError):
        return False


def flaw(encoded: str) -> str | None:
    """Why ``encoded`` is no hash to rely on, as the end of a sentence that does not quote it; None for one that
    will do."""
    found = _ENCODED.match(encoded)
    if found is None:
        if encoded.startswith(("$argon2i$", "$argon2d$")):
            return "is a hash of another kind of argon2; `afeed hash-password` makes one of argon2id"
        return (
            "is not an argon2id hash; `afeed hash-password` makes one (if this is the password itself, take it "
            "out of the file and choose another)"
        )
    if int(found["memory"]) < LEAST_MEMORY or int(found["passes"]) < 1:
        return "is too quickly computed to be safe; `afeed hash-password` makes a better one"
    if int(found["memory"]) > MOST_MEMORY or int(found["passes"]) > MOST_PASSES:
        return (
            f"costs more than {MOST_MEMORY // 1024} MiB or {MOST_PASSES} passes, with which strangers could "
            "keep this machine busy; `afeed hash-password` makes a cheaper one"
        )
    return None


def decoy(like: str) -> str:
    """A hash that no password has and that costs what ``like`` costs: what is compared where there is no such
    account, so that the time of the answer does not tell."""
    head, salt, digest = like.rsplit("$", 2)
    return "$".join((head, _noise(len(salt)), _noise(len(digest))))


def _noise(length: int) -> str:
    """As many characters of base64 as encode random bytes."""
    return b64encode(secrets.token_bytes(length * 3 // 4)).decode("ascii").rstrip("=")
