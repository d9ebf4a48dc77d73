"""What is counted, and how it is told: the Prometheus text of /metrics and the figures of /healthz."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric

#: Upper bounds in seconds; an attendee should see a post well under a second after it was accepted.
LATENCY_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

#: name, help, labels, and where the present values come from.
Reading = tuple[str, str, tuple[str, ...], Callable[[], Iterable[tuple[tuple[str, ...], float]]]]


class _Readings:
    """Gauges that are read off their owners when somebody asks."""

    def __init__(self) -> None:
        self.readings: list[Reading] = []

    def collect(self) -> Iterable[Metric]:
        for name, text, labels, read in self.readings:
            family = GaugeMetricFamily(name, text, labels=labels)
            for values, number in read():
                family.add_metric(values, number)
            yield family


class Metrics:
    """The counters of one process; ``now`` gives seconds since 1970."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.registry = CollectorRegistry()
        self._now = now
        self._readings = _Readings()
        ProcessCollector(registry=self.registry)
        self.registry.register(self._readings)
        registry = self.registry
        self._items = Counter(
            "afeed_items", "Items recorded, editions included.", ("event", "source"), registry=registry
        )
        self._dropped = Counter(
            "afeed_dropped",
            "What sources could not use.",
            ("event", "source", "reason"),
            registry=registry,
        )
        self._held = Counter(
            "afeed_held",
            "Items held back before anybody saw them, versions counted.",
            ("event", "source", "reason"),
            registry=registry,
        )
        self._released = Counter(
            "afeed_released",
            "Held items that were shown when their time was up.",
            ("event",),
            registry=registry,
        )
        self._waiting = Gauge(
            "afeed_queue_length",
            "Drafts offered by sources and not yet durable.",
            ("event",),
            registry=registry,
        )
        self.requests = Counter("afeed_requests", "HTTP requests, upgrades included.", registry=registry)
        self.turned_away = Counter(
            "afeed_turned_away",
            "Connections, and requests through proxies, that were too many of one address.",
            registry=registry,
        )
        self._sign_ins = Counter(
            "afeed_sign_ins", "Attempts of organisers to sign in.", ("result",), registry=registry
        )
        self._fetches = Counter(
            "afeed_media_fetches", "Attempts to fetch a picture.", ("result",), registry=registry
        )
        self._deliveries = Counter(
            "afeed_deliveries", "Changes written to viewers.", ("transport",), registry=registry
        )
        self._latency = Histogram(
            "afeed_delivery_seconds",
            "From the moment a change was recorded until it was written to every viewer that keeps up.",
            ("transport",),
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self._last_item: dict[tuple[str, str], float] = {}
        self._peak: dict[tuple[str, str], int] = {}
        self.reading(
            "afeed_last_item_age_seconds",
            "Since the last new item of the source.",
            ("event", "source"),
            lambda: [(key, self._now() - at) for key, at in self._last_item.items()],
        )

    def reading(
        self,
        name: str,
        text: str,
        labels: tuple[str, ...],
        read: Callable[[], Iterable[tuple[tuple[str, ...], float]]],
    ) -> None:
        """Offer a gauge whose values ``read`` gives when asked, as (label values, number)."""
        self._readings.readings.append((name, text, labels, read))

    def watch_viewers(self, counts: Callable[[], Mapping[tuple[str, str], int]]) -> None:
        """``counts`` gives the present viewers by (event, transport)."""

        def present() -> Iterable[tuple[tuple[str, ...], float]]:
            return list(counts().items())

        def peak() -> Iterable[tuple[tuple[str, ...], float]]:
            self.note_viewers(counts())
            return list(self._peak.items())

        labels = ("event", "transport")
        self.reading("afeed_viewers", "Viewers connected now (polls: waiting).", labels, present)
        self.reading("afeed_viewers_peak", "The most viewers at any moment since the start.", labels, peak)

    def note_viewers(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Remember the most viewers seen; called once a second."""
        for key, count in counts.items():
            if count > self._peak.get(key, -1):
                self._peak[key] = count

    def item(self, event: str, source: str, at: float, count: int = 1) -> None:
        """New items, or new versions of some, were recorded."""
        self._items.labels(event, source).inc(count)
        self._last_item[event, source] = at

    def dropped(self, event: str, source: str, reason: str, count: int) -> None:
        """A source could not use something."""
        self._dropped.labels(event, source, reason).inc(count)

    def held(self, event: str, source: str, reason: str) -> None:
        """An item was held back; of the reason only the code counts, for people write the rest."""
        self._held.labels(event, source, reason.partition(":")[0]).inc()

    def released(self, event: str, count: int) -> None:
        """Held items were shown because their time was up."""
        self._released.labels(event).inc(count)

    def signed_in(self, result: str) -> None:
        """Somebody tried to sign in; see :data:`afeed.organisers.desk.OUTCOMES`."""
        self._sign_ins.labels(result).inc()

    def fetched(self, result: str) -> None:
        """A picture was asked for: ``kept``, ``unfit`` or ``later``."""
        self._fetches.labels(result).inc()

    def waiting(self, event: str) -> Gauge:
        """The number of drafts that wait to become durable."""
        return self._waiting.labels(event)

    def delivered(self, transport: str, changes: int, viewers: int, recorded_at: float) -> None:
        """``changes`` were written to ``viewers``, the last of them recorded at ``recorded_at``."""
        self._deliveries.labels(transport).inc(changes * viewers)
        self._latency.labels(transport).observe(max(0.0, self._now() - recorded_at))

    def text(self) -> bytes:
        """All of it, in the Prometheus text format."""
        return generate_latest(self.registry)
