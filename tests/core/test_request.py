"""What a request head has to be like."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.http import Header
from afeed.core.request import MAX_HEAD, Refused, Target, check_body, raw_head, read_target

HOST: Header = (b"host", b"a.example")


class TargetTests(SynchronousTestCase):
    def status(self, method: bytes, version: bytes, url: bytes, *headers: Header) -> int:
        return self.assertRaises(Refused, read_target, method, version, url, list(headers)).status

    def test_a_path_with_and_without_a_query(self) -> None:
        found = read_target(b"GET", b"1.1", b"/a/b?c=d?e#f", [HOST])
        self.assertEqual(found, Target(b"a.example", b"/a/b", b"c=d?e"))
        self.assertEqual(read_target(b"HEAD", b"1.0", b"/", []), Target(b"", b"/", b""))

    def test_the_authority_of_an_absolute_target_wins(self) -> None:
        found = read_target(b"GET", b"1.1", b"HTTPS://b.example:81/c?d", [HOST])
        self.assertEqual(found, Target(b"b.example:81", b"/c", b"d"))
        self.assertEqual(read_target(b"GET", b"1.1", b"http://b.example", [HOST]).path, b"/")

    def test_targets_that_are_none(self) -> None:
        for url in (b"*", b"a.example:80", b"ftp://a.example/", b"http:///", b"http://[a/", b""):
            self.assertEqual(self.status(b"GET", b"1.1", url, HOST), 400)

    def test_exactly_one_host(self) -> None:
        self.assertEqual(self.status(b"GET", b"1.1", b"/"), 400)
        self.assertEqual(self.status(b"GET", b"1.1", b"/", HOST, HOST), 400)

    def test_versions_and_methods(self) -> None:
        self.assertEqual(self.status(b"GET", b"2.0", b"/", HOST), 400)
        refused = self.assertRaises(Refused, read_target, b"TRACE", b"1.1", b"/", [HOST])
        self.assertEqual((refused.status, refused.headers), (405, ((b"Allow", b"GET, HEAD, POST"),)))

    def test_the_size_of_a_head(self) -> None:
        room = MAX_HEAD - len(b"/") - len(b"host") - len(b"a.example") - 4 - len(b"x") - 4
        read_target(b"GET", b"1.1", b"/", [HOST, (b"x", b"a" * room)])
        self.assertEqual(self.status(b"GET", b"1.1", b"/", HOST, (b"x", b"a" * (room + 1))), 431)


class BodyTests(SynchronousTestCase):
    def test_lengths_up_to_the_limit(self) -> None:
        check_body(b"1.1", [], 10)
        check_body(b"1.1", [(b"content-length", b"10")], 10)
        refused = self.assertRaises(Refused, check_body, b"1.1", [(b"content-length", b"11")], 10)
        self.assertEqual((refused.status, refused.detail), (413, "the body has at most 10 bytes"))

    def test_only_chunked_and_only_in_http_1_1(self) -> None:
        check_body(b"1.1", [(b"transfer-encoding", b"Chunked ")], 10)
        for version, coding in ((b"1.0", b"chunked"), (b"1.1", b"gzip, chunked"), (b"1.1", b"gzip")):
            refused = self.assertRaises(Refused, check_body, version, [(b"transfer-encoding", coding)], 10)
            self.assertEqual(refused.status, 400)


class RawHeadTests(SynchronousTestCase):
    def test_a_head_is_written_as_it_was_read_but_for_one_header(self) -> None:
        headers = [HOST, (b"upgrade", b"h2c"), (b"x", b"y")]
        self.assertEqual(
            raw_head(b"GET", b"/a?b", b"1.1", headers, b"upgrade"),
            b"GET /a?b HTTP/1.1\r\nhost: a.example\r\nx: y\r\n\r\n",
        )
