"""Reading a long log bit by bit: only what came since the last time."""

from __future__ import annotations

from tests.servers.afeed import AfeedServer


class Reading:
    """What sources brought.

    :ivar items: the id and first text of every item that was posted, in the order of the log; ``gaps``: those
        that were told while it was read.
    """

    def __init__(self) -> None:
        self.items: list[tuple[str, str]] = []
        self.gaps: list[object] = []
        self._cursor = "0"

    def read(self, node: AfeedServer) -> None:
        """Add what ``node``, any of those with this log, has that is newer."""
        more = True
        while more:
            answer = node.updates(self._cursor)
            if answer["gap"] is not None:
                self.gaps.append(answer["gap"])
            self.items += [
                (change["item"]["id"], change["item"]["text"])
                for change in answer["changes"]
                if change["type"] == "item.posted"
            ]
            self._cursor, more = answer["cursor"], answer["more"]

    def texts(self, source: str) -> list[str]:
        """The texts of the items of ``source``, the word before the first colon of an id."""
        return [text for id_, text in self.items if id_.partition(":")[0] == source]

    def ids(self, source: str) -> list[str]:
        """Their ids."""
        return [id_ for id_, _ in self.items if id_.partition(":")[0] == source]
