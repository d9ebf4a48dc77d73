"""A server that speaks the X API on a real socket, with its faults on demand.

``XSimulator`` is the state and the methods for tests; :meth:`XSimulator.site` is what listens.  It offers the
filtered stream and its rules, recent search, the look-up of posts, and v1.1's ``statuses/filter``.
``docs/simulators.rst`` says how to start it by hand.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.web.server import Request, Site

from tests.simulators.xhttp import Refusal, Root, Stream
from tests.simulators.xmatch import InvalidRule, matcher
from tests.simulators.xposts import AUTHORS, TEXTS, Author, facts, post_v1, post_v2, snowflake

PROBLEMS = "https://api.x.com/2/problems/"
#: Requests in 15 minutes (X API docs: *Rate limits*).
LIMITS = {"stream": 50, "rules": 450, "change rules": 100, "search": 450, "lookup": 300, "filter": 50}
WINDOW_S = 900


class Post(NamedTuple):
    """A post as it was published."""

    id: str
    at: float
    author: Author
    message: dict[str, Any]


class XSimulator:
    """X, for one account with the bearer token ``token``.

    ``clock`` drives keep-alives (every ``keepalive_s``), ``now()`` gives Unix time.  ``requests`` lists what
    was asked, as (method, path); ``streams`` holds the open streams.
    """

    def __init__(
        self,
        clock: IReactorTime,
        now: Callable[[], float],
        *,
        token: str = "simulated-token",
        keepalive_s: float = 20.0,
        max_rules: int = 1000,
        max_streams: int = 1,
    ) -> None:
        self.clock = clock
        self.now = now
        self.token = token
        self.keepalive_s = keepalive_s
        self.max_rules = max_rules
        self.max_streams = max_streams
        self.limits = dict(LIMITS)
        self.rules: dict[str, dict[str, str]] = {}
        self.posts: list[Post] = []
        self.hidden: set[str] = set()
        self.streams: list[Stream] = []
        self.requests: list[tuple[str, str]] = []
        self.refusals: dict[str, deque[Refusal]] = {}
        self._used: Counter[tuple[str, int]] = Counter()
        self._serial = 0

    def site(self) -> Site:
        """What listens."""
        site = Site(Root(self))
        site.noisy = False
        return site

    # -- posts

    def post(
        self,
        text: str,
        *,
        author: Author = AUTHORS[0],
        lang: str = "en",
        edits: str | None = None,
        refers_to: str | None = None,
        kind: str = "quoted",
        media: Sequence[Mapping[str, Any]] = (),
        deliver: bool = True,
    ) -> str:
        """Publish a post and deliver it to the streams whose rules it matches; its id.

        ``edits`` is the id of the version it replaces, ``refers_to`` that of the post it quotes, reposts or
        answers (``kind``).  ``deliver=False`` publishes it where only the search finds it.
        """
        self._serial += 1
        id_ = str(snowflake(int(self.now() * 1000), self._serial))
        history: Sequence[str] = ()
        if edits is not None:
            history = self._find(edits).message["data"]["edit_history_tweet_ids"]
        original = None if refers_to is None else self._find(refers_to).message
        message = post_v2(
            id_,
            text,
            author=author,
            created_at=self.now(),
            lang=lang,
            history=history,
            media=media,
            original=original,
            kind=kind,
        )
        post = Post(id_, self.now(), author, message)
        self.posts.append(post)
        if deliver:
            self._deliver(post)
        return id_

    def repeat(self, id_: str) -> None:
        """Deliver a post again, as X sometimes does."""
        self._deliver(self._find(id_))

    def delete(self, id_: str, *, compliance: bool = False) -> None:
        """Delete a post.  Only v1.1 streams hear of it; the filtered stream of v2 has no deletes unless
        ``compliance`` asks for what the compliance stream would say."""
        post = self._find(id_)
        # Whoever deletes one version of a post deletes them all.
        first = post.message["data"]["edit_history_tweet_ids"][0]
        self.posts = [
            other for other in self.posts if other.message["data"]["edit_history_tweet_ids"][0] != first
        ]
        status = {"id": int(id_), "id_str": id_, "user_id": int(post.author.id), "user_id_str": post.author.id}
        for stream in list(self.streams):
            if stream.version == 1:
                stream.send_json({"delete": {"status": status, "timestamp_ms": str(int(self.now() * 1000))}})
            elif compliance:
                stream.send_json({"data": {"delete": {"tweet": {"id": id_, "author_id": post.author.id}}}})

    def hide(self, id_: str) -> None:
        """The author protects the account: the post is there and nobody else may see it."""
        self.delete(id_)
        self.hidden.add(id_)

    def message(self, id_: str) -> dict[str, Any] | None:
        """What the filtered stream says about a post; None when no rule matches it."""
        post = self._find(id_)
        known = facts(post.message, post.author)
        matching = [
            {"id": rule["id"], "tag": rule.get("tag", "")}
            for rule in self.rules.values()
            if matcher(rule["value"]).matches(known)
        ]
        return {**post.message, "matching_rules": matching} if matching else None

    def invented(self, rng: Random) -> str:
        """Publish an invented post that one of the rules matches; its id."""
        rules = list(self.rules.values())
        tag = " ".join(matcher(rng.choice(rules)["value"]).words) if rules else "#nobodyasked"
        lang, text = rng.choice(TEXTS)
        return self.post(text.format(tag=tag), author=rng.choice(AUTHORS), lang=lang)

    def send(self, data: bytes) -> None:
        """Write ``data`` to every stream as it stands."""
        for stream in list(self.streams):
            stream.write(data)

    def _deliver(self, post: Post) -> None:
        for stream in list(self.streams):
            if stream.version == 1:
                known = facts(post.message, post.author)
                if any(all(word in known["text"].lower() for word in p.split()) for p in stream.track):
                    stream.send_json(post_v1(post.message, post.author))
            elif (message := self.message(post.id)) is not None:
                stream.send_json(message)

    def _find(self, id_: str) -> Post:
        return next(post for post in self.posts if post.id == id_)

    # -- faults

    def refuse(
        self,
        status: int,
        problem: Mapping[str, Any] | bytes = b"",
        *,
        on: str = "stream",
        times: int = 1,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Answer the next ``times`` requests to ``on`` (``stream``, ``rules``, ``change rules``, ``search``,
        ``lookup``, ``filter``) like this."""
        body = problem if isinstance(problem, bytes) else json.dumps(problem).encode()
        queue = self.refusals.setdefault(on, deque())
        queue.extend([Refusal(status, dict(headers or {"Content-Type": "application/json"}), body)] * times)

    def fault(self, name: str, **options: Any) -> None:
        """Do one of :data:`tests.simulators.xfaults.FAULTS`, by name."""
        from tests.simulators.xfaults import FAULTS

        FAULTS[name](self, **options)

    # -- what the resources ask

    def limited(self, family: str) -> tuple[dict[str, str], bool]:
        """Count a request: the rate-limit headers of its answer, and whether it is one too many."""
        window = int(self.now() // WINDOW_S)
        self._used[family, window] += 1
        left = self.limits[family] - self._used[family, window]
        headers = {
            "x-rate-limit-limit": str(self.limits[family]),
            "x-rate-limit-remaining": str(max(left, 0)),
            "x-rate-limit-reset": str((window + 1) * WINDOW_S),
        }
        return headers, left < 0

    def change_rules(self, body: Mapping[str, Any], dry_run: bool) -> tuple[int, dict[str, Any]]:
        """Status and answer of a request to add or delete rules."""
        if "delete" in body:
            return 200, self._delete_rules(body["delete"], dry_run)
        return self._add_rules(body.get("add", []), dry_run)

    def _delete_rules(self, asked: Mapping[str, Any], dry_run: bool) -> dict[str, Any]:
        ids, values = asked.get("ids", []), asked.get("values", [])
        gone = [rule["id"] for rule in self.rules.values() if rule["id"] in ids or rule["value"] in values]
        missing = [id_ for id_ in ids if id_ not in self.rules]
        if not dry_run:
            for id_ in gone:
                del self.rules[id_]
        answer = self._meta(deleted=len(gone), not_deleted=len(missing))
        if missing:
            answer["errors"] = [
                {"title": "Not Found Error", "type": PROBLEMS + "resource-not-found", "value": id_}
                for id_ in missing
            ]
        return answer

    def _add_rules(self, asked: Sequence[Mapping[str, str]], dry_run: bool) -> tuple[int, dict[str, Any]]:
        created: list[dict[str, str]] = []
        errors: list[dict[str, Any]] = []
        for rule in asked:
            value = rule.get("value", "").strip()
            there = next((known for known in self.rules.values() if known["value"] == value), None)
            if there is not None:
                kind = PROBLEMS + "duplicate-rules"
                errors.append({"value": value, "id": there["id"], "title": "DuplicateRule", "type": kind})
                continue
            try:
                matcher(value)
            except InvalidRule as error:
                kind = PROBLEMS + "invalid-rules"
                errors.append(
                    {"value": value, "details": [str(error)], "title": "UnprocessableEntity", "type": kind}
                )
                continue
            if len(self.rules) >= self.max_rules:
                kind = PROBLEMS + "rule-cap"
                detail = f"Rule capacity of {self.max_rules} reached."
                errors.append({"value": value, "title": "RulesCapExceeded", "detail": detail, "type": kind})
                continue
            self._serial += 1
            new = {"id": str(1_830_000_000_000_000_000 + self._serial), "value": value}
            if rule.get("tag"):
                new["tag"] = rule["tag"]
            created.append(new)
            if not dry_run:
                self.rules[new["id"]] = new
        bad = len(errors)
        answer = self._meta(created=len(created), not_created=bad, valid=len(created), invalid=bad)
        if created:
            answer["data"] = created
        if errors:
            answer["errors"] = errors
        return 201 if created or not errors else 200, answer

    def _meta(self, **summary: int) -> dict[str, Any]:
        return {"meta": {"sent": self.now_iso(), "summary": summary}}

    def now_iso(self) -> str:
        """The present time as X writes it."""
        return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(self.now()))

    def accept(self, request: Request, version: int, **options: Any) -> Stream:
        """Open a stream on ``request``."""
        stream = Stream(self, request, version, **options)
        self.streams.append(stream)
        return stream

    def gone(self, stream: Stream) -> None:
        """A stream is over, whoever ended it."""
        if stream in self.streams:
            self.streams.remove(stream)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``python -m tests.simulators x``."""
    parser.add_argument("--token", default="simulated-token", help="the bearer token (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=0.0, help="invented posts a second (default: none)")
    parser.add_argument("--keepalive", type=float, default=20.0, help="seconds (default: %(default)g)")
    parser.add_argument("--streams", type=int, default=1, help="streams at a time (default: %(default)d)")


def serve(reactor: Any, options: argparse.Namespace) -> str:
    """Listen on ``options.port``; what to tell who started it."""
    simulator = XSimulator(
        reactor,
        time.time,
        token=options.token,
        keepalive_s=options.keepalive,
        max_streams=options.streams,
    )
    reactor.listenTCP(options.port, simulator.site(), interface="127.0.0.1")
    if options.rate > 0:
        LoopingCall(simulator.invented, Random()).start(1.0 / options.rate, now=False)
    url = f"http://127.0.0.1:{options.port}"
    return f"""X answers at {url}. For afeed, with AFEED_X_BEARER_TOKEN={options.token} in its environment:

  [accounts.x]
  bearer_token_env = "AFEED_X_BEARER_TOKEN"
  api_url = "{url}"

Post something:  curl -d text="Hello #aea" {url}/control/post
Break something: curl -X POST {url}/control/fault   (lists the faults)"""
