"""Organisers and a real process: everything is where it belongs, also after a restart and at another node."""

from __future__ import annotations

import http.client
import re
import sqlite3
from contextlib import closing
from urllib.parse import urlencode

from twisted.trial.unittest import TestCase

from afeed.organisers.passwords import hashed
from tests.servers.afeed import AfeedServer
from tests.servers.cluster import Cluster, check
from tests.servers.process import wait_until

PASSWORD = "canary-four-gulls-Qz81"
HASH = hashed(PASSWORD)
ACCOUNT = f'[[admin.users]]\nname = "ann"\npassword_hash = "{HASH}"\n'
_TOKEN = re.compile(r'name="token" value="([0-9a-f]+)"')


class Organiser:
    """A browser of an organiser's, which may talk to any node."""

    def __init__(self) -> None:
        self.cookie = ""

    def ask(self, server: AfeedServer, path: str, fields: dict[str, str] | None = None) -> tuple[int, str]:
        """The status and body of a page, or of what a form is answered with."""
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        headers = {"Cookie": self.cookie} if self.cookie else {}
        with closing(connection):
            if fields is None:
                connection.request("GET", path, headers=headers)
            else:
                headers |= {"Origin": server.url, "Content-Type": "application/x-www-form-urlencoded"}
                connection.request("POST", path, urlencode(fields), headers)
            answer = connection.getresponse()
            cookie = answer.getheader("Set-Cookie")
            if cookie:
                self.cookie = cookie.partition(";")[0]
            return answer.status, answer.read().decode()

    def sign_in(self, server: AfeedServer, password: str = PASSWORD) -> int:
        return self.ask(server, "/admin/sign-in", {"name": "ann", "password": password})[0]

    def is_known(self, server: AfeedServer) -> bool:
        return "Sign out" in self.ask(server, "/admin")[1]

    def press(self, server: AfeedServer, act: str, **fields: str) -> int:
        token = _TOKEN.search(self.ask(server, "/admin")[1])
        assert token is not None, "nobody is signed in"
        return self.ask(server, f"/admin/events/{server.slug}/{act}", {**fields, "token": token[1]})[0]


def wait_for_archive(server: AfeedServer) -> None:
    """A node that is ready does without its database if that takes its time: return when it is there."""
    wait_until(lambda: check(server, "archive")["state"] == "ok", "the database")


def texts(server: AfeedServer) -> list[str]:
    """What the event has to say, newest first."""
    status, _, body = server.request(f"/{server.slug}")
    assert status == 200
    return re.findall(r'id="item-push:(\w+)"', body.decode())


class ProcessTests(TestCase):
    """One node, as most run it."""

    timeout = 300

    def setUp(self) -> None:
        self.server = AfeedServer(extra=ACCOUNT)
        self.addCleanup(self.server.close)
        self.server.start()
        wait_for_archive(self.server)
        self.ann = Organiser()

    def kept(self) -> str:
        """Everything in the database, as text."""
        with closing(sqlite3.connect(self.server.directory / "var" / "archive.sqlite3")) as connection:
            # The index of words cannot be read row by row; what is indexed is in the other tables.
            named = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'search%'"
            tables = [name for (name,) in connection.execute(named)]
            rows = [row for table in tables for row in connection.execute(f"SELECT * FROM {table}")]
            return "\n".join([*tables, *map(repr, rows)])

    def test_a_session_and_what_is_hidden_outlive_a_restart(self) -> None:
        self.server.push({"id": "1", "text": "rude"}, {"id": "2", "text": "fine"})
        self.assertEqual(self.ann.sign_in(self.server, "canary-wrong-Xk22"), 403)
        self.assertFalse(self.ann.is_known(self.server))
        self.assertEqual(self.ann.sign_in(self.server), 303)
        self.assertEqual(self.ann.press(self.server, "hide", subject="push:1", seq="1"), 303)
        types = [change["type"] for change in self.server.changes()]
        self.assertEqual(types, ["redacted", "item.posted", "item.removed"])
        self.server.kill()
        self.server.start()
        wait_for_archive(self.server)
        self.assertTrue(self.ann.is_known(self.server))
        self.assertEqual(texts(self.server), ["2"])
        self.assertEqual(self.ann.press(self.server, "restore", subject="push:1"), 303)
        self.assertEqual(texts(self.server), ["1", "2"])
        self.assertEqual(self.server.changes()[-1]["item"]["text"], "rude")
        wait_until(lambda: "restored:" in self.kept(), "the archive to follow")
        self.server.restart()
        self.assertEqual(texts(self.server), ["1", "2"])

    def test_a_blocked_author_stays_so_over_a_restart(self) -> None:
        troll = {"name": "Troll", "handle": "troll"}
        self.server.push({"id": "1", "text": "one", "author": troll}, {"id": "2", "text": "two"})
        self.ann.sign_in(self.server)
        self.assertEqual(self.ann.press(self.server, "block", subject="push:1", seq="1"), 303)
        self.server.restart()
        wait_for_archive(self.server)
        self.assertTrue(self.ann.is_known(self.server))

        def turned_away() -> bool:
            (result,) = self.server.push({"id": "3", "text": "three", "author": troll})
            return result == {"id": "push:3", "seq": 0, "new": False}

        wait_until(turned_away, "the node to know who is blocked")
        self.assertEqual(texts(self.server), ["2"])
        self.assertEqual(self.ann.press(self.server, "unblock", subject="push:@troll"), 303)
        self.assertEqual(texts(self.server)[0], "1")
        self.assertTrue(self.server.push({"id": "4", "text": "four", "author": troll})[0]["new"])

    def test_no_secret_is_in_any_log_page_or_table(self) -> None:
        self.server.push({"id": "1", "text": "rude"})
        self.ann.sign_in(self.server, "canary-wrong-Xk22")
        self.ann.sign_in(self.server)
        self.ann.press(self.server, "hide", subject="push:1", seq="1")
        cookie = self.ann.cookie.partition("=")[2]
        pages = [self.ann.ask(self.server, path)[1] for path in ("/admin", "/admin/trail", "/admin/nothing")]
        pages += [self.server.request(path)[2].decode() for path in ("/healthz", "/metrics", "/readyz")]
        self.server.stop()
        shown = "\n".join([*pages, self.server.output(), self.kept()])
        self.assertIn("ann signed in from 127.0.0.1", shown)
        for secret in (PASSWORD, "canary-wrong-Xk22", HASH.rpartition("$")[2], cookie):
            self.assertNotIn(secret, shown)

    def test_without_accounts_there_is_no_such_page(self) -> None:
        server = AfeedServer()
        self.addCleanup(server.close)
        server.start()
        self.assertEqual(server.request("/admin")[0], 404)


class SeveralNodesTests(TestCase):
    """Nodes that share a Redis and a PostgreSQL."""

    timeout = 180

    def test_what_is_done_at_one_node_is_done_at_all(self) -> None:
        cluster = Cluster(2)
        self.addCleanup(cluster.close)
        for node in cluster.nodes:
            text = node.config_path.read_text("utf-8")
            node.config_path.write_text(text + ACCOUNT, "utf-8")
        cluster.start()
        one, other = cluster.nodes
        for node in cluster.nodes:
            wait_for_archive(node)
        ann = Organiser()
        one.push({"id": "1", "text": "rude"}, {"id": "2", "text": "fine"})
        self.assertEqual(ann.sign_in(one), 303)
        self.assertTrue(ann.is_known(other))
        wait_until(lambda: texts(other) == ["2", "1"], "the posts at the other node")
        self.assertEqual(ann.press(other, "hide", subject="push:1", seq="1"), 303)
        wait_until(lambda: texts(one) == ["2"], "the removal at the first node")
        self.assertEqual(ann.press(one, "restore", subject="push:1"), 303)
        for node in cluster.nodes:
            wait_until(lambda node=node: texts(node) == ["1", "2"], "the post to be back")  # type: ignore[misc]
        for attempt in range(6):
            stranger = Organiser()
            status = stranger.sign_in(cluster.nodes[attempt % 2], "canary-wrong-Xk22")
            self.assertEqual(status, 403 if attempt < 5 else 429)
        self.assertTrue(ann.is_known(one))
