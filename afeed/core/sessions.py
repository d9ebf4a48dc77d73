"""Sessions: what a browser has, what is kept of it, and how long it is good for."""

from __future__ import annotations

import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import NamedTuple

#: A session ends so many seconds after it was last used, and in any case so many after it began.
IDLE_S, ABSOLUTE_S = 12 * 3600, 7 * 24 * 3600
#: That it was used is noted this often at most, in seconds.
TOUCH_S = 60
#: For so many seconds after its last use a browser is known by the session it once had.
KNOWN_S = 90 * 24 * 3600

_ID_BYTES = 32
_SALT_DIGITS = 32
_ID = re.compile(r"[A-Za-z0-9_-]{43}\Z")


class Session(NamedTuple):
    """What is kept of a session; ``credential`` is :func:`fingerprint` of the password hash it began with."""

    id_hash: bytes
    account: str
    credential: bytes
    created_at: int
    used_at: int


def new_id() -> str:
    """256 random bits, for a cookie."""
    return urlsafe_b64encode(secrets.token_bytes(_ID_BYTES)).decode("ascii").rstrip("=")


def is_id(text: str) -> bool:
    """Whether ``text`` could have come from :func:`new_id`."""
    return _ID.match(text) is not None


def fingerprint(secret: str) -> bytes:
    """What may be kept of a secret that is too random to be guessed."""
    return sha256(secret.encode("ascii")).digest()


def form_token(session_id: str, salt: str | None = None) -> str:
    """What every form of a session carries: only who may read its pages can know it.  It looks different each
    time, so that the length of a compressed page gives it away to nobody who can put text on it (BREACH)."""
    salt = secrets.token_hex(_SALT_DIGITS // 2) if salt is None else salt
    return (
        salt
        + hmac.new(
            session_id.encode("ascii"), f"afeed form {salt}".encode("utf-8", "replace"), sha256
        ).hexdigest()
    )


def is_form_token(session_id: str, token: str) -> bool:
    """Whether ``token`` was made for a form of this session."""
    made = form_token(session_id, token[:_SALT_DIGITS])
    return hmac.compare_digest(made.encode("utf-8", "replace"), token.encode("utf-8", "replace"))


def mark(session_id: str, text: str) -> str:
    """What shows that ``text`` in an address was put there by a page of this very session."""
    return hmac.new(session_id.encode("ascii"), b"afeed mark " + text.encode(), sha256).hexdigest()[:32]


def is_good(session: Session, credential: bytes, now: int) -> bool:
    """Whether a session of an account, whose password's fingerprint is ``credential``, may still be used."""
    return (
        hmac.compare_digest(session.credential, credential)
        and now - session.used_at < IDLE_S
        and now - session.created_at < ABSOLUTE_S
    )
