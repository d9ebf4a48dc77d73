"""What becomes of drafts before they are recorded, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from afeed.core.draft import Draft, Held, Posted, Removed
from afeed.interfaces import Recorded
from afeed.sorting import Outcome, sorted_out
from tests.core.test_words import SEED
from tests.fakes import MemoryLog, a_post


def holds(event: str, draft: Draft) -> Held | None:
    """Posts that say so are held."""
    if isinstance(draft, Posted) and "hold" in draft.item.text:
        return Held(draft.item, draft.version, "muted:hold")
    return None


def admits(event: str, draft: Draft) -> bool:
    return not (isinstance(draft, Posted) and "block" in draft.item.text)


class SortingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.log = MemoryLog(["e"])
        self.steps: list[tuple[str, list[str]]] = []
        self.away: list[Draft] = []

    def sort(self, *drafts: Draft) -> list[Outcome]:
        async def keep(held: Sequence[Held]) -> list[bool]:
            self.steps.append(("hold", [one.item.id for one in held]))
            return await self.log.hold("e", held)

        async def record(some: Sequence[Draft], last: bool) -> list[Recorded]:
            names = [one.item.id if isinstance(one, Posted) else "-" for one in some]
            self.steps.append(("last" if last else "record", names))
            return await self.log.append("e", None, some)

        work = sorted_out("e", drafts, admits, holds, self.away.append, keep, record)
        return self.successResultOf(Deferred.fromCoroutine(work))

    def held(self) -> list[str]:
        return [one.item.text for one in self.successResultOf(self.log.held("e", 100))]

    def test_what_is_let_in_goes_in_one_step(self) -> None:
        self.assertEqual(
            self.sort(a_post(1), Removed("push:9"), a_post(2)),
            [Outcome(Recorded(1, True)), Outcome(Recorded(2, True)), Outcome(Recorded(3, True))],
        )
        self.assertEqual(self.steps, [("last", ["push:1", "-", "push:2"])])
        self.assertEqual(self.sort(), [])

    def test_what_is_held_and_what_is_turned_away_keep_their_places(self) -> None:
        outcomes = self.sort(a_post(1, "hold"), a_post(2), a_post(3, "block"), a_post(4, "hold"), a_post(5))
        held = Outcome(Recorded(0, True), held=True)
        self.assertEqual(
            outcomes,
            [held, Outcome(Recorded(1, True)), Outcome(Recorded(0, False)), held, Outcome(Recorded(2, True))],
        )
        self.assertEqual(self.steps, [("hold", ["push:1", "push:4"]), ("last", ["push:2", "push:5"])])
        self.assertEqual(len(self.away), 1)
        again = self.sort(a_post(1, "hold"))
        self.assertEqual(again, [Outcome(Recorded(0, False), held=True)])
        self.assertEqual(self.steps[-1], ("last", []))  # for the position that may go with it

    def test_a_removal_takes_what_was_held_with_it_in_any_order(self) -> None:
        self.sort(a_post(1, "hold"), Removed("push:1"))
        self.sort(Removed("push:2"), a_post(2, "hold"))
        self.assertEqual(self.held(), [])

    def test_two_versions_of_which_one_is_held_stay_in_order(self) -> None:
        self.sort(a_post(1, "fine", "1"), a_post(2), a_post(1, "hold it", "2"))
        self.assertEqual([name for name, _ in self.steps], ["record", "hold", "last"])
        self.assertEqual(self.held(), ["hold it"])
        self.sort(a_post(3, "hold", "1"), a_post(3, "fine", "2"))
        self.assertEqual(self.held(), ["hold it"])
        texts = {c.item().text for c in self.log.events["e"].changes}  # type: ignore[union-attr]
        self.assertEqual(texts, {"fine", "hello"})

    def test_it_ends_as_if_each_had_come_alone(self) -> None:
        rng = Random(SEED)
        for _ in range(300):
            drafts: list[Draft] = []
            for version in range(rng.randrange(1, 9)):
                number = rng.randrange(3)
                kind = rng.choice(["hold", "fine", "fine", "block", ""])
                drafts.append(a_post(number, kind, str(version)) if kind else Removed(f"push:{number}"))
            self.log = MemoryLog(["e"])
            self.sort(*drafts)
            together = (self.posted(), sorted(self.held()))
            self.log = MemoryLog(["e"])
            for draft in drafts:
                self.sort(draft)
            self.assertEqual((self.posted(), sorted(self.held())), together, drafts)

    def posted(self) -> dict[str, str]:
        """What is shown of each item."""
        shown: dict[str, str] = {}
        for change in self.log.events["e"].changes:
            item = change.item()
            if item is not None:
                shown[item.id] = item.text
            elif change.type == "item.removed":
                shown.pop(change.id or "", None)
        return shown
