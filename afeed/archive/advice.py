"""What an operator may do about what a database says."""

from __future__ import annotations

#: Words of SQLite and PostgreSQL, in small letters, and what helps; the first that fits counts.
_ADVICE: tuple[tuple[str, str], ...] = (
    ("database is locked", "another program has locked the file; let it come to its end, or end it"),
    ("readonly database", "the user that runs afeed may not write to the file"),
    ("disk is full", "make room on the disk that holds the archive"),
    ("no space left", "make room on the disk that holds PostgreSQL's data"),
    ("disk i/o error", "look at the disk that holds the archive"),
    ("password authentication failed", "if the password was changed, tell afeed the new one and restart it"),
    ("no password supplied", "name the password with archive_password_env or archive_password_file"),
    ("too many connections for", "the role or the database grants no more: raise its CONNECTION LIMIT"),
    ("too many clients", "others have taken all connections: end some, or raise max_connections"),
    ("connection slots are reserved", "others have taken all connections: end some, or raise max_connections"),
    ("read-only transaction", "the database takes no writes: is it a standby, or set to be read-only?"),
    ("lock timeout", "another session has locked a table: pg_locks and pg_stat_activity say which"),
    ("permission denied", "grant that to the role that afeed uses"),
    ("starting up", "it will be there soon"),
    ("in recovery mode", "it will be there soon"),
    ("connection refused", "start it, or correct `archive`"),
    ("name or service not known", "correct the host in `archive`"),
    ("could not translate host name", "correct the host in `archive`"),
    ("no route to host", "look at the network"),
    ("timeout expired", "see whether it hangs, and whether the network is whole"),
    ("did not answer", "see whether it hangs or has too much to do"),
    ("closed the connection unexpectedly", "its own log says why"),
    ("unexpected postmaster exit", "its own log says why"),
    ("due to administrator command", "somebody ended afeed's connection"),
    ("statement timeout", "see what keeps the database busy: pg_stat_activity says"),
    ("shutting down", "somebody stops it"),
)


def advised(sentence: str) -> str:
    """``sentence``, a driver's own words without a full stop, with what helps in parentheses where that is
    known."""
    words = sentence.lower()
    for sign, advice in _ADVICE:
        if sign in words:
            return f"{sentence} ({advice})"
    return sentence
