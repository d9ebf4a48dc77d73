"""Why something is not done, as organisers are told: a status and two sentences for each error."""

from __future__ import annotations

from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from afeed.core.errors import ArchiveUnavailable, BadInput, LogUnavailable
from afeed.core.http import Header
from afeed.organisers.desk import MustWait, NotSignedIn, TooLong
from afeed.organisers.moderation import NotThere
from afeed.organisers.verifier import Busy


def _(text: str) -> str:
    """Mark ``text`` for the catalogues."""
    return text


class Refusal(Exception):
    """A request that is not done: the status, two sentences in English for whoever sent it, and what is filled
    into the second (``%(name)s``).  The page says them in its reader's language."""

    def __init__(
        self, code: int, title: str, text: str, headers: tuple[Header, ...] = (), **values: object
    ) -> None:
        super().__init__(title)
        self.code = code
        self.title = title
        self.text = text
        self.headers = headers
        self.values = values


#: What forms are refused for before anything is done; each for a :class:`Refusal` of its own.
NO_FORM = (415, _("This is no form"), _("Only the forms of these pages are taken here."))
FOREIGN = (403, _("This came from another site"), _("Only the pages of this server may send it."))
BROKEN = (400, _("This form is broken"), _("Please load the page again."))
SIGNED_OUT = (403, _("You are not signed in"), _("Your session has ended. Sign in and try again."))
OUT_OF_DATE = (403, _("This page is out of date"), _("Load it again, then repeat what you did."))

#: Reasons that organisers meet, as the code gives them.
REASONS = (
    _("its author is blocked"),
    _("nothing is known of its author"),
    _("nothing was chosen"),
)

_GONE = _("Somebody else may have been quicker, or it was deleted where it came from.")
_AWAY = _("The database or the live log does not answer. Nothing was lost; please try again shortly.")
_WRONG = _("The name or the password is not right.")


def refused(log: Logger, request: IRequest, failure: Failure) -> Refusal:
    """What ``failure`` means to whoever sees the page; ``request`` gets its headers, and ``log`` a defect of
    ours in full."""
    found = refusal(failure.value)
    if found.code == 500:
        log.failure(
            "The page {path} could not be made; its visitor got an error page. This is a defect in afeed.",
            failure=failure,
            path=request.path.decode("ascii", "backslashreplace"),
        )
    for name, value in found.headers:
        request.setHeader(name, value)
    return found


def refusal(error: BaseException | None) -> Refusal:
    """What ``error`` means to whoever sees the page; a 500 is a defect of ours."""
    match error:
        case Refusal():
            return error
        case NotThere():
            return Refusal(409, _("This is not there any more"), _GONE)
        case BadInput():
            return Refusal(400, _("This cannot be done"), _("The reason: %(reason)s."), reason=str(error))
        case MethodNotAllowed():
            allowed = ", ".join(sorted(error.valid_methods or ())).encode()
            text = _("What was tried is not done at this address.")
            return Refusal(405, _("This is not how it is done"), text, ((b"allow", allowed),))
        case HTTPException():
            text = _("The address may be misspelt, or the event is not on this server.")
            return Refusal(404, _("There is nothing here"), text)
        case ArchiveUnavailable() | LogUnavailable():
            return Refusal(503, _("This cannot be done right now"), _AWAY, _again(5))
        case _:
            text = _("It has been noted, and trying again may help.")
            return Refusal(500, _("Something went wrong"), text)


def not_signed_in(error: NotSignedIn | MustWait | Busy | TooLong) -> Refusal:
    """Why signing in did not work, for the form that is shown again."""
    title = _("Sign in")
    match error:
        case MustWait():
            text = _("That was not right too often. Wait for %(seconds)s seconds, then try again.")
            return Refusal(429, title, text, _again(error.seconds), seconds=error.seconds)
        case Busy():
            text = _("Many people are signing in at the moment. Please try again shortly.")
            return Refusal(503, title, text, _again(5))
        case TooLong():
            return Refusal(400, title, _WRONG)
        case _:
            return Refusal(403, title, _WRONG)


def _again(seconds: int) -> tuple[Header, ...]:
    return ((b"retry-after", b"%d" % seconds),)
