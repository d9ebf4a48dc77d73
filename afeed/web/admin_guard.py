"""Whose request it is, and whether a form was sent by who sees it."""

from __future__ import annotations

from twisted.web.server import Request

from afeed.core.errors import BadInput
from afeed.core.http import Names, query_members
from afeed.core.sessions import KNOWN_S
from afeed.organisers.desk import Guest
from afeed.web.admin_refusals import BROKEN, FOREIGN, NO_FORM, OUT_OF_DATE, SIGNED_OUT, Refusal

_FORM = b"application/x-www-form-urlencoded"
#: A page of held posts, all of them chosen, and what goes with them.
MOST_FIELDS = 64


class Guard:
    """Knows the cookie and the forms.  ``names`` are this server's, ``secure`` says that browsers come by
    https.

    Over https the cookie's name has the prefix that makes browsers refuse one from a sub-domain, or from a
    connection that was not encrypted (RFC 6265bis, section 4.1.3.2).  It is ``Lax`` and not ``Strict``, so that
    a link in a message to the other organisers does not look like being signed out; what changes something is
    posted, with a token.
    """

    def __init__(self, names: Names, *, secure: bool) -> None:
        self._names = names
        self._secure = secure
        self.cookie_name = b"__Host-afeed" if secure else b"afeed"

    def cookie(self, request: Request) -> str | None:
        """The session id that the browser has, or claims to have."""
        found: bytes | None = request.getCookie(self.cookie_name)
        return None if found is None else found.decode("latin-1")

    def give(self, request: Request, guest: Guest) -> None:
        """Let the browser keep the session.  Longer than that is good for, to be known by it later."""
        self._set(request, guest.session_id.encode("ascii"), KNOWN_S)

    def take(self, request: Request) -> None:
        """Let the browser forget it."""
        self._set(request, b"", 0)

    def _set(self, request: Request, value: bytes, seconds: int) -> None:
        request.addCookie(
            self.cookie_name,
            value,
            path=b"/",
            max_age=b"%d" % seconds,
            secure=self._secure,
            httpOnly=True,
            sameSite=b"lax",
        )

    def form(self, request: Request) -> dict[str, str]:
        """The members of a form that a page of this server sent; raises
        :class:`~afeed.web.admin_refusals.Refusal`.

        Browsers name the origin of every POST, so one without it is not from one of our pages.
        """
        kind = (request.getHeader(b"content-type") or b"").partition(b";")[0].strip().lower()
        if kind != _FORM:
            raise Refusal(*NO_FORM)
        origin = request.getHeader(b"origin")
        if origin is None or origin.lower() not in self._names.origins:
            raise Refusal(*FOREIGN)
        assert request.content is not None  # the bridge has put it there
        try:
            return query_members(request.content.read(), MOST_FIELDS)
        except (BadInput, ValueError):
            raise Refusal(*BROKEN) from None

    def signed_form(self, request: Request, guest: Guest | None) -> tuple[Guest, dict[str, str]]:
        """The same from somebody who is signed in, with the token of that very session."""
        form = self.form(request)
        if guest is None:
            raise Refusal(*SIGNED_OUT)
        if not guest.sent(form.get("token", "")):
            raise Refusal(*OUT_OF_DATE)
        return guest, form
