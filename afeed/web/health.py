"""/healthz, /readyz and /metrics: what operators and their machines ask."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from afeed.core.health import Check
from afeed.core.http import Header
from afeed.metrics import Metrics
from afeed.web.exchange import Exchange

_UNCACHED: Header = (b"Cache-Control", b"no-store")
_TEXT: Header = (b"Content-Type", b"text/plain; version=0.0.4; charset=utf-8")


class Health:
    """Answers for the whole process.  ``checks`` gives every component's check as of now, ``ready`` whether
    viewers can be served, ``viewers`` how many there are by (event, transport)."""

    def __init__(
        self,
        checks: Callable[[], Iterable[Check]],
        ready: Callable[[], bool],
        viewers: Callable[[], dict[tuple[str, str], int]],
        metrics: Metrics,
    ) -> None:
        self._checks = checks
        self._ready = ready
        self._viewers = viewers
        self._metrics = metrics
        self.paths: dict[bytes, Callable[[Exchange], None]] = {
            b"/healthz": self.healthz,
            b"/readyz": self.readyz,
            b"/metrics": self.metrics,
        }

    def healthz(self, exchange: Exchange) -> None:
        """200 as long as no check failed, else 503; details for ``server.internal`` alone."""
        checks = tuple(self._checks())
        states = {check.state for check in checks}
        worst = next(state for state in ("failed", "degraded", "ok") if state in states or state == "ok")
        answer: dict[str, object] = {"status": worst, "checks": _told(checks, exchange.internal)}
        if exchange.internal:
            answer["viewers"] = _nested(self._viewers())
        exchange.json(503 if worst == "failed" else 200, answer, (_UNCACHED,))

    def readyz(self, exchange: Exchange) -> None:
        """200 once every event can be served, 503 before that and while stopping."""
        ready = self._ready()
        answer = {"ready": ready, "checks": _told(self._checks(), exchange.internal)}
        exchange.json(200 if ready else 503, answer, (_UNCACHED,))

    def metrics(self, exchange: Exchange) -> None:
        """The Prometheus text, for ``server.internal`` alone."""
        if not exchange.internal:
            exchange.error(403, "internal_only", "metrics are only for the addresses in server.internal")
            return
        exchange.protected(200, (_TEXT, _UNCACHED), self._metrics.text())


def _told(checks: Iterable[Check], internal: bool) -> dict[str, dict[str, object]]:
    if not internal:
        return {check.name: {"state": check.state} for check in checks}
    return {check.name: {"state": check.state, "detail": check.detail, "data": check.data} for check in checks}


def _nested(viewers: dict[tuple[str, str], int]) -> dict[str, dict[str, int]]:
    nested: dict[str, dict[str, int]] = {}
    for (event, transport), count in viewers.items():
        nested.setdefault(event, {})[transport] = count
    return nested
