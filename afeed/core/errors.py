"""What can go wrong, by name.  Every message is one sentence a client or an operator can act on."""

from __future__ import annotations


class AfeedError(Exception):
    """The base of afeed's own errors."""


class BadCursor(AfeedError):
    """A position that no log could have given out."""


class BadInput(AfeedError):
    """Something from outside that cannot become an item; the message says which member and why."""


class BadBackup(AfeedError):
    """A file that is no backup, or is not whole, or was written by a newer afeed; nothing was taken from it."""


class LogUnavailable(AfeedError):
    """The live log cannot be reached or written at the moment; try again."""


class LogFull(LogUnavailable):
    """The live log has reached ``max_log_bytes``: the archive does not follow, or too much is held back."""


class LogUnusable(LogUnavailable):
    """The live log cannot be used as it stands, and trying again will not help: the message says what to do."""


class DirectoryInUse(LogUnusable):
    """Another process works in the data directory."""


class LogDefect(AfeedError):
    """The live log failed on what it was to record, which is a defect of afeed: trying again will not help.
    Nothing of it was recorded."""


class EpochChanged(LogUnavailable):
    """The log is in another epoch than the caller believed."""


class LeaseLost(AfeedError):
    """Another node runs the sources now; what was offered was not recorded."""


class ArchiveUnavailable(AfeedError):
    """The archive cannot be reached at the moment; try again."""


class ArchiveConflict(AfeedError):
    """The archive is not at the position the strainer believed: somebody else has advanced it."""


class ArchiveUnusable(AfeedError):
    """The archive's database is damaged, or belongs to something else; this afeed refuses to touch it."""


class ArchiveTooNew(ArchiveUnusable):
    """The archive was written by a newer afeed; this one refuses to touch it."""


class RestoreUnfinished(ArchiveUnusable):
    """A restore from a backup has begun here and did not come to its end; nobody may use what it left but
    another restore."""
