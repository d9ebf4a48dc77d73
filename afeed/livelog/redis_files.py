"""What Redis has on its disk: its append-only file has every text that was ever recorded, also what was removed
since, until it is written anew."""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from afeed.core.errors import LogUnavailable
from afeed.livelog.redis_commands import Commands, ServerError

_log = Logger()


class Sending(Protocol):
    """What has the commands of a connection."""

    def __call__(self, patience: float) -> Deferred[Commands]: ...


#: How long a connection is waited for, in seconds.
_PATIENCE_S = 5.0


class Rewriting:
    """Has the file written anew when somebody wants removed text to be gone from it."""

    def __init__(self, reachable: Sending) -> None:
        self._reachable = reachable
        #: Whether a rewriting was begun since somebody last asked for one.
        self._begun = False

    def scrub(self) -> Deferred[bool]:
        """See :meth:`afeed.interfaces.ILiveLog.scrub`."""
        return Deferred.fromCoroutine(self._scrub())

    async def _scrub(self) -> bool:
        commands = await self._reachable(_PATIENCE_S)
        try:
            found = _persistence(await commands.send("INFO", "persistence"))
            if found.get("aof_enabled", "0") == "0":
                return True
            if "1" in (found.get("aof_rewrite_in_progress"), found.get("aof_rewrite_scheduled")):
                # It may have begun before what is to be gone was removed.
                return False
            if self._begun:
                self._begun = False
                if found.get("aof_last_bgrewrite_status", "ok") == "ok":
                    return True
                _log.warn(
                    "Redis could not write its append-only file anew, so what was removed is still in it: look "
                    "at its own log, and say BGREWRITEAOF to it."
                )
                return True
            await commands.send("BGREWRITEAOF")
        except ServerError as error:
            _log.warn(
                "Redis does not let afeed have its append-only file written anew ({why}), so what was removed "
                "is in it until that happens: say BGREWRITEAOF to it.",
                why=str(error),
            )
            return True
        self._begun = True
        return False


def _persistence(reply: object) -> dict[str, str]:
    """The members of the section."""
    if not isinstance(reply, bytes):
        raise LogUnavailable("Redis does not say how it keeps what it has")
    lines = (line.partition(":") for line in reply.decode("utf-8", "replace").splitlines())
    return {name: value.strip() for name, colon, value in lines if colon}
