"""Which of the nodes that share a Redis runs the sources and the strainer.

Three keys, because three questions are asked of them:

===================== ==========================================================================================
``afeed:lease``       the token of the last term begun, for as long as no other begins: what is appended under
                      another is refused.  ``-`` after a term that was released
``afeed:lease:runs``  there while that term runs, by the server's own clock; the next may begin when it is gone
``afeed:lease:asked`` the token of somebody who has asked for the lease since that term began, in vain
===================== ==========================================================================================

So a leader that could not be reached for a while goes on with the same term if nobody took over meanwhile, and
a node that was paused cannot write as soon as somebody has.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from afeed.interfaces import ILease
from afeed.livelog.redis_appends import PATIENCE_SECONDS
from afeed.livelog.redis_commands import LEASE_KEY, Commands
from afeed.livelog.redis_lua_parts import Script, script

_KEYS = (LEASE_KEY, LEASE_KEY + ":runs", LEASE_KEY + ":asked")

# KEYS: lease, runs, asked.  ARGV: token, milliseconds, known or "", "1" if patient.  Reply: who holds it.
_TAKE = script("""
-- A server that is out of memory refuses to note it, and then it is left.
local function ask()
  if redis.call('EXISTS', KEYS[3]) == 0 then redis.pcall('SET', KEYS[3], ARGV[1]) end
end
local holder, runs = redis.call('GET', KEYS[1]), redis.call('EXISTS', KEYS[2]) == 1
if runs and holder and holder ~= ARGV[1] then
  ask()
  return holder
end
local next = ARGV[1]
if ARGV[3] ~= '' and (not holder or (holder == ARGV[3] and ARGV[4] == '1')) then next = ARGV[3] end
redis.call('SET', KEYS[1], next)
redis.call('SET', KEYS[2], '1', 'PX', ARGV[2])
if next == ARGV[1] then redis.call('DEL', KEYS[3]) else ask() end
return next
""")

# KEYS: lease, runs, asked.  ARGV: token, milliseconds.  Reply: "0", "1", or "2" where another has asked for it.
# Where the first two keys are gone the server has lost them.  PEXPIRE first, because a server that is out of
# memory still allows that.
_RENEW = script("""
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return '0' end
if not holder then redis.call('SET', KEYS[1], ARGV[1]) end
if redis.call('PEXPIRE', KEYS[2], ARGV[2]) == 0 then redis.call('SET', KEYS[2], '1', 'PX', ARGV[2]) end
local asked = redis.call('GET', KEYS[3])
return asked and asked ~= ARGV[1] and '2' or '1'
""")

# KEYS: lease, runs, asked.  ARGV: token.  Reply: "1" | "0".  The name of a term that has ended stays taken:
# nobody who slept through what came after it may go on with an earlier one.
_RELEASE = script("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return '0' end
redis.call('SET', KEYS[1], '-')
redis.call('DEL', KEYS[2])
return '1'
""")

T = TypeVar("T")


@implementer(ILease)
class RedisLease:
    """``usable(patience)`` fires with the commands of a connection to the server, ``clock`` tells whether a
    term goes on for longer than it was granted."""

    def __init__(self, usable: Callable[[float], Deferred[Commands]], clock: IReactorTime) -> None:
        self._usable = usable
        self._clock = clock
        self._refused: tuple[str, float] | None = None
        self.shared = False

    def take(self, token: str, seconds: float, known: str | None, patient: bool) -> Deferred[str]:
        async def take(commands: Commands) -> str:
            arguments = (token, _milliseconds(seconds), known or "", "1" if patient else "0")
            holder = (await self._call(commands, _TAKE, *arguments)).decode("utf-8", "replace")
            if holder != token:
                self._note(holder, seconds)
            return holder

        return self._run(take)

    def _note(self, holder: str, seconds: float) -> None:
        """Another term runs.  It need not be another node's: one that was killed and started again waits for
        its own, which nobody renews."""
        now = self._clock.seconds()
        if self._refused is None:
            self._refused = holder, now
        first, since = self._refused
        if holder != first or now - since > seconds:
            self.shared = True

    def renew(self, token: str, seconds: float) -> Deferred[bool]:
        async def renew(commands: Commands) -> bool:
            answer = await self._call(commands, _RENEW, token, _milliseconds(seconds))
            if answer == b"2":
                self.shared = True
            return answer != b"0"

        return self._run(renew)

    def release(self, token: str) -> Deferred[None]:
        async def release(commands: Commands) -> None:
            await self._call(commands, _RELEASE, token)

        return self._run(release)

    async def _call(self, commands: Commands, step: Script, *arguments: str | int) -> bytes:
        return await commands.call(step, _KEYS, *arguments)

    def _run(self, work: Callable[[Commands], Coroutine[Any, Any, T]]) -> Deferred[T]:
        async def run() -> T:
            return await work(await self._usable(PATIENCE_SECONDS))

        return Deferred.fromCoroutine(run())


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
