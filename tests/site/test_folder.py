"""The folder of a copy is there as a whole, or not at all."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from afeed.site.folder import MARK, InTheWay, replaced

EXCONF = {"event": "exconf"}


class FolderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.parent = Path(self.mktemp()).absolute()
        self.parent.mkdir(parents=True)
        self.folder = self.parent / "copy"

    def write(self, text: str = "new") -> None:
        with replaced(self.folder, EXCONF) as partial:
            (partial / "index.html").write_text(text)

    def fail_half_way(self) -> None:
        with self.assertRaises(ZeroDivisionError), replaced(self.folder, EXCONF) as partial:
            (partial / "half.html").write_text("half")
            (partial / "images").mkdir(exist_ok=True)
            (partial / "images" / "a.jpg").write_text("fetched")
            raise ZeroDivisionError

    def test_it_has_its_name_when_it_is_whole(self) -> None:
        with replaced(self.folder, EXCONF) as partial:
            self.assertEqual(partial, self.parent / "copy.partial")
            self.assertFalse(self.folder.exists())
        self.assertEqual([path.name for path in self.parent.iterdir()], ["copy"])
        self.assertIn('"finished": true', (self.folder / MARK).read_text())

    def test_an_earlier_copy_is_replaced(self) -> None:
        self.write("old")
        (self.folder / "gone.html").write_text("old")
        self.write("new")
        self.assertEqual((self.folder / "index.html").read_text(), "new")
        self.assertFalse((self.folder / "gone.html").exists())
        self.assertEqual([path.name for path in self.parent.iterdir()], ["copy"])

    def test_an_empty_folder_is_filled(self) -> None:
        self.folder.mkdir()
        self.write()
        self.assertEqual((self.folder / "index.html").read_text(), "new")

    def test_after_a_failure_the_earlier_copy_is_as_it_was_and_pictures_are_kept_for_the_next(self) -> None:
        self.write("old")
        self.fail_half_way()
        self.assertEqual((self.folder / "index.html").read_text(), "old")
        with replaced(self.folder, EXCONF) as partial:
            self.assertEqual(sorted(path.name for path in partial.iterdir()), [MARK, "images"])
            self.assertEqual((partial / "images" / "a.jpg").read_text(), "fetched")

    def test_anything_else_is_left_alone(self) -> None:
        self.folder.mkdir()
        (self.folder / "thesis.txt").write_text("years of work")
        for where in (self.folder, self.parent / "copy.partial"):
            with self.assertRaises(InTheWay):
                self.write()
            self.assertEqual([path.name for path in where.iterdir()], ["thesis.txt"])
            if where == self.folder:
                self.folder.rename(self.parent / "copy.partial")

    def test_what_stands_where_the_old_copy_goes_is_left_alone(self) -> None:
        theirs = self.parent / "copy.earlier"
        theirs.mkdir()
        (theirs / "thesis.txt").write_text("years of work")
        with self.assertRaises(InTheWay):
            self.write()
        self.assertEqual((theirs / "thesis.txt").read_text(), "years of work")

    def test_an_old_copy_that_was_left_half_deleted_is_in_nobodys_way(self) -> None:
        self.write()
        self.folder.rename(self.parent / "copy.earlier")
        (self.parent / "copy.earlier" / "index.html").unlink()
        self.write("old")
        self.write("new")
        self.assertEqual([path.name for path in self.parent.iterdir()], ["copy"])

    def test_through_a_link_the_copy_is_written_where_it_leads(self) -> None:
        link = self.parent / "link"
        link.symlink_to("copy")
        for text in ("old", "new"):
            with replaced(link, EXCONF) as partial:
                (partial / "index.html").write_text(text)
        self.assertTrue(link.is_symlink())
        self.assertEqual((self.folder / "index.html").read_text(), "new")
        self.assertEqual(sorted(path.name for path in self.parent.iterdir()), ["copy", "link"])

    def test_a_copy_of_another_event_is_left_alone(self) -> None:
        self.write()
        with self.assertRaises(InTheWay) as caught, replaced(self.folder, {"event": "other"}):
            pass
        self.assertIn("a copy of exconf", str(caught.exception))

    def test_a_file_is_no_folder(self) -> None:
        self.folder.write_text("a file")
        with self.assertRaises(InTheWay):
            self.write()
