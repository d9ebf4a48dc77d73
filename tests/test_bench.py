"""The measurements measure what they say."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import ClassVar

import attrs
from docutils.core import publish_doctree
from docutils.nodes import document, entry, row, table
from twisted.trial.unittest import SynchronousTestCase

from afeed.core.framing import Message, websocket_frame
from bench.aims import AIMS, RATIOS, Compared, NotMeasured, Results, compare, figure, goals, ratios
from bench.fan.contenders import Afeed, SendLoop
from bench.fan.load import Run, RunFailed, loaded, measure, started
from bench.paper import ROWS, needed, paper
from bench.plan import Plan, in_turn
from bench.quick import PARTS, better, quick, report
from bench.results import file, page, published
from bench.table import Table, quantile, rendered, spread
from bench.viewers import Frames

RUN = Run(**{field.name: 1 for field in attrs.fields(Run)})


class FramesTests(SynchronousTestCase):
    def test_frames_of_every_length_arrive_however_they_are_cut(self) -> None:
        bodies = [b"x" * length for length in (0, 1, 125, 126, 65535, 65536)]
        data = b"".join(websocket_frame(Message("changes", None, body)) for body in bodies)
        for step in (1, 2, 3, 1000, len(data)):
            frames = Frames()
            found = [frame for at in range(0, len(data), step) for frame in frames.feed(data[at : at + step])]
            self.assertEqual([payload for _, payload in found], bodies)
            self.assertEqual({opcode for opcode, _ in found}, {1})

    def test_an_incomplete_frame_waits_for_the_rest(self) -> None:
        frames = Frames()
        self.assertEqual(frames.feed(b"\x81\x03ab"), [])
        self.assertEqual(frames.feed(b"c"), [(1, b"abc")])


def parsed(text: str) -> document:
    """The document; an exception when anything is wrong with it."""
    return publish_doctree(text, settings_overrides={"halt_level": 2, "report_level": 2})


def cells(tree: document, number: int) -> list[list[str]]:
    """The rows of a table of the document, its head first."""
    found = list(tree.findall(table))[number]
    return [[cell.astext() for cell in line.findall(entry)] for line in found.findall(row)]


class FiguresTests(SynchronousTestCase):
    def test_quantiles_are_values_that_occurred(self) -> None:
        values = [float(number) for number in range(1, 102)]
        self.assertEqual(
            [quantile(values, share) for share in (0.0, 0.5, 0.99, 1.0)], [1.0, 51.0, 100.0, 101.0]
        )
        self.assertEqual(quantile([7.0], 0.99), 7.0)

    def test_the_median_stands_before_the_least_and_the_most(self) -> None:
        self.assertEqual(spread([3000.0, 1000.0, 2000.0], 0), "2,000 (1,000 - 3,000)")

    def test_a_table_is_valid_restructuredtext(self) -> None:
        text = rendered(
            Table("Title", "What was done.", ("store", "p99 ms"), [["embedded, SQLite", "4"], ["b", "5"]])
        )
        self.assertEqual(cells(parsed(text), 0), [["store", "p99 ms"], ["embedded, SQLite", "4"], ["b", "5"]])


class TurnTests(SynchronousTestCase):
    def test_all_take_turns_and_a_run_that_fails_is_made_once_more(self) -> None:
        made: list[str] = []

        def run(name: str) -> Run:
            made.append(name)
            if made == ["a", "b"]:
                raise RunFailed("a port was taken")
            return RUN

        self.assertEqual(in_turn(Plan(2), {"a": "a", "b": "b"}, run), {"a": [RUN] * 2, "b": [RUN] * 2})
        self.assertEqual(made, ["a", "b", "b", "a", "b"])


class PlanTests(SynchronousTestCase):
    def test_those_who_take_part_keep_their_order(self) -> None:
        contenders = {"afeed": 1, "nchan": 2, "c": 3}
        self.assertEqual(list(Plan().among(contenders)), ["afeed", "nchan", "c"])
        self.assertEqual(list(Plan(names=frozenset({"c", "afeed"})).among(contenders)), ["afeed", "c"])


def everything(**changed: float) -> dict[str, dict[str, dict[str, float]]]:
    """Results with every figure that an aim or a ratio asks for, 1 each; ``steady_afeed_cpu_us=2`` sets one."""
    results: dict[str, dict[str, dict[str, float]]] = {}
    while True:
        try:
            for formula in [
                *(aim.formula for aim in AIMS),
                *(aim.limit for aim in AIMS),
                *(ratio.formula for ratio in RATIOS.values()),
            ]:
                formula(results)
            break
        except NotMeasured as missing:
            measurement, row, quantity = str(missing.args[0]).split(".")
            value = changed.pop(f"{measurement}_{row}_{quantity}", 1.0)
            results.setdefault(measurement, {}).setdefault(row, {})[quantity] = value
    assert not changed, f"nothing asks for {changed}"
    return results


class AimsTests(SynchronousTestCase):
    def verdict(self, text: str, results: Results) -> str:
        [aim] = [aim for aim in AIMS if aim.text.startswith(text)]
        return aim.reached(results)

    def test_less_is_better_of_what_costs(self) -> None:
        verdicts = {
            cost: self.verdict("10,000 WebSocket clients", everything(steady_afeed_cpu_us=cost))
            for cost in (0.87, 0.88, 1.0, 1.2)
        }
        self.assertEqual(verdicts, {0.87: "good", 0.88: "must", 1.0: "must", 1.2: "no: 20 % above"})

    def test_more_is_better_of_what_is_done_in_a_second(self) -> None:
        verdicts = {
            rate: self.verdict("new WebSocket clients", everything(connects_afeed_connects=rate))
            for rate in (12_000, 5_000, 4_000)
        }
        self.assertEqual(verdicts, {12_000: "good", 5_000: "must", 4_000: "no: 20 % below"})

    def test_a_disk_that_is_slower_than_ten_milliseconds_is_allowed_for(self) -> None:
        verdicts = {
            (latency, disk): self.verdict(
                "latency at rest", everything(rest_embedded_p99_ms=latency, rest_embedded_sync_p99_ms=disk)
            )
            for latency, disk in ((10, 1), (11, 1), (13, 11), (14, 11))
        }
        self.assertEqual(
            verdicts,
            {(10, 1): "must", (11, 1): "no: 10 % above", (13, 11): "must", (14, 11): "no: 8 % above"},
        )

    def test_growth_is_told_by_that_of_the_send_loop(self) -> None:
        results = everything(growth_afeed_factor=3.0, growth_c_factor=2.0)
        self.assertEqual(ratios(results)["growth cpu"], 1.5)

    def test_what_was_not_measured_is_said_and_compared_with_nothing(self) -> None:
        self.assertEqual({line[-1] for line in goals({}).rows}, {"not measured"})
        self.assertEqual(ratios({}), {})
        self.assertRaises(NotMeasured, figure, {"steady": {}}, "steady.afeed.cpu_us")


class ComparisonTests(SynchronousTestCase):
    def compared(self, name: str, now: float, published: float) -> Compared:
        [found] = compare({name: now}, {name: published})
        return found

    def test_a_cost_alarms_when_it_is_more_than_a_quarter_higher(self) -> None:
        self.assertEqual(
            [self.compared("steady cpu", now, 0.8).alarming for now in (0.4, 0.8, 0.99, 1.01)],
            [False, False, False, True],
        )

    def test_a_rate_alarms_when_it_is_more_than_a_quarter_lower(self) -> None:
        self.assertEqual(
            [self.compared("connects rate", now, 0.8).alarming for now in (1.6, 0.8, 0.61, 0.59)],
            [False, False, False, True],
        )

    def test_a_ratio_that_was_never_published_is_no_alarm(self) -> None:
        [found] = compare({"steady cpu": 9.0}, {})
        self.assertFalse(found.alarming)
        self.assertIn("9.00", report([found]))

    def test_what_seems_much_worse_is_measured_once_more(self) -> None:
        made: list[str] = []
        costs = iter([0.5, 0.1])

        def measure(name: str, plan: Plan) -> Table:
            made.append(name)
            results = everything(burst_afeed_cpu_us=next(costs) if name == "burst" else 1.0)
            return Table(name, "", (), (), results.get(name, {}))

        measures = {name: partial(measure, name) for name in PARTS}
        said: list[str] = []
        status = quick(measures, {"burst cpu": 0.1, "sse cpu": 1.0}, said.append)
        self.assertEqual(made, [*PARTS, "burst"])
        self.assertEqual(status, 0)
        self.assertIn("once more: burst ...", said)
        costs = iter([0.5, 0.4])
        self.assertEqual(quick(measures, {"burst cpu": 0.1}, said.append), 1)

    def test_an_alarm_is_loud_and_names_the_ratio(self) -> None:
        loud = report([self.compared("burst cpu", 0.3, 0.1), self.compared("sse cpu", 1.0, 1.0)])
        self.assertIn("!" * 100, loud)
        [alarm] = [line for line in loud.splitlines() if line.startswith("!!! MUCH WORSE")]
        self.assertIn(RATIOS["burst cpu"].text, alarm)
        self.assertIn("200 % worse", alarm)
        self.assertNotIn("!", report([self.compared("sse cpu", 1.2, 1.0)]))

    def test_of_two_measurements_the_better_one_counts(self) -> None:
        first = [self.compared("burst cpu", 0.3, 0.1), self.compared("connects rate", 0.5, 0.5)]
        second = [self.compared("burst cpu", 0.1, 0.1), self.compared("connects rate", 0.1, 0.5)]
        self.assertEqual([one.now for one in better(first, second)], [0.1, 0.5])


class PaperTests(SynchronousTestCase):
    measured: ClassVar[dict[str, dict[str, dict[str, float]]]] = {
        "steady": {"afeed": {"cpu_us": 7.0}, "message": {"bytes": 606.0}},
        "nodes": {"one-nginx": {"beside_us": 14.0}},
        "connects": {"afeed": {"idle_kb": 2.0, "connects": 10_000.0}},
        "herd": {"afeed": {"cpu_us": 0.4}},
        "pages": {"afeed": {"rate": 40_000.0}},
    }

    def column(self, rate: float) -> dict[str, str]:
        return dict(zip([what for what, _ in ROWS], needed(self.measured, rate), strict=True))

    def test_with_few_items_connections_count(self) -> None:
        found = self.column(1)
        self.assertEqual(found["cores that deliver"], "7")
        self.assertEqual(found["nodes, one core each, 70% busy"], "20")
        self.assertEqual(found["bandwidth to viewers"], "5.6 Gbit/s")
        self.assertEqual(found["everybody connects at once"], "5.0 s")

    def test_with_many_items_deliveries_count(self) -> None:
        found = self.column(10)
        self.assertEqual(found["nodes, one core each, 70% busy"], "100")
        self.assertEqual(found["bandwidth to viewers"], "56.0 Gbit/s")
        self.assertEqual(found["hints and reads at Redis"], "2,000 /s")
        self.assertEqual(found["cores of nginx, where all goes through it"], "140")

    def test_nothing_is_made_up_where_something_was_not_measured(self) -> None:
        self.assertEqual(len(paper(self.measured)), 1)
        self.assertEqual(paper({**self.measured, "herd": {}}), [])


class PublishedTests(SynchronousTestCase):
    def test_the_page_begins_with_the_goals_and_the_file_has_the_same_figures(self) -> None:
        results = everything(steady_afeed_cpu_us=0.5)
        tables = {
            name: Table(f"About {name}", "What was done.", ("server", "CPU"), [["afeed", "1"]], figures)
            for name, figures in results.items()
        }
        began = datetime(2026, 11, 21, 21, 15, tzinfo=UTC)
        tree = parsed(page(tables, {"kernel": "Linux 6"}, "python -m bench", began))
        head, first, *_ = cells(tree, 0)
        self.assertEqual(head, ["measure", "must", "good", "measured", "reached"])
        self.assertEqual(first[1:], ["<= 1.00", "<= 0.87", "0.50", "good"])
        told = json.loads(file(tables, {"kernel": "Linux 6"}, "python -m bench", began))
        self.assertEqual(told["ratios"]["steady cpu"], 0.5)
        self.assertEqual(told["figures"], results)
        self.assertEqual((told["date"], told["kernel"]), ("2026-11-21T21:15:00Z", "Linux 6"))

    def test_what_is_published_are_the_ratios_that_are_measured(self) -> None:
        self.assertIn(set(published()), [set(RATIOS), set()])


class GeneratorTests(SynchronousTestCase):
    """The generator against real servers, with a few clients."""

    def test_every_client_of_the_send_loop_gets_every_item(self) -> None:
        contender = SendLoop()
        with started(contender) as target:
            run = measure(contender, target, "ws", clients=3, items=20, flight=1)
        self.assertEqual((run.clients, run.deliveries), (3, 60))
        self.assertGreater(run.cpu_us, 0)
        self.assertEqual(contender.servers, [])

    def test_the_disk_is_asked_once_in_every_rest(self) -> None:
        contender = Afeed()
        with started(contender) as target:
            sync = Path(self.mktemp())
            run = measure(contender, target, "ws", clients=1, items=5, flight=1, pause=2, sync=sync)
        self.assertEqual(run.deliveries, 5)
        self.assertEqual(sync.stat().st_size, 5 * 4096)
        self.assertGreaterEqual(run.sync_p99_ms, run.sync_p50_ms)

    def test_items_out_of_order_fail_the_run(self) -> None:
        contender = Afeed()
        with started(contender) as target, loaded(target, "ws", clients=2, expect=2, seconds=60) as load:
            load.go()
            for number in (2, 1):
                contender.server.push({"id": f"{number:019}", "text": "hello"})
            result = load.result()
            self.assertRaisesRegex(RunFailed, "2 errors, the first: .* came after", load.finish, result)

    def test_a_server_that_is_not_there_is_named(self) -> None:
        contender = SendLoop()
        with started(contender) as target:
            contender.servers[0].kill()
            self.assertRaisesRegex(
                RunFailed, "could not connect: load: connect: ", loaded(target, "ws").__enter__
            )
