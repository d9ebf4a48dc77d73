"""A real afeed with a schedule: posts come in under their talks, moved talks are told of, and what organisers
decide stays."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from tests.servers.afeed import PROJECT, AfeedServer
from tests.servers.process import wait_until
from tests.servers.redis import Redis

SCHEDULE = """\
timezone = "UTC"

[[talks]]
id = "lamps"
title = "Lighthouses and their keepers"
start = {start:%Y-%m-%dT%H:%M:00}
minutes = 60
room = "Main"
speakers = ["Ada Quill"]

[[talks]]
id = "boats"
title = "Folding paper boats"
start = {boats:%Y-%m-%dT%H:%M:00}
minutes = 60
room = "Side"
"""


def programme(start: datetime, hours: int = 0) -> str:
    """Two talks from ``start`` on, or the boats some hours later."""
    return SCHEDULE.format(start=start, boats=start + timedelta(hours=hours))


class FilingTests(TestCase):
    timeout = 240

    def setUp(self) -> None:
        # Both have just begun, however long other tests took before this one.
        self.start = datetime.now(UTC) - timedelta(minutes=10)

    def server(self, folder: Path, **options: Any) -> AfeedServer:
        extra = f"[events.schedule]\nfile = {json.dumps(str(folder / 'schedule.toml'))}\ninterval_s = 10\n"
        made = AfeedServer(extra=extra, **options)
        self.addCleanup(made.close)
        return made

    def folder(self) -> Path:
        folder = Path(self.mktemp()).absolute()
        folder.mkdir(parents=True)
        self.put(folder, programme(self.start))
        return folder

    def put(self, folder: Path, text: str) -> None:
        """Have this schedule, from one moment to the next: it is read at any time."""
        (folder / "new.toml").write_text(text, "utf-8")
        (folder / "new.toml").replace(folder / "schedule.toml")

    def kinds(self, server: AfeedServer, kind: str) -> list[dict[str, Any]]:
        return [change for change in server.changes() if change["type"] == kind]

    def post(self, server: AfeedServer, id: str, text: str, **more: Any) -> None:
        server.push({"id": id, "text": text, "author": {"name": id, "handle": f"a-{id}"}, **more})

    def schedule_is_used(self, server: AfeedServer) -> None:
        def used() -> bool:
            _, _, body = server.request("/healthz")
            checks = json.loads(body)["checks"]
            return bool(checks[f"schedule:{server.slug}"]["data"]["talks"])

        wait_until(used, "the schedule to be used")

    def talk_in_the_archive(self, server: AfeedServer, item_id: str) -> str | None:
        with closing(sqlite3.connect(server.directory / "var" / "archive.sqlite3")) as connection:
            found = connection.execute("SELECT talk FROM items WHERE item_id = ?", (item_id,)).fetchone()
            return found[0] if found is not None else None

    def test_posts_come_in_under_their_talks_and_a_moved_talk_is_told_and_files_all_again(self) -> None:
        folder = self.folder()
        server = self.server(folder)
        server.start()
        self.schedule_is_used(server)
        self.post(server, "1", "What a talk on lighthouses, their keepers are heroes")
        self.post(server, "2", "And the reply", reply_to="push:1")
        self.post(server, "3", "just some coffee")
        items = {change["item"]["id"]: change["item"]["talk"] for change in self.kinds(server, "item.posted")}
        self.assertEqual(items, {"push:1": "lamps", "push:2": "lamps", "push:3": None})
        # Until the boats move, the time says nothing; then the lighthouses are alone.
        self.post(server, "4", "so interesting, and the room is full")
        self.put(folder, programme(self.start, 3))
        wait_until(lambda: self.kinds(server, "schedule.changed"), "the move to be told")
        (told,) = self.kinds(server, "schedule.changed")
        self.assertEqual([(one["id"], one["kinds"]) for one in told["talks"]], [("boats", ["moved"])])
        wait_until(lambda: self.kinds(server, "item.filed"), "everything to be filed again")
        filed = {change["id"]: change["talk"] for change in self.kinds(server, "item.filed")}
        self.assertEqual(filed, {"push:4": "lamps"})
        wait_until(lambda: self.talk_in_the_archive(server, "push:4") == "lamps", "the archive to know")
        # What is under way survives a kill, and nothing is said twice.
        server.kill()
        server.start()
        self.schedule_is_used(server)
        server.push({"id": "9", "text": "later"})
        self.assertEqual(len(self.kinds(server, "schedule.changed")), 1)
        self.assertEqual(len(self.kinds(server, "item.filed")), 1)

    def test_a_schedule_that_cannot_be_used_leaves_the_old_one_whole_and_health_says_so(self) -> None:
        folder = self.folder()
        server = self.server(folder)
        server.start()
        self.schedule_is_used(server)
        self.put(folder, "talks = 3")

        def told() -> bool:
            _, _, body = server.request("/healthz")
            checks = json.loads(body)["checks"]
            check = checks[f"schedule:{server.slug}"]
            return check["state"] == "degraded" and check["data"]["talks"] == 2

        wait_until(told, "health to tell of it")
        self.post(server, "1", "What a talk on lighthouses, their keepers are heroes")
        self.assertEqual(self.kinds(server, "item.posted")[0]["item"]["talk"], "lamps")

    def test_of_several_nodes_each_has_the_schedule_and_one_tells_of_it(self) -> None:
        redis = Redis()
        self.addCleanup(redis.close)
        redis.start()
        folder = self.folder()
        archive = f"sqlite:///{folder / 'archive.sqlite3'}"
        nodes = [self.server(folder, live_log=redis.url, archive=archive) for _ in range(3)]
        for node in nodes:
            node.start()
        for number, node in enumerate(nodes):
            self.schedule_is_used(node)
            self.post(node, str(number), "What a talk on lighthouses, their keepers are heroes")

        # What one node took the others hear of through Redis, a moment after the push is answered.
        def posted() -> list[dict[str, Any]]:
            return self.kinds(nodes[0], "item.posted")

        wait_until(lambda: len(posted()) == 3, "all posts to reach the first node")
        self.assertEqual([change["item"]["talk"] for change in posted()], ["lamps"] * 3)
        self.put(folder, programme(self.start, 3))
        wait_until(lambda: self.kinds(nodes[0], "schedule.changed"), "the move to be told")
        # However often the others look, and whoever leads next.
        nodes[0].stop()
        for node in nodes[1:]:
            self.schedule_is_used(node)
        wait_until(lambda: any("runs the sources" in node.output() for node in nodes[1:]), "another to lead")
        self.post(nodes[1], "last", "later")
        # Who shows this has all that came before it.
        self.assertEqual(len(self.kinds(nodes[1], "schedule.changed")), 1)

    def test_refiling_is_asked_for_from_the_command_line_and_followed(self) -> None:
        server = self.server(self.folder())
        server.start()
        self.schedule_is_used(server)
        self.post(server, "1", "What a talk on lighthouses, their keepers are heroes")
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "afeed.command",
                "refile",
                server.slug,
                "--json",
                "-c",
                str(server.config_path),
            ],
            env={**os.environ, "PYTHONPATH": str(PROJECT), "AFEED_PUSH_TOKEN": "x"},
            capture_output=True,
            timeout=60,
            check=False,
        )
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        found = json.loads(done.stdout)
        self.assertEqual((found["seen"], found["changed"]), (1, 0))
