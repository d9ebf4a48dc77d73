"""The files under /static."""

from __future__ import annotations

import gzip
import re

from twisted.trial.unittest import SynchronousTestCase

from afeed.web.assets import Assets, packaged

MODULES = (
    "feed.js",
    "connection.js",
    "transports.js",
    "messages.js",
    "view.js",
    "status.js",
    "lightbox.js",
    "times.js",
    "words.js",
)


class AssetsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.assets = Assets({"page.css": b"p { margin: 0 }" * 20, "demo/stage.svg": b"<svg/>"})

    def test_a_file_under_its_digest_may_be_kept_for_good(self) -> None:
        path = self.assets.url("page.css").removeprefix("/static/")
        asset, kept = self.assets.find(path)
        self.assertTrue(kept)
        self.assertEqual(asset.content_type, "text/css; charset=utf-8")
        self.assertEqual(gzip.decompress(asset.gzipped), asset.body)

    def test_a_file_under_its_bare_name_may_not(self) -> None:
        _, kept = self.assets.find("demo/stage.svg")
        self.assertFalse(kept)

    def test_a_page_of_another_version_still_finds_its_files(self) -> None:
        other = Assets({"page.css": b"other"})
        self.assertNotEqual(other.digest, self.assets.digest)
        asset, kept = self.assets.find(f"{other.digest}/page.css")
        self.assertIn(b"margin", asset.body)
        self.assertFalse(kept)

    def test_nothing_else_is_found(self) -> None:
        for path in (
            "",
            "/",
            "page",
            "demo",
            "demo/",
            "../assets.py",
            "demo/../page.css",
            f"{self.assets.digest}/",
            f"{self.assets.digest}/../page.css",
            "x/page.css",
            "./page.css",
            "page.css/",
            "page.css\0",
        ):
            self.assertIsNone(self.assets.find(path), path)

    def test_a_page_cannot_refer_to_a_file_that_is_not_there(self) -> None:
        self.assertRaises(KeyError, self.assets.url, "feed.min.js")

    def test_what_gains_nothing_is_not_compressed(self) -> None:
        asset, _ = self.assets.find("demo/stage.svg")
        self.assertIsNone(asset.gzipped)


class PackagedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.assets = packaged()

    def source(self, name: str) -> str:
        found = self.assets.find(name)
        self.assertIsNotNone(found, name)
        return found[0].body.decode()

    def test_every_module_that_a_module_imports_is_there(self) -> None:
        seen, todo = set(), ["feed.js"]
        while todo:
            name = todo.pop()
            if name not in seen:
                seen.add(name)
                todo += re.findall(r'from "\./([a-z]+\.js)"', self.source(name))
        self.assertIn("transports.js", seen)

    def test_scripts_and_styles_ask_nobody_else_for_anything(self) -> None:
        for name in (
            "feed.js",
            "connection.js",
            "transports.js",
            "view.js",
            "page.css",
            "item.css",
            "wall.css",
        ):
            self.assertNotRegex(self.source(name), r"""(url\(|import |src=)["']?(https?:)?//""")

    def test_scripts_use_nothing_that_the_policy_forbids(self) -> None:
        for name in MODULES:
            self.assertNotRegex(
                self.source(name), r"\beval\(|new Function|setAttribute\(.style|document\.write"
            )
