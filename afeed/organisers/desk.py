"""The desk at which organisers sign in and out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from afeed.archive.sign_ins import SignIns
from afeed.core import sessions, throttle
from afeed.core.errors import ArchiveUnavailable
from afeed.core.sessions import Session
from afeed.organisers.passwords import MOST_BYTES
from afeed.organisers.shield import shielded
from afeed.organisers.verifier import Busy, InThread, Verifier
from afeed.settings import Organiser

#: So many waits are remembered here; all are in the database.
MOST_WAITS = 10_000

_log = Logger()


class NotSignedIn(Exception):
    """The name or the password is wrong."""


class MustWait(Exception):
    """It failed too often: nothing is looked at for so many ``seconds``."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"signing in failed too often; wait for {seconds} s")
        self.seconds = seconds


class TooLong(Exception):
    """A name or a password that is none, for it is longer than any may be."""


#: How attempts that fail are counted, by what is raised; whatever else is raised is a defect.
_FAILURES: dict[type[Exception], str] = {
    NotSignedIn: "wrong",
    MustWait: "throttled",
    TooLong: "too_long",
    Busy: "busy",
    ArchiveUnavailable: "unavailable",
    CancelledError: "left",
}
#: All ways in which an attempt may end.
OUTCOMES = ("done", *_FAILURES.values(), "forged", "failed")


@attrs.frozen
class Guest:
    """Somebody who is signed in: ``account`` with the session whose id the browser has."""

    account: str
    session_id: str = attrs.field(repr=False)

    @property
    def form_token(self) -> str:
        """A new one each time; see :func:`afeed.core.sessions.form_token`."""
        return sessions.form_token(self.session_id)

    def sent(self, token: str) -> bool:
        """Whether a form with this token is one of the session's."""
        return sessions.is_form_token(self.session_id, token)

    def mark(self, text: str) -> str:
        """See :func:`afeed.core.sessions.mark`."""
        return sessions.mark(self.session_id, text)


class Desk:
    """Signs ``organisers`` in.  ``now`` gives seconds since 1970, ``counted`` hears what became of each
    attempt: one of :data:`OUTCOMES`.  Every method may raise :class:`~afeed.core.errors.ArchiveUnavailable`."""

    def __init__(
        self,
        organisers: Sequence[Organiser],
        kept: SignIns,
        in_thread: InThread,
        now: Callable[[], float],
        counted: Callable[[str], object],
    ) -> None:
        hashes = {organiser.name: organiser.password_hash.reveal() for organiser in organisers}
        self._verifier = Verifier(hashes, in_thread)
        self._credentials = {name: sessions.fingerprint(hash_) for name, hash_ in hashes.items()}
        self._kept = kept
        self._now = now
        self._counted = counted
        #: Until when nothing is looked at, in seconds since 1970, by what failures are counted under.
        self._waits: dict[bytes, int] = {}

    async def who(self, session_id: str | None, *, used: bool = True) -> Guest | None:
        """Who is signed in with this cookie, None for nobody.  What nobody does on purpose is no use of the
        session, which ends when it was not ``used`` for a while."""
        session = await self._find(session_id)
        if session is None or session_id is None:
            return None
        now = int(self._now())
        credential = self._credentials.get(session.account)
        if credential is None or not sessions.is_good(session, credential, now):
            return None
        if used and now - session.used_at >= sessions.TOUCH_S:
            await self._kept.touch(session.id_hash, now)
        return Guest(session.account, session_id)

    async def sign_in(self, name: str, password: str, address: str, cookie: str | None) -> Guest:
        """Begin a session; the browser at ``address`` has the ``cookie`` of an earlier one, or none.

        Raises :class:`NotSignedIn`, :class:`MustWait`, :class:`TooLong` or
        :class:`~afeed.organisers.verifier.Busy`.
        """
        try:
            guest = await self._sign_in(name, password, address, cookie)
        except Exception as error:
            self._counted(next((word for kind, word in _FAILURES.items() if isinstance(error, kind)), "failed"))
            raise
        self._counted("done")
        return guest

    def forged(self) -> None:
        """Count an attempt that came from no form of ours, and was not even looked at."""
        self._counted("forged")

    async def _sign_in(self, name: str, password: str, address: str, cookie: str | None) -> Guest:
        account = name.strip().lower()
        if len(account) > 64 or len(password.encode("utf-8", "surrogatepass")) > MOST_BYTES:
            raise TooLong
        now = int(self._now())
        earlier = await self._find(cookie)
        known = earlier is not None and earlier.account == account
        if earlier is not None and known:
            key = throttle.known_browser_key(account, earlier.id_hash)
        else:
            key = throttle.attempts_key(account, address)
        # The place is kept for as long as the work goes on, also for a browser that has left.
        work = self._try(account, password, key, now, known=known)
        if not await shielded(Deferred.fromCoroutine(work)):
            # Not with the name: people type their password there.
            _log.info("Signing in from {address} failed", address=address)
            raise NotSignedIn
        session_id = sessions.new_id()
        session = Session(
            sessions.fingerprint(session_id), account, self._credentials[account], int(self._now()), now
        )
        replaced = None if earlier is None else earlier.id_hash
        await self._kept.begin(session, replaced, key, now - sessions.KNOWN_S)
        _log.info("{account} signed in from {address}", account=account, address=address)
        return Guest(account, session_id)

    async def _try(self, account: str, password: str, key: bytes, now: int, *, known: bool) -> bool:
        """Count an attempt under ``key``; whether the password is right."""
        # Whoever does not wait, or finds no place, is told so without troubling the database, which has more to
        # do; and who is sent away has not failed.
        wait = self._waits.get(key, now) - now
        if wait <= 0:
            with self._verifier.place(known=known):
                wait = await self._kept.attempt(key, now, now - throttle.FORGET_S)
                if wait <= 0:
                    return await self._verifier.verify(account, password, known=known)
        self._remember(key, now + wait)
        raise MustWait(wait)

    async def sign_out(self, guest: Guest) -> None:
        """End the session, at every node."""
        await self._kept.end(sessions.fingerprint(guest.session_id))
        _log.info("{account} signed out", account=guest.account)

    def _remember(self, key: bytes, until: int) -> None:
        if len(self._waits) >= MOST_WAITS:
            self._waits.clear()
        self._waits[key] = until

    async def _find(self, session_id: str | None) -> Session | None:
        if session_id is None or not sessions.is_id(session_id):
            return None
        return await self._kept.session(sessions.fingerprint(session_id))
