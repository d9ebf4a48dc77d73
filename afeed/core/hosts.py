"""How often a host of pictures may be asked: politely, and not at all while it wants to be left alone."""

from __future__ import annotations

import attrs

#: Between two requests to one host, in seconds; and how many may be under way there at once.
SPACING_S = 0.1
AT_ONCE = 3
#: So many hosts are remembered.
_MOST = 10_000


@attrs.define
class _Host:
    free_at: float = 0.0
    running: int = 0


class Hosts:
    """Times are seconds of any clock that does not go back."""

    def __init__(self, spacing_s: float = SPACING_S, at_once: int = AT_ONCE) -> None:
        self._hosts: dict[str, _Host] = {}
        self._spacing_s = spacing_s
        self._at_once = at_once

    def wait(self, host: str, now: float) -> float:
        """How long to wait before ``host`` may be asked, 0 for not at all."""
        found = self._hosts.get(host)
        if found is None:
            return 0.0
        if found.running >= self._at_once:
            return self._spacing_s
        return max(0.0, found.free_at - now)

    def begin(self, host: str, now: float) -> None:
        """It is asked now."""
        if len(self._hosts) >= _MOST:
            self._hosts = {name: one for name, one in self._hosts.items() if one.running or one.free_at > now}
        found = self._hosts.setdefault(host, _Host())
        found.running += 1
        found.free_at = max(found.free_at, now + self._spacing_s)

    def end(self, host: str) -> None:
        """That is over."""
        self._hosts[host].running -= 1

    def pause(self, host: str, until: float) -> None:
        """It wants to be left alone."""
        found = self._hosts.setdefault(host, _Host())
        found.free_at = max(found.free_at, until)
