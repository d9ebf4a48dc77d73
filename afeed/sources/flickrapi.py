"""Requests to Flickr's API: ``flickr.photos.search``, a page at a time."""

from __future__ import annotations

from treq.client import HTTPClient
from twisted.internet.interfaces import IReactorTime

from afeed.core.errors import BadInput
from afeed.core.normalise.flickr import Failure, Page, read_page
from afeed.core.polling import Walk
from afeed.settings import FlickrAccount, FlickrSource
from afeed.sources.http import Answer, HttpFault, fetch, header

#: However long the descriptions are, so many photos fit into an answer.
MIN_PER_PAGE = 25
#: The longest ``Retry-After`` that is believed (seconds).
MAX_RETRY_AFTER_S = 900.0

EXTRAS = (
    "description,license,date_upload,date_taken,owner_name,icon_server,last_update,tags,media,path_alias,"
    "url_sq,url_t,url_s,url_q,url_m,url_n,url_w,url_z,url_c,url_l,url_h,url_k,url_o"
)


class Trouble(Exception):
    """A search came to nothing.  ``lasting`` when it will until somebody acts; ``wait`` when Flickr said for
    how many seconds it wants to be left alone."""

    def __init__(self, reason: str, *, lasting: bool = False, wait: float | None = None) -> None:
        super().__init__(reason)
        self.lasting = lasting
        self.wait = wait


class FlickrApi:
    """The search for photos that carry one of the tags of ``settings``.  ``per_page`` is how many photos are
    asked for at once; it shrinks when an answer is too large."""

    def __init__(
        self,
        account: FlickrAccount,
        settings: FlickrSource,
        http: HTTPClient,
        clock: IReactorTime,
        per_page: int,
    ) -> None:
        self.per_page = per_page
        self._account = account
        self._settings = settings
        self._http = http
        self._clock = clock

    async def search(self, walk: Walk) -> Page:
        """The page that ``walk`` wants next.  Raises :class:`Trouble`."""
        try:
            answer = await fetch(
                self._http,
                "GET",
                self._account.api_url,
                clock=self._clock,
                params=self._parameters(walk),
            )
        except HttpFault as fault:
            if fault.kind == "oversize":
                # Long descriptions: the same page would be too large again.
                self.per_page = max(self.per_page // 2, MIN_PER_PAGE)
            raise Trouble(f"{_sentence(fault)}.", lasting=fault.kind in ("certificate", "redirect")) from None
        if answer.status != 200:
            raise _refused(answer)
        try:
            return read_page(answer.body)
        except Failure as failure:
            raise Trouble(
                self._redacted(f"Flickr refuses the search with code {failure.code}: {failure.message}."),
                lasting=not failure.retry,
            ) from None
        except BadInput as error:
            raise Trouble(self._redacted(f"Flickr's answer cannot be read: {error}.")) from None

    def _parameters(self, walk: Walk) -> list[tuple[str, str]]:
        return [
            ("method", "flickr.photos.search"),
            ("api_key", self._account.api_key.reveal()),
            ("format", "json"),
            ("nojsoncallback", "1"),
            ("tags", ",".join(self._settings.tags)),
            ("tag_mode", "any"),
            ("safe_search", "1"),
            ("sort", "date-posted-asc"),
            ("min_upload_date", str(walk.since)),
            ("extras", EXTRAS),
            ("per_page", str(self.per_page)),
            ("page", str(walk.page)),
        ]

    def _redacted(self, text: str) -> str:
        """An upstream's words, which may repeat the request."""
        return text.replace(self._account.api_key.reveal(), "<api key>")


def _refused(answer: Answer) -> Trouble:
    status = answer.status
    if status == 429 or status >= 500:
        return Trouble(f"Flickr answers with HTTP status {status}.", wait=_retry_after(answer))
    return Trouble(f"Flickr answers with HTTP status {status}: check api_url and the API key.", lasting=True)


def _retry_after(answer: Answer) -> float | None:
    """``Retry-After`` in seconds, within reason."""
    value = (header(answer.headers, "Retry-After") or "").strip()
    if not (value.isascii() and value.isdigit()) or len(value) > 6:
        return None
    return min(float(value), MAX_RETRY_AFTER_S)


def _sentence(fault: HttpFault) -> str:
    words = str(fault)
    return words[:1].upper() + words[1:]
