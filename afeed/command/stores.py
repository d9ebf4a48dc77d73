"""The live log of a configuration, to work with, and where parts of afeed say what they have to say."""

from __future__ import annotations

from collections.abc import Callable
from random import SystemRandom
from typing import Any

from twisted.logger import ILogObserver, LogLevel, formatEvent, globalLogBeginner
from zope.interface import provider

from afeed.command.program import Console
from afeed.interfaces import ILiveLog
from afeed.livelog.embedded import EmbeddedLog
from afeed.settings import Store


def live_log(store: Store, reactor: Any, now: Callable[[], float]) -> ILiveLog:
    """The live log that ``store`` names, not started yet."""
    limits = {"window": store.window, "max_log_bytes": store.max_log_bytes}
    if store.live_log == "embedded":
        return EmbeddedLog(store.data_dir, reactor, now, SystemRandom(), **limits)
    from afeed.livelog.redis import RedisLog

    return RedisLog(store.live_log, reactor, now, SystemRandom(), **limits)


def log_to(console: Console) -> None:
    """What the parts of afeed have to say about a command goes where remarks go."""

    @provider(ILogObserver)
    def observe(event: Any) -> None:
        if event.get("log_level") in (LogLevel.warn, LogLevel.error, LogLevel.critical):
            console.remark(formatEvent(event))

    globalLogBeginner.beginLoggingTo([observe], redirectStandardIO=False)
