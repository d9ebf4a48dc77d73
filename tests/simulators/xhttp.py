"""The X simulator's resources: what is where, and how a stream is written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from twisted.internet.interfaces import IDelayedCall
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from tests.simulators.xmatch import InvalidRule, matcher
from tests.simulators.xposts import facts

if TYPE_CHECKING:
    from tests.simulators.x import Post, XSimulator

#: What recent search does not show yet, and how far it goes back (seconds).
HIDDEN_S, SEARCH_DEPTH_S = 30, 7 * 86400
#: The longest query of recent search (characters, self-serve access), and the most ids of a look-up.
MAX_QUERY, MAX_IDS = 512, 100
TOO_MANY_STREAMS = {
    "title": "ConnectionException",
    "detail": "This stream is currently at the maximum allowed connection limit.",
    "connection_issue": "TooManyConnections",
    "type": "https://api.x.com/2/problems/streaming-connection",
}


class Refusal(NamedTuple):
    """An answer that a test asked for.  Status 0 closes the connection without any."""

    status: int
    headers: dict[str, str]
    body: bytes


class Stream:
    """An open stream.  ``split`` writes chunks of so many bytes; ``silent`` stalls it; both as faults."""

    def __init__(
        self,
        simulator: XSimulator,
        request: Request,
        version: int,
        *,
        track: Sequence[str] = (),
        delimited: bool = False,
    ) -> None:
        self.version = version
        self.track = track
        self.split = 0
        self.silent = False
        self.request = request
        self._simulator = simulator
        self._delimited = delimited
        self._timer: IDelayedCall | None = None
        request.notifyFinish().addBoth(self._finished)
        request.setHeader("Content-Type", "application/json; charset=utf-8")
        request.write(b"")  # the head goes out now
        self._rest()

    def send_json(self, message: Any) -> None:
        """Write one message, framed as the stream is."""
        line = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode() + b"\r\n"
        self.write(b"%d\r\n%b" % (len(line), line) if self._delimited else line)

    def write(self, data: bytes) -> None:
        """Write ``data`` unless the stream stalls."""
        if self.silent:
            return
        step = self.split or max(len(data), 1)
        for start in range(0, len(data), step):
            self.request.write(data[start : start + step])
        self._rest()

    def end(self) -> None:
        """End the stream properly."""
        self.request.finish()

    def abort(self) -> None:
        """Cut the connection."""
        self.request.transport.abortConnection()

    def _rest(self) -> None:
        """A keep-alive follows unless something else does."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = self._simulator.clock.callLater(self._simulator.keepalive_s, self.write, b"\r\n")

    def _finished(self, _: object) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._simulator.gone(self)


class Endpoint(Resource):
    """Checks the token, counts against the rate limit, answers as a test has asked, or as it should."""

    isLeaf = True

    def __init__(self, simulator: XSimulator) -> None:
        super().__init__()
        self.simulator = simulator

    def family(self, request: Request) -> str:
        raise NotImplementedError

    def respond(self, request: Request) -> bytes | int:
        raise NotImplementedError

    def render(self, request: Request) -> bytes | int:
        self.simulator.requests.append((request.method.decode(), request.path.decode()))
        family = self.family(request)
        queue = self.simulator.refusals.get(family)
        if queue:
            return self._refuse(request, queue.popleft())
        if not self.authorized(request):
            return self.problem(
                request, 401, {"title": "Unauthorized", "detail": "Unauthorized", "type": "about:blank"}
            )
        headers, exceeded = self.simulator.limited(family)
        for name, value in headers.items():
            request.setHeader(name, value)
        if exceeded:
            return self.problem(request, 429, {"title": "Too Many Requests", "detail": "Too Many Requests"})
        return self.respond(request)

    def authorized(self, request: Request) -> bool:
        return request.getHeader("Authorization") == f"Bearer {self.simulator.token}"

    @staticmethod
    def _refuse(request: Request, refusal: Refusal) -> bytes | int:
        if refusal.status == 0:
            request.transport.abortConnection()
            return NOT_DONE_YET
        request.setResponseCode(refusal.status)
        for name, value in refusal.headers.items():
            request.setHeader(name, value)
        return refusal.body

    @staticmethod
    def json(request: Request, status: int, value: Any) -> bytes:
        request.setResponseCode(status)
        request.setHeader("Content-Type", "application/json; charset=utf-8")
        return json.dumps(value, ensure_ascii=False).encode()

    def problem(self, request: Request, status: int, value: dict[str, Any]) -> bytes:
        return self.json(request, status, {"status": status, **value})


def argument(request: Request, name: str) -> str | None:
    """A query or form parameter."""
    values = request.args.get(name.encode())
    return values[-1].decode("utf-8", "replace") if values else None


class Rules(Endpoint):
    """``/2/tweets/search/stream/rules``"""

    def family(self, request: Request) -> str:
        return "rules" if request.method == b"GET" else "change rules"

    def respond(self, request: Request) -> bytes:
        if request.method == b"GET":
            return self._list(request)
        dry_run = argument(request, "dry_run") == "true"
        if argument(request, "delete_all") == "true":
            body = {"delete": {"ids": list(self.simulator.rules)}}
        else:
            body = json.loads(request.content.read())
        status, answer = self.simulator.change_rules(body, dry_run)
        return self.json(request, status, answer)

    def _list(self, request: Request) -> bytes:
        start, size = (
            int(argument(request, "pagination_token") or 0),
            int(argument(request, "max_results") or 1000),
        )
        rules = list(self.simulator.rules.values())
        page = rules[start : start + size]
        answer: dict[str, Any] = {"meta": {"sent": self.simulator.now_iso(), "result_count": len(page)}}
        if page:
            answer["data"] = page
        if start + size < len(rules):
            answer["meta"]["next_token"] = str(start + size)
        return self.json(request, 200, answer)


class FilteredStream(Endpoint):
    """``/2/tweets/search/stream``"""

    def family(self, request: Request) -> str:
        return "stream"

    def respond(self, request: Request) -> bytes | int:
        if not self.simulator.rules:
            return self.problem(
                request, 409, {"title": "ConnectionException", "connection_issue": "RuleConfigurationIssue"}
            )
        if sum(stream.version == 2 for stream in self.simulator.streams) >= self.simulator.max_streams:
            return self.problem(request, 429, TOO_MANY_STREAMS)
        self.simulator.accept(request, 2)
        return NOT_DONE_YET


class StatusesFilter(Endpoint):
    """``/1.1/statuses/filter.json``: a second connection evicts the first."""

    def family(self, request: Request) -> str:
        return "filter"

    def authorized(self, request: Request) -> bool:
        return super().authorized(request) or (request.getHeader("Authorization") or "").startswith("OAuth ")

    def respond(self, request: Request) -> bytes | int:
        track = [phrase.strip().lower() for phrase in (argument(request, "track") or "").split(",")]
        if not any(track):
            request.setResponseCode(406)
            return b"No filter parameters found. Expect at least one parameter: follow track locations\r\n"
        for old in [stream for stream in self.simulator.streams if stream.version == 1]:
            old.send_json({"disconnect": {"code": 2, "stream_name": "filter", "reason": "duplicate stream"}})
            old.end()
        delimited = argument(request, "delimited") == "length"
        self.simulator.accept(request, 1, track=[phrase for phrase in track if phrase], delimited=delimited)
        return NOT_DONE_YET


class RecentSearch(Endpoint):
    """``/2/tweets/search/recent``"""

    def family(self, request: Request) -> str:
        return "search"

    def respond(self, request: Request) -> bytes:
        try:
            text = argument(request, "query") or ""
            if len(text) > MAX_QUERY:
                raise InvalidRule(f"a query cannot be longer than {MAX_QUERY} characters")
            query = matcher(text)
            size = int(argument(request, "max_results") or 10)
            if not 10 <= size <= 100:
                raise InvalidRule("max_results must be between 10 and 100")
            period = self._period(request)
        except InvalidRule as error:
            detail = {"title": "Invalid Request", "detail": str(error)}
            return self.problem(request, 400, detail)
        found = [post for post in period if query.matches(facts(post.message, post.author))]
        found.sort(key=lambda post: int(post.id), reverse=True)
        # The token says where the page before ended: what is edited or deleted meanwhile shifts nothing.
        token = argument(request, "next_token") or argument(request, "pagination_token")
        rest = [post for post in found if token is None or int(post.id) < int(token)]
        return self.json(request, 200, self._page(rest, size))

    def _period(self, request: Request) -> list[Post]:
        now = self.simulator.now()
        first, last = now - SEARCH_DEPTH_S, now - HIDDEN_S
        if (text := argument(request, "start_time")) is not None:
            start = datetime.fromisoformat(text).timestamp()
            if start < first:
                raise InvalidRule("start_time must be on or after a moment seven days ago")
            first = start
        if (text := argument(request, "end_time")) is not None:
            end = datetime.fromisoformat(text).timestamp()
            if end > now - 10:
                raise InvalidRule("end_time must be at least 10 seconds ago")
            last = min(last, end)
        since = int(argument(request, "since_id") or 0)
        until = int(argument(request, "until_id") or 2**63)
        posts = self.simulator.posts
        superseded = {old for post in posts for old in post.message["data"]["edit_history_tweet_ids"][:-1]}
        return [
            post
            for post in posts
            if first <= post.at <= last and since < int(post.id) < until and post.id not in superseded
        ]

    @staticmethod
    def _page(found: list[Post], size: int) -> dict[str, Any]:
        page = found[:size]
        if not page:
            return {"meta": {"result_count": 0}}
        includes: dict[str, dict[str, Any]] = {}
        for post in page:
            for kind, entries in post.message["includes"].items():
                keys = includes.setdefault(kind, {})
                keys.update({entry.get("id") or entry["media_key"]: entry for entry in entries})
        meta = {"newest_id": page[0].id, "oldest_id": page[-1].id, "result_count": len(page)}
        if size < len(found):
            meta["next_token"] = page[-1].id
        return {
            "data": [post.message["data"] for post in page],
            "includes": {kind: list(entries.values()) for kind, entries in includes.items()},
            "meta": meta,
        }


class Lookup(Endpoint):
    """``/2/tweets``: what is gone is told beside what is there."""

    def family(self, request: Request) -> str:
        return "lookup"

    def respond(self, request: Request) -> bytes:
        ids = (argument(request, "ids") or "").split(",")
        if not 1 <= len(ids) <= MAX_IDS or not all(id_.isdigit() for id_ in ids):
            detail = {"title": "Invalid Request", "detail": f"ids must be 1 to {MAX_IDS} numbers"}
            return self.problem(request, 400, detail)
        there = {post.id: post.message["data"] for post in self.simulator.posts}
        answer: dict[str, Any] = {}
        if found := [there[id_] for id_ in ids if id_ in there]:
            answer["data"] = found
        if missing := [id_ for id_ in ids if id_ not in there]:
            answer["errors"] = [self._problem(id_) for id_ in missing]
        return self.json(request, 200, answer)

    def _problem(self, id_: str) -> dict[str, Any]:
        hidden = id_ in self.simulator.hidden
        return {
            "value": id_,
            "resource_id": id_,
            "resource_type": "tweet",
            "parameter": "ids",
            "title": "Authorization Error" if hidden else "Not Found Error",
            "detail": f"Could not find tweet with ids: [{id_}].",
            "type": "https://api.x.com/2/problems/"
            + ("not-authorized-for-resource" if hidden else "resource-not-found"),
        }


class ControlPost(Resource):
    """``POST /control/post``: ``text``, and optionally ``lang``, ``edits``, ``refers_to``, ``kind``."""

    def __init__(self, simulator: XSimulator) -> None:
        super().__init__()
        self._simulator = simulator

    def render_POST(self, request: Request) -> bytes:
        options = {name.decode(): values[-1].decode() for name, values in request.args.items()}
        try:
            id_ = self._simulator.post(options.pop("text"), **options)
        except (KeyError, TypeError, StopIteration):
            request.setResponseCode(400)
            return b"text is needed; lang, edits, refers_to (ids of earlier posts) and kind are possible\n"
        return id_.encode() + b"\n"


class ControlDelete(ControlPost):
    """``POST /control/delete``: ``id``; with ``silent`` no stream hears of it, as with X's own."""

    def render_POST(self, request: Request) -> bytes:
        try:
            told = argument(request, "silent") is None
            self._simulator.delete(argument(request, "id") or "", compliance=told)
        except StopIteration:
            request.setResponseCode(404)
            return b"no such post\n"
        return b"deleted\n"


class ControlStreams(ControlPost):
    """``POST /control/streams``: how many are open."""

    def render_POST(self, request: Request) -> bytes:
        return b"%d\n" % len(self._simulator.streams)


class ControlFault(ControlPost):
    """``POST /control/fault``: ``name`` and its options; without one it lists them."""

    def render_POST(self, request: Request) -> bytes:
        from tests.simulators.xfaults import FAULTS, WrongOption, inject

        options = {name.decode(): values[-1].decode() for name, values in request.args.items()}
        chosen = options.pop("name", None)
        if chosen not in FAULTS:
            request.setResponseCode(400)
            return ("name one of: " + ", ".join(sorted(FAULTS)) + "\n").encode()
        try:
            inject(self._simulator, chosen, options)
        except WrongOption as error:
            request.setResponseCode(400)
            return f"{error}\n".encode()
        return b"done\n"


class Root(Resource):
    """The whole tree."""

    def __init__(self, simulator: XSimulator) -> None:
        super().__init__()
        self._tree: dict[bytes, Resource] = {
            b"/2/tweets/search/stream": FilteredStream(simulator),
            b"/2/tweets/search/stream/rules": Rules(simulator),
            b"/2/tweets/search/recent": RecentSearch(simulator),
            b"/2/tweets": Lookup(simulator),
            b"/1.1/statuses/filter.json": StatusesFilter(simulator),
            b"/control/post": ControlPost(simulator),
            b"/control/delete": ControlDelete(simulator),
            b"/control/fault": ControlFault(simulator),
            b"/control/streams": ControlStreams(simulator),
        }

    def getChild(self, path: bytes, request: Request) -> Resource:
        request.postpath.clear()
        return self._tree.get(request.path, self)

    def render(self, request: Request) -> bytes:
        request.setResponseCode(404)
        request.setHeader("Content-Type", "application/json")
        return b'{"title":"Not Found Error","detail":"Not Found","status":404}'
