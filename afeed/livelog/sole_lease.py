"""The lease of a log that one node has for itself: whoever asks gets it."""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from afeed.interfaces import ILease


@implementer(ILease)
class SoleLease:
    """The lock on the data directory keeps other processes out, so terms follow each other within this one and
    never run out."""

    shared = False

    def __init__(self) -> None:
        #: Who may append with a lease.
        self.holder: str | None = None

    def take(self, token: str, seconds: float, known: str | None, patient: bool) -> Deferred[str]:
        if self.holder is None:
            self.holder = token
        return succeed(self.holder)

    def renew(self, token: str, seconds: float) -> Deferred[bool]:
        return succeed(self.holder == token)

    def release(self, token: str) -> Deferred[None]:
        if self.holder == token:
            self.holder = None
        return succeed(None)
