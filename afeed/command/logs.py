"""The live log of a configuration, read from outside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from afeed.command.background import Background
from afeed.core.change import Change
from afeed.livelog.embedded import FILE
from afeed.livelog.embedded_reader import EmbeddedReader
from afeed.livelog.taken import Reader, Taken
from afeed.settings import Store


class _Redis:
    """A reader of Redis that blocks, as the one of the embedded log does."""

    def __init__(self, reader: Any, background: Background) -> None:
        self._reader = reader
        self._background = background

    def events(self) -> dict[str, int]:
        return self._background.call(lambda reactor: self._reader.events())

    def nodes(self) -> int:
        return self._background.call(lambda reactor: self._reader.nodes())

    def take(self, event: str, after: int, put: Callable[[Change], object]) -> Taken | None:
        return self._background.call(lambda reactor: self._reader.take(event, after, put))


@contextmanager
def reading(store: Store, background: Background) -> Iterator[Reader]:
    """The live log of ``store``; ``background`` serves Redis."""
    if store.live_log == "embedded":
        yield EmbeddedReader(store.data_dir / FILE)
        return

    async def connect(reactor: Any) -> Any:
        from afeed.livelog.redis_reader import RedisReader

        found = RedisReader(store.live_log, reactor)
        await found.open()
        return found

    async def close(reactor: Any) -> None:
        reader.close()

    reader = background.call(connect)
    try:
        yield _Redis(reader, background)
    finally:
        background.call(close)
