"""Comparing passwords beside the reactor, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock

from afeed.organisers import passwords
from afeed.organisers.shield import shielded

#: Whoever comes while so many wait is sent away: a crowd of strangers must not keep organisers waiting.
MOST_WAITING = 20

#: Calls a function with arguments in a thread; fires with what it returns.
InThread = Callable[..., Deferred[Any]]


class Busy(Exception):
    """Too many passwords are being compared already."""


class Verifier:
    """Knows the hash of every account.  One comparison takes a good part of this machine for a moment, so they
    queue up: who is ``known``, from a browser in which the account was signed in before, has places of their
    own, and at most one stranger before them."""

    def __init__(self, hashes: Mapping[str, str], in_thread: InThread) -> None:
        self._hashes = dict(hashes)
        self._decoy = passwords.decoy(next(iter(self._hashes.values())))
        self._in_thread = in_thread
        self._lock = DeferredLock()
        #: Strangers queue up here for their turn to queue up there.
        self._strangers = DeferredLock()
        self._taken = {True: 0, False: 0}

    @contextmanager
    def place(self, *, known: bool) -> Iterator[None]:
        """A place for one who wants to have a password compared, to be kept until that is done.  Raises
        :class:`Busy` at once where all are taken."""
        if self._taken[known] > MOST_WAITING:
            raise Busy
        self._taken[known] += 1
        try:
            yield
        finally:
            self._taken[known] -= 1

    def verify(self, account: str, password: str, *, known: bool) -> Deferred[bool]:
        """Fires with whether this is the account's password; where there is no such account, after the same
        time.  A caller that cancels stops waiting; the comparison goes on."""
        exists = account in self._hashes
        encoded = self._hashes.get(account, self._decoy)

        def in_turn() -> Deferred[Any]:
            return self._lock.run(self._in_thread, passwords.matches, encoded, password)

        compared = in_turn() if known else self._strangers.run(in_turn)
        return shielded(compared.addCallback(lambda same: bool(same) and exists))
