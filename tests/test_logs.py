"""One event, one line, whatever is in it."""

from __future__ import annotations

import io
import json
from typing import Any

from twisted.logger import Logger, LogLevel, LogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from afeed.logs import observer

HOSTILE = "\x1b[2J\r\n[fake] line\x00\x07\x9b2J\x85\u2028\u202eevil\x7f"


def a_failure(message: str = "broken") -> Failure:
    try:
        raise ValueError(message)
    except ValueError:
        return Failure()


class LogsCase(SynchronousTestCase):
    readable = False

    def setUp(self) -> None:
        self.stream = io.StringIO()
        self.publisher = LogPublisher(observer(self.stream, self.readable))
        self.log = Logger("afeed.sources.x", observer=self.publisher)

    def emit(self, format: str, **fields: Any) -> None:
        level = fields.pop("level", LogLevel.info)
        if "log_time" in fields:
            self.publisher(dict(fields, log_format=format, log_level=level, log_namespace="afeed.sources.x"))
        else:
            self.log.emit(level, format, **fields)

    @property
    def lines(self) -> list[str]:
        return self.stream.getvalue().split("\n")[:-1]


class StructuredTests(LogsCase):
    def entry(self) -> dict[str, Any]:
        (line,) = self.lines
        self.assertEqual(line.splitlines(), [line])
        return json.loads(line)

    def test_an_event_with_its_fields(self) -> None:
        self.emit(
            "took {count} of {event}", count=3, event="e", log_time=1_795_280_406.12, timeout=2.5, flag=True
        )
        self.assertEqual(
            self.entry(),
            {
                "time": "2026-11-21T17:00:06.120Z",
                "level": "info",
                "system": "afeed.sources.x",
                "message": "took 3 of e",
                "count": 3,
                "event": "e",
                "timeout": 2.5,
                "flag": True,
            },
        )

    def test_control_characters_move_nothing_and_begin_no_line(self) -> None:
        self.emit("{text}", text=HOSTILE)
        (line,) = self.lines
        self.assertTrue(line.isprintable(), line)
        self.assertEqual(self.entry()["message"], HOSTILE)

    def test_what_is_said_cannot_be_overwritten_by_a_field(self) -> None:
        self.emit("true", message="false", time=0, level_name="x", system="fake")
        entry = self.entry()
        self.assertEqual((entry["message"], entry["system"]), ("true", "afeed.sources.x"))
        self.assertNotEqual(entry["time"], 0)

    def test_values_that_json_has_no_room_for(self) -> None:
        self.emit("{half}", half="\ud83d", huge=2**70, odd=float("nan"), thing=object())
        entry = self.entry()
        self.assertEqual((entry["message"], entry["huge"], entry["odd"]), ("\\ud83d", str(2**70), None))
        self.assertNotIn("thing", entry)

    def test_a_traceback_is_part_of_its_line(self) -> None:
        self.log.failure("it broke: {why}", a_failure("line one\nline two"), why="x")
        entry = self.entry()
        self.assertEqual((entry["level"], entry["message"]), ("critical", "it broke: x"))
        self.assertIn("ValueError: line one\nline two", entry["traceback"])

    def test_an_event_that_cannot_be_formatted_is_still_one_line(self) -> None:
        self.emit("{missing}")
        self.assertIn("missing", self.entry()["message"])

    def test_nothing_below_info(self) -> None:
        self.emit("hush", level=LogLevel.debug)
        self.assertEqual(self.lines, [])


class ReadableTests(LogsCase):
    readable = True

    def test_time_level_system_message(self) -> None:
        self.emit("took {count}", count=3, level=LogLevel.warn, log_time=1_795_280_406.12)
        self.assertEqual(self.lines, ["17:00:06 warn     sources.x: took 3"])

    def test_control_characters_are_spelt_out(self) -> None:
        self.emit("{text}", text=HOSTILE)
        (line,) = self.lines
        self.assertTrue(line.isprintable())
        self.assertIn("\\u001b[2J\\u000d\\u000a[fake] line", line)

    def test_a_traceback_is_indented_below_its_event(self) -> None:
        self.log.failure("it broke", a_failure("\x1b[2J"))
        first, *rest = self.lines
        self.assertTrue(first.endswith("it broke"))
        self.assertTrue(all(line.startswith("    | ") and line.isprintable() for line in rest))
        self.assertIn("    | builtins.ValueError: \\u001b[2J", rest)


class StreamTests(SynchronousTestCase):
    def test_a_terminal_that_knows_few_characters_does_not_stop_the_log(self) -> None:
        for readable in (True, False):
            raw = io.BytesIO()
            stream = io.TextIOWrapper(raw, encoding="ascii", errors="strict")
            log = Logger("x", observer=LogPublisher(observer(stream, readable)))
            log.info("{text}", text="caf\u00e9 \U0001f680 \ud83d")
            stream.flush()
            self.assertIn(b"caf\\xe9 \\U0001f680", raw.getvalue())

    def test_every_event_is_flushed(self) -> None:
        raw = io.BytesIO()
        stream = io.TextIOWrapper(io.BufferedWriter(raw, 1 << 20), encoding="utf-8")  # type: ignore[arg-type]
        Logger("x", observer=LogPublisher(observer(stream, True))).info("now")
        self.assertIn(b"now", raw.getvalue())
