"""Requests to the X API v2: the rules of the filtered stream, the stream itself, and what completes it: recent
search and the look-up of posts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.web.http_headers import Headers
from twisted.web.iweb import IResponse

from afeed.core.backoff import until_reset
from afeed.core.change import timestamp
from afeed.core.errors import BadInput
from afeed.core.normalise.x import Page, read_page
from afeed.core.problems import describe, reason
from afeed.core.rules import NewRule, Rule
from afeed.core.stream import Outcome, outcome_of_status
from afeed.settings import XAccount
from afeed.sources.http import Answer, HttpFault, discard, fetch, header, open_stream, read_body

RULES = "/2/tweets/search/stream/rules"
STREAM = "/2/tweets/search/stream"
SEARCH = "/2/tweets/search/recent"
LOOKUP = "/2/tweets"

#: What a post brings along (X API docs: *Fields and expansions*); enough to show it without another request.
STREAM_PARAMETERS = (
    (
        "expansions",
        "author_id,attachments.media_keys,attachments.poll_ids,referenced_tweets.id,"
        "referenced_tweets.id.author_id,referenced_tweets.id.attachments.media_keys",
    ),
    (
        "tweet.fields",
        "created_at,entities,attachments,referenced_tweets,note_tweet,lang,possibly_sensitive,conversation_id,"
        "in_reply_to_user_id,edit_controls,source,withheld",
    ),
    ("user.fields", "name,username,profile_image_url,verified,protected"),
    ("media.fields", "type,url,preview_image_url,alt_text,width,height,variants,duration_ms"),
)

#: The most X puts on a page, and more pages than any plan has rules for.
RULES_PER_PAGE, MAX_PAGES = 1000, 100
#: Rules in one request, well within what X takes.
RULES_PER_REQUEST = 100
#: How much of an error's body is read (bytes) and for how long (seconds).
ERROR_LIMIT, ERROR_TIMEOUT_S = 64 * 1024, 5.0

#: The most posts that a page of the search holds, and that one look-up may ask for.
POSTS_PER_PAGE = 100
#: Ends of the types of problem (OpenAPI description) that say that a post is not public any more.
_GONE = ("/resource-not-found", "/not-authorized-for-resource")

_OUTCOMES = {"certificate": Outcome.REFUSED, "network": Outcome.NETWORK_ERROR, "timeout": Outcome.NETWORK_ERROR}


class Refusal(Exception):
    """A request came to nothing: the :class:`~afeed.core.stream.Outcome` it counts as, a sentence for the
    operator, and the seconds until a rate limit resets, if X said so."""

    def __init__(self, outcome: Outcome, reason: str, until_reset: float | None = None) -> None:
        super().__init__(reason)
        self.outcome = outcome
        self.reason = reason
        self.until_reset = until_reset


class Added(NamedTuple):
    """What became of rules to add: ``refused`` holds X's reason by tag, ``capped`` those refused because there
    are too many."""

    refused: dict[str, str]
    capped: tuple[NewRule, ...]


class XApi:
    """The part of the X API that a stream needs.  Every method raises :class:`Refusal`."""

    def __init__(
        self, account: XAccount, http: HTTPClient, clock: IReactorTime, now: Callable[[], float]
    ) -> None:
        self._account = account
        self._base = account.api_url.rstrip("/")
        self._http = http
        self._clock = clock
        self._now = now

    async def rules(self) -> list[Rule]:
        """All rules of the account, foreign ones too."""
        found: list[Rule] = []
        parameters = [("max_results", str(RULES_PER_PAGE))]
        for _ in range(MAX_PAGES):
            body = await self._call("GET", parameters=parameters)
            found += [rule for entry in _list(body, "data") if (rule := _rule(entry)) is not None]
            meta = body.get("meta")
            token = meta.get("next_token") if isinstance(meta, dict) else None
            if not isinstance(token, str) or not token:
                break
            parameters = [("max_results", str(RULES_PER_PAGE)), ("pagination_token", token)]
        return found

    async def delete(self, ids: Sequence[str]) -> None:
        """Delete the rules with these ids; one that is gone already is no error."""
        for start in range(0, len(ids), RULES_PER_REQUEST):
            await self._call("POST", json={"delete": {"ids": list(ids[start : start + RULES_PER_REQUEST])}})

    async def add(self, rules: Sequence[NewRule]) -> Added:
        """Add ``rules``; one that X has already counts as added."""
        refused: dict[str, str] = {}
        capped: list[NewRule] = []
        for start in range(0, len(rules), RULES_PER_REQUEST):
            await self._add(list(rules[start : start + RULES_PER_REQUEST]), refused, capped)
        return Added(refused, tuple(capped))

    async def _add(self, rules: list[NewRule], refused: dict[str, str], capped: list[NewRule]) -> None:
        # Rules that are not valid are reported inside a 2xx or a 400, by their value (OpenAPI description).
        json = {"add": [{"value": rule.value, "tag": rule.tag} for rule in rules]}
        body = await self._call("POST", json=json, also=(400, 422))
        created = {entry.get("value") for entry in _list(body, "data")}
        errors = _list(body, "errors")
        unclear = []
        for rule in rules:
            error = next((error for error in errors if error.get("value") == rule.value), None)
            if error is None and len(rules) == 1 and errors:
                error = errors[0]
            kind = str((error or {}).get("type")) + str((error or {}).get("title"))
            if rule.value in created or "duplicate-rules" in kind or "DuplicateRule" in kind:
                continue
            if error is None and len(rules) > 1:
                unclear.append(rule)
                continue
            refused[rule.tag] = self._clean(describe(error or body)) or "X did not say why"
            if "rule-cap" in kind:
                capped.append(rule)
        # One bad rule can make X refuse the whole request: ask for each of the others alone.
        for rule in unclear:
            await self._add([rule], refused, capped)

    async def stream(self) -> IResponse:
        """Connect to the stream.  The body of the response waits to be read."""
        url = self._base + STREAM
        try:
            response = await open_stream(
                self._http,
                "GET",
                url,
                clock=self._clock,
                params=STREAM_PARAMETERS,
                headers=self._authorization(),
            )
            if response.code != 200:
                raise self._refusal(response.code, response.headers, await self._error_body(response))
        except HttpFault as fault:
            raise self._unusable(fault) from None
        kind = (header(response.headers, "Content-Type") or "json").lower()
        if "json" not in kind:
            discard(response)
            raise Refusal(
                Outcome.HTTP_ERROR,
                f"the stream's address answers with {self._clean(kind)[:60]} instead of JSON: check the "
                "address and whether a proxy or captive portal answers",
            )
        return response

    async def search(self, query: str, start: float, end: float | None, token: str | None = None) -> Page:
        """One page of recent search: posts from ``start`` to ``end`` (Unix seconds; None: as new as X shows),
        newest first; ``token`` is the ``next_token`` of the page before."""
        parameters = [("query", query), ("max_results", str(POSTS_PER_PAGE)), ("start_time", _moment(start))]
        if end is not None:
            parameters.append(("end_time", _moment(end)))
        if token is not None:
            parameters.append(("next_token", token))
        answer = await self._fetch("GET", SEARCH, parameters=[*parameters, *STREAM_PARAMETERS])
        if answer.status != 200:
            raise self._refusal(answer.status, answer.headers, answer.body)
        try:
            page = read_page(answer.body)
        except BadInput as error:
            raise Refusal(
                Outcome.HTTP_ERROR, self._clean(f"the answer to a search is of no use: {error}")
            ) from None
        if page.errors and not page.drafts and page.newest_id is None:
            raise Refusal(Outcome.HTTP_ERROR, self._clean(f"the search failed: {page.errors[0]}"))
        return page

    async def gone(self, ids: Sequence[str]) -> set[str]:
        """Those of ``ids``, at most 100, of which X says that they are not public any more.  One about which it
        says nothing is not among them."""
        answer = await self._fetch("GET", LOOKUP, parameters=[("ids", ",".join(ids))])
        body = _decode(answer)
        if answer.status != 200 or body is None:
            raise self._refusal(answer.status, answer.headers, answer.body)
        there = {entry.get("id") for entry in _list(body, "data")}
        return {
            id_
            for error in _list(body, "errors")
            if str(error.get("type")).endswith(_GONE)
            for id_ in (str(error.get("resource_id") or error.get("value")),)
            if id_ in ids and id_ not in there
        }

    async def _error_body(self, response: IResponse) -> bytes:
        try:
            return await read_body(response, ERROR_LIMIT).addTimeout(ERROR_TIMEOUT_S, self._clock)
        except CancelledError:
            raise
        except Exception:
            return b""  # the status alone has to do

    async def _call(
        self,
        method: str,
        *,
        parameters: Sequence[tuple[str, str]] = (),
        json: Any = None,
        also: tuple[int, ...] = (),
    ) -> dict[str, Any]:
        """The decoded body of an answer with a status of 2xx, or one of ``also`` that lists errors."""
        answer = await self._fetch(method, RULES, parameters=parameters, json=json)
        body = _decode(answer)
        if body is not None and (200 <= answer.status < 300 or (answer.status in also and "errors" in body)):
            return body
        if 200 <= answer.status < 300:
            raise Refusal(Outcome.HTTP_ERROR, "the answer to a request for the rules is not JSON")
        raise self._refusal(answer.status, answer.headers, answer.body)

    async def _fetch(
        self, method: str, path: str, *, parameters: Sequence[tuple[str, str]] = (), json: Any = None
    ) -> Answer:
        """The answer, whatever its status."""
        try:
            return await fetch(
                self._http,
                method,
                self._base + path,
                clock=self._clock,
                params=parameters,
                headers=self._authorization(),
                json=json,
            )
        except HttpFault as fault:
            raise self._unusable(fault) from None

    def _authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._account.bearer_token.reveal()}"}

    def _refusal(self, status: int, headers: Headers, body: bytes) -> Refusal:
        said = self._clean(reason(body))
        outcome = outcome_of_status(status)
        if outcome is Outcome.OPENED:  # 2xx, but not the 200 of a stream
            outcome = Outcome.HTTP_ERROR
        wait = None
        if outcome is Outcome.RATE_LIMITED:
            wait = until_reset(
                header(headers, "x-rate-limit-remaining"), header(headers, "x-rate-limit-reset"), self._now()
            )
        advice = _ADVICE.get(status, "")
        return Refusal(outcome, f"HTTP {status}" + (f", {said}" if said else "") + advice, wait)

    def _unusable(self, fault: HttpFault) -> Refusal:
        return Refusal(_OUTCOMES.get(fault.kind, Outcome.HTTP_ERROR), self._clean(str(fault)))

    def _clean(self, text: str) -> str:
        """``text`` from outside, without the token should it be quoted there."""
        return text.replace(self._account.bearer_token.reveal(), "<secret>")


_ADVICE = {
    401: ": check the bearer token of accounts.x",
    403: ": the token is known but may not do this; check the project's access in X's developer console",
    404: ": check accounts.x.api_url",
    409: ": X has no rules in force",
}


def _moment(seconds: float) -> str:
    """A time as X's parameters want it: whole seconds, rounded down."""
    return timestamp(seconds)[:19] + "Z"


def _decode(answer: Answer) -> dict[str, Any] | None:
    try:
        value = msgspec.json.decode(answer.body or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _list(body: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The objects of a list member, which may be missing."""
    value = body.get(name)
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _rule(entry: dict[str, Any]) -> Rule | None:
    id_, value, tag = entry.get("id"), entry.get("value"), entry.get("tag")
    if not isinstance(id_, str | int) or not isinstance(value, str):
        return None
    return Rule(str(id_), value, tag if isinstance(tag, str) else None)
