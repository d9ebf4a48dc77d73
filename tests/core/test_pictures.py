"""What is a picture."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.pictures import START, kind_of


def ftyp(major: bytes, *others: bytes) -> bytes:
    brands = major + bytes(4) + b"".join(others)
    return (8 + len(brands)).to_bytes(4) + b"ftyp" + brands + b"\0\0\0\x08meta"


class KindTests(SynchronousTestCase):
    def test_pictures_are_known_by_how_they_begin(self) -> None:
        for kind, start in (
            ("jpg", b"\xff\xd8\xff\xe0\0\x10JFIF\0"),
            ("png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
            ("gif", b"GIF87a\1\0\1\0"),
            ("gif", b"GIF89a\1\0\1\0"),
            ("webp", b"RIFF\x24\0\0\0WEBPVP8 "),
            ("avif", ftyp(b"avif", b"mif1", b"miaf")),
            ("avif", ftyp(b"mif1", b"mif1", b"avif")),
            ("avif", ftyp(b"avis")),
        ):
            self.assertEqual(kind_of(start[:START]), kind, start)

    def test_all_else_is_none(self) -> None:
        for start in (
            b"",
            b"\xff\xd8",
            b"<svg xmlns='http://www.w3.org/2000/svg'/>",
            b"<?xml version='1.0'?><svg/>",
            b"<!doctype html><script>alert(1)</script>",
            b"BM\x36\0\0\0",
            b"RIFF\x24\0\0\0WAVEfmt ",
            b"%PDF-1.7",
            b"GIF90a",
            ftyp(b"heic", b"mif1"),
            ftyp(b"isom", b"mp41"),
            # A brand that stands behind the end of the box is none of it.
            ftyp(b"isom") + b"avif",
            b" \xff\xd8\xff",
        ):
            self.assertIsNone(kind_of(start[:START]), start)
