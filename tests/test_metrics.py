"""What is counted, in the Prometheus text format."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families
from twisted.trial.unittest import SynchronousTestCase

from afeed.metrics import Metrics

Sample = tuple[str, tuple[tuple[str, str], ...]]


class MetricsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.now = 1000.0
        self.metrics = Metrics(lambda: self.now)

    def value(self, name: str, **labels: str) -> float | None:
        for family in text_string_to_metric_families(self.metrics.text().decode()):
            for sample in family.samples:
                if sample.name == name and sample.labels == labels:
                    return sample.value
        return None

    def test_items_and_the_age_of_the_last(self) -> None:
        self.metrics.item("e", "x", 1000)
        self.metrics.item("e", "x", 1002)
        self.now = 1010
        self.assertEqual(self.value("afeed_items_total", event="e", source="x"), 2)
        self.assertEqual(self.value("afeed_last_item_age_seconds", event="e", source="x"), 8)

    def test_drops_by_reason(self) -> None:
        self.metrics.dropped("e", "x", "malformed", 3)
        self.assertEqual(self.value("afeed_dropped_total", event="e", source="x", reason="malformed"), 3)

    def test_deliveries_and_how_long_they_took(self) -> None:
        self.metrics.delivered("sse", 2, 10, 999.98)
        self.metrics.delivered("sse", 1, 1, 1001)  # a clock that was set back
        self.assertEqual(self.value("afeed_deliveries_total", transport="sse"), 21)
        self.assertEqual(self.value("afeed_delivery_seconds_count", transport="sse"), 2)
        self.assertEqual(self.value("afeed_delivery_seconds_bucket", transport="sse", le="0.01"), 1)
        self.assertEqual(self.value("afeed_delivery_seconds_bucket", transport="sse", le="0.025"), 2)

    def test_viewers_now_and_at_their_peak(self) -> None:
        counts = {("e", "sse"): 3}
        self.metrics.watch_viewers(lambda: counts)
        self.metrics.note_viewers({("e", "sse"): 7})
        self.assertEqual(self.value("afeed_viewers", event="e", transport="sse"), 3)
        self.assertEqual(self.value("afeed_viewers_peak", event="e", transport="sse"), 7)

    def test_readings_are_taken_when_somebody_asks(self) -> None:
        values = [(("e",), 1.0)]
        self.metrics.reading("afeed_log_head", "The head.", ("event",), lambda: values)
        self.assertEqual(self.value("afeed_log_head", event="e"), 1)
        values[0] = (("e",), 2.0)
        self.assertEqual(self.value("afeed_log_head", event="e"), 2)

    def test_a_queue(self) -> None:
        self.metrics.waiting("e").inc(5)
        self.assertEqual(self.value("afeed_queue_length", event="e"), 5)

    def test_two_processes_in_one_test_do_not_share_figures(self) -> None:
        self.metrics.requests.inc()
        self.assertIn("afeed_requests_total 0.0", Metrics(lambda: 0).text().decode())
