"""Random faults, one after the other: in the end every post is in the log, once, in its last version."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random

from twisted.internet.defer import Deferred
from zope.interface import implementer

from afeed.core import backfill
from afeed.core.draft import Draft
from afeed.interfaces import ISink, Position, Recorded
from tests.sources.test_xbackfill import BackFillCase

#: Change them to see other histories; a failure names its seed.
SEEDS = range(1, 9)
#: Faults in one history.
FAULTS = 25


@implementer(ISink)
class Mortal:
    """Passes offers on until it is killed: after that nothing reaches the log any more."""

    def __init__(self, sink: ISink) -> None:
        self._sink = sink
        self.dead = False

    def offer(
        self, event: str, drafts: Sequence[Draft], position: Position | None = None
    ) -> Deferred[list[Recorded]]:
        return Deferred() if self.dead else self._sink.offer(event, drafts, position)

    def dropped(self, event: str, source: str, reason: str, count: int = 1) -> None:
        self._sink.dropped(event, source, reason, count)


class CompletenessTests(BackFillCase):
    def setUp(self) -> None:
        super().setUp()
        self.wanted = {"aea": "#aea", "conf": "#conf"}
        self.node = self.sink
        self.sink = Mortal(self.node)
        self.late: list[tuple[float, str]] = []
        self.said: dict[str, str] = {}  # by the post's first id
        self.events: dict[str, set[str]] = {"aea": set(), "conf": set()}
        self.faults: Counter[str] = Counter()

    def restart(self, seconds: float) -> None:
        self.stop()
        self.pass_time(seconds)
        self.sink = Mortal(self.node)
        self.stream = self.make(self.http)
        self.start()

    def strike(self) -> None:
        """One fault, chosen at random."""
        rng = self.rng
        name = rng.choice(
            ("abort", "close", "disconnect", "stall", "stop", "kill", "refuse", "limit", "search", "quiet")
        )
        self.faults[name] += 1
        down = rng.choice((0.5, 3.0, 20.0, 90.0, 400.0))
        if name in ("abort", "close", "disconnect", "stall"):
            self.x.fault(name)
        elif name == "refuse":
            self.x.fault("unavailable", times=rng.randrange(1, 5))
            self.x.fault("abort")
        elif name == "limit":
            self.x.fault("rate-limited", reset_in=int(down) + 1)
            self.x.fault("close")
        elif name == "search":
            fault = rng.choice(("unavailable", "reset", "rate-limited", "html"))
            self.x.fault(fault, on="search", times=rng.randrange(1, 6))
            self.x.fault("abort")
        elif name == "stop":
            self.restart(down)
        elif name == "kill":
            self.sink.dead = True
            self.pass_time(rng.random() * 3)  # what comes now is lost with it
            self.restart(down)
        self.flush()

    def speak(self) -> None:
        """Somebody posts, edits, or X delivers late or twice."""
        rng = self.rng
        what = rng.random()
        if what < 0.1 and self.said:
            first = rng.choice(list(self.said))
            newest = max((post.id for post in self.x.posts if self.first_id(post) == first), key=int)
            self.publish(f"{self.said[first]} again", edits=newest)
        elif what < 0.2 and self.x.posts:
            self.x.repeat(rng.choice(self.x.posts).id)
        else:
            tags = rng.choice(("#aea", "#conf", "#aea #conf", "#elsewhere"))
            self.publish(f"post {len(self.said)} {tags}")

    def publish(self, text: str, **options: str) -> None:
        deliver = self.rng.random() < 0.8
        id_ = self.x.post(text, deliver=deliver, **options)
        if not deliver:
            self.late.append((self.clock.seconds() + self.rng.random() * 8, id_))
        first = self.first_id(next(post for post in self.x.posts if post.id == id_))
        self.said[first] = text
        for event in self.events:
            if f"#{event}" in text:
                self.events[event].add(first)

    @staticmethod
    def first_id(post: object) -> str:
        history: list[str] = post.message["data"]["edit_history_tweet_ids"]  # type: ignore[attr-defined]
        return history[0]

    def pass_time(self, seconds: float) -> None:
        """Time passes, people post."""
        end = self.clock.seconds() + seconds
        while self.clock.seconds() < end:
            self.advance(1.0, step=1.0)
            due = [entry for entry in self.late if entry[0] <= self.clock.seconds()]
            for entry in due:
                self.late.remove(entry)
                self.x.repeat(entry[1])
            if self.rng.random() < 0.2:
                self.speak()
            self.flush()

    def history(self, seed: int) -> Counter[str]:
        """One history, and what it amounts to: the faults by their names, and ``posts``."""
        self.rng = Random(seed)
        self.start()
        for _ in range(FAULTS):
            self.strike()
            self.pass_time(self.rng.choice((5, 30, 120, 300)))
        self.x.refusals.clear()
        self.pass_time(30)
        for _, id_ in self.late:
            self.x.repeat(id_)
        self.advance(2000, step=2)
        self.assertEqual(self.check().state, "ok", f"seed {seed}: {self.check().detail}")
        for event, expected in self.events.items():
            posted = [change["item"]["id"] for change in self.changes(event=event)]
            self.assertEqual(len(posted), len(set(posted)), f"seed {seed}, {event}: posted twice")
            self.assertEqual(set(posted), {f"x:{id_}" for id_ in expected}, f"seed {seed}, {event}")
            texts = {
                change["item"]["id"]: change["item"]["text"]
                for kind in ("item.posted", "item.edited")
                for change in self.changes(kind, event)
            }
            self.assertEqual(texts, {f"x:{id_}": self.said[id_] for id_ in expected}, f"seed {seed}")
            ledger = {gap["from"]: gap["state"] for gap in self.changes("source.gap", event)}
            self.assertEqual(set(ledger.values()) - {"closed"}, set(), f"seed {seed}, {event}")
        self.stop()
        return self.faults + Counter(posts=len(self.said))

    def test_nothing_is_lost_and_nothing_twice(self) -> None:
        total = Counter[str]()
        for seed in SEEDS:
            total.update(self.history(seed))
            self.setUp()
        self.assertGreater(total["posts"], 500)
        self.assertEqual(total.total() - total["posts"], FAULTS * len(SEEDS))

    def test_without_the_overlap_these_histories_would_show_it(self) -> None:
        """The check can fail: searches that begin where the stream was last seen alive lose posts."""
        self.patch(backfill, "OVERLAP_S", 0.0)
        with self.assertRaises(self.failureException):
            self.test_nothing_is_lost_and_nothing_twice()
