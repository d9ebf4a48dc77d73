"""What organisers did, through ``afeed backup`` and ``afeed restore``."""

from __future__ import annotations

from tests.command.support import CommandTestCase
from tests.servers.afeed import AfeedServer
from tests.servers.process import wait_until
from tests.test_organisers import ACCOUNT, HASH, PASSWORD, Organiser, texts

TROLL = {"name": "Troll", "handle": "troll"}


class OrganisersTests(CommandTestCase):
    def worked(self, kind: str) -> AfeedServer:
        """A node at which ann has hidden one post and blocked an author, and which was stopped."""
        server = self.stocked(kind, extra=ACCOUNT)
        server.start()
        ann = Organiser()
        self.assertEqual(ann.sign_in(server), 303)
        server.push(
            {"id": "1", "text": "rude"}, {"id": "2", "text": "fine"}, {"id": "3", "text": "x", "author": TROLL}
        )
        self.assertEqual(ann.press(server, "hide", subject="push:1", seq="1"), 303)
        self.assertEqual(ann.press(server, "block", subject="push:3", seq="3"), 303)
        wait_until(lambda: texts(server) == ["2"], "what was hidden to go")
        self.addCleanup(server.close)
        return server

    def move(self, kind: str, other: str) -> None:
        source = self.worked(kind)
        told = self.backup(source)
        source.stop()
        self.assertEqual(told["rows"], {"hidden_items": 2, "blocked_authors": 1, "organiser_actions": 2})
        # Neither who is signed in nor any secret is in it.
        written = str(self.lines())
        for secret in (PASSWORD, HASH, "organiser_sessions", "sign_in_attempts"):
            self.assertNotIn(secret, written)

        target = self.stocked(other, extra=ACCOUNT)
        self.assertEqual(self.restore(target)["rows"], told["rows"])
        target.start()
        wait_until(lambda: texts(target) == ["2"], "what was hidden to be hidden again")
        ann = Organiser()
        self.assertFalse(ann.is_known(target))
        ann.sign_in(target)
        hidden = ann.ask(target, f"/admin/events/{target.slug}/hidden")[1]
        for shown in ("rude", "Troll (@troll)"):
            self.assertIn(shown, hidden)
        trail = ann.ask(target, "/admin/trail")[1]
        self.assertLess(trail.index("blocked <bdi>"), trail.index("hid <bdi>"))
        # Who is blocked stays out, and what was hidden can be restored.
        (result,) = target.push({"id": "4", "text": "again", "author": TROLL})
        self.assertEqual(result, {"id": "push:4", "seq": 0, "new": False})
        self.assertEqual(ann.press(target, "restore", subject="push:1"), 303)
        wait_until(lambda: texts(target) == ["1", "2"], "what was restored to come")

    def test_from_files_to_servers(self) -> None:
        self.move("files", "servers")

    def test_from_servers_to_files(self) -> None:
        self.move("servers", "files")

    def test_what_is_hidden_when_the_log_was_copied_already_is_hidden_again(self) -> None:
        """As if it had been hidden between the two: the rows of a later backup behind the changes of an earlier
        one."""
        source = self.stocked("files", extra=ACCOUNT)
        source.start()
        source.push({"id": "1", "text": "rude"}, {"id": "2", "text": "fine"})
        self.backup(source)
        early = self.out.read_bytes()
        ann = Organiser()
        ann.sign_in(source)
        self.assertEqual(ann.press(source, "hide", subject="push:1", seq="1"), 303)
        self.backup(source, "--force")
        self.out.write_bytes(self.with_rows_of(early, self.out.read_bytes()))
        source.stop()
        target = self.stocked("files", extra=ACCOUNT)
        self.restore(target)
        target.start()
        wait_until(lambda: texts(target) == ["2"], "what was hidden to be hidden again")
        types = [change["type"] for change in target.changes()]
        self.assertEqual(types, ["redacted", "item.posted", "item.removed"])

    @staticmethod
    def with_rows_of(early: bytes, late: bytes) -> bytes:
        import gzip
        import json
        from hashlib import sha256

        lines = gzip.decompress(early).splitlines(keepends=True)[:-1]
        rows = [
            line for line in gzip.decompress(late).splitlines(keepends=True) if line.startswith(b'{"table"')
        ]
        closing = json.loads(gzip.decompress(early).splitlines()[-1])
        for row in rows:
            name = json.loads(row)["table"]
            closing["rows"][name] = closing["rows"].get(name, 0) + 1
        body = b"".join([*lines, *rows])
        closing["sha256"] = sha256(body).hexdigest()
        return gzip.compress(body + json.dumps(closing, separators=(",", ":")).encode() + b"\n")

    def test_organisers_who_have_worked_already_are_in_the_way(self) -> None:
        source = self.worked("files")
        self.backup(source)
        source.stop()
        target = self.stocked("files", extra=ACCOUNT)
        target.start()
        target.stop()
        self.insert(target)
        said = self.refuse("restore", "--config", target.config_path, self.out)
        self.assertIn("organisers have worked with the archive", said)
        self.assertIn("1 rows in blocked_authors", said)

    @staticmethod
    def insert(server: AfeedServer) -> None:
        import sqlite3
        from contextlib import closing

        path = server.directory / "var" / "archive.sqlite3"
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(
                "INSERT INTO blocked_authors VALUES ('other', 'x:@a', 'A', '2026-11-22T12:00:00.000Z')"
            )
            connection.commit()
