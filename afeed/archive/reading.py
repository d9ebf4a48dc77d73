"""What pages, reports and exports read of the archive, as methods of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from twisted.internet.defer import Deferred

from afeed.archive import searching
from afeed.archive.engine import Transaction, Work
from afeed.archive.search_index import SearchIndex
from afeed.archive.searching import Count, Found, Query, Standing, TalkItems, Tallies
from afeed.interfaces import PageItem

T = TypeVar("T")


class Reading:
    """Every Deferred may fail with :class:`~afeed.core.errors.ArchiveUnavailable`."""

    @property
    def search_index(self) -> SearchIndex:
        """The index of words of this database."""
        raise NotImplementedError

    def read_with(self, work: Work[T]) -> Deferred[T]:
        """Do ``work`` in a transaction that only reads."""
        raise NotImplementedError

    def find(self, event: str, query: Query, limit: int, before: int | None = None) -> Deferred[Found]:
        """Fires with the newest ``limit`` visible items that ``query`` asks for, of those first posted below
        ``before``."""

        async def work(sql: Transaction) -> Found:
            return await searching.find(sql, self.search_index, event, query, limit, before)

        return self.read_with(work)

    def all_items(
        self, event: str, after_seq: int, limit: int, talk: str | None = None
    ) -> Deferred[list[PageItem]]:
        """Fires with up to ``limit`` visible items first posted above ``after_seq``, oldest first, in their
        present state; given ``talk``, with its items only."""

        async def work(sql: Transaction) -> list[PageItem]:
            return await searching.all_items(sql, event, after_seq, limit, talk)

        return self.read_with(work)

    def counts(
        self, event: str, facet: str, *, limit: int | None = None, largest: bool = False
    ) -> Deferred[list[Count]]:
        """Fires with how many visible items there are of each value of ``facet``
        (:mod:`afeed.core.search.facets`), in the order of the values or the ``largest`` first."""

        async def work(sql: Transaction) -> list[Count]:
            return await searching.counts(sql, event, facet, limit, largest)

        return self.read_with(work)

    def counts_of(self, event: str, facet: str, values: Sequence[str]) -> Deferred[list[Count]]:
        """Fires with the same for those of ``values`` that any item has."""

        async def work(sql: Transaction) -> list[Count]:
            return await searching.counts_of(sql, event, facet, values)

        return self.read_with(work)

    def overview(
        self, event: str, query: Query, limit: int, before: int | None, listed: int
    ) -> Deferred[tuple[Found, Tallies]]:
        """Fires with what :meth:`find` gives, and what there is to filter by: of most facets the ``listed``
        largest values."""

        async def work(sql: Transaction) -> tuple[Found, Tallies]:
            found = await searching.find(sql, self.search_index, event, query, limit, before)
            return found, await searching.tallied(sql, event, query.author, listed)

        return self.read_with(work)

    def talk(self, event: str, talk: str, limit: int, before: int | None, photos: int) -> Deferred[TalkItems]:
        """Fires with a page of what was posted about a talk, and its newest ``photos``."""

        async def work(sql: Transaction) -> TalkItems:
            index = self.search_index
            found = await searching.find(sql, index, event, Query(talk=talk), limit, before)
            shown = await searching.find(sql, index, event, Query(talk=talk, kind="photo"), photos, None)
            posts = sum(one.items for one in await searching.counts_of(sql, event, "talk", [talk]))
            minutes = await searching.counts(sql, event, f"minute:{talk}", None, False)
            return TalkItems(found, shown, posts, {one.value: one.items for one in minutes})

        return self.read_with(work)

    def standing(self, event: str, seq: int) -> Deferred[Standing]:
        """Fires with what became of the item that the change ``seq`` was about."""

        async def work(sql: Transaction) -> Standing:
            return await searching.standing(sql, event, seq)

        return self.read_with(work)
