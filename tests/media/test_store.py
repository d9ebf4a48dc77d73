"""The files of pictures."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from afeed.media.store import MediaStore, parse_name

ROOT = Path(__file__).parents[2]
JPEG = b"\xff\xd8\xff" + b"a" * 100

#: Writes pictures until it is killed.
WRITER = """
import sys
from pathlib import Path
from afeed.media.store import MediaStore
store = MediaStore(Path(sys.argv[1]))
print("ready", flush=True)
for number in range(10**9):
    store.put(b"\\xff\\xd8\\xff" + number.to_bytes(8) * 25_000, "jpg")
"""


class StoreTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.store = MediaStore(self.folder)

    def files(self) -> list[str]:
        found = self.folder.rglob("*")
        return sorted(str(path.relative_to(self.folder)) for path in found if path.is_file())

    def test_a_file_is_named_after_its_content(self) -> None:
        kept = self.store.put(JPEG, "jpg")
        name = sha256(JPEG).hexdigest()
        self.assertEqual((kept.name, kept.size, kept.media_type), (f"{name}.jpg", 103, "image/jpeg"))
        self.assertEqual(self.files(), [f"{name[:2]}/{name[2:]}.jpg"])
        with self.store.open(kept.sha256, "jpg") as file:
            self.assertEqual(file.read(), JPEG)
        self.assertEqual(list(self.store.names()), [(kept.sha256, "jpg")])

    def test_the_same_picture_twice_is_one_file(self) -> None:
        self.assertEqual(self.store.put(JPEG, "jpg"), self.store.put(JPEG, "jpg"))
        self.assertEqual(len(self.files()), 1)

    def test_others_on_the_machine_cannot_read_it(self) -> None:
        kept = self.store.put(JPEG, "jpg")
        path = self.store.path(kept.sha256, "jpg")
        self.assertEqual((path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777), (0o600, 0o700))

    def test_what_is_dropped_is_gone_and_may_be_dropped_again(self) -> None:
        kept = self.store.put(JPEG, "jpg")
        self.store.drop(kept.sha256, "jpg")
        self.store.drop(kept.sha256, "jpg")
        self.assertFalse(self.store.has(kept.sha256, "jpg"))
        self.assertEqual(self.files(), [])
        self.assertRaises(FileNotFoundError, self.store.open, kept.sha256, "jpg")

    def test_a_name_in_an_address_becomes_no_other_path(self) -> None:
        name = "ab" * 32
        self.assertEqual(parse_name(f"{name}.webp"), (bytes.fromhex(name), "webp"))
        for bad in (
            "",
            name,
            f"{name}.svg",
            f"{name}.jpg/",
            f"../{name}.jpg",
            f"{name.upper()}.jpg",
            f"{name}.jpg\n",
        ):
            self.assertIsNone(parse_name(bad), bad)

    def test_a_folder_with_other_things_in_it_is_read_all_the_same(self) -> None:
        kept = self.store.put(JPEG, "jpg")
        (self.folder / "lost+found").mkdir()
        (self.folder / "ab" / "notes").mkdir(parents=True)
        (self.folder / "README").write_text("not a picture")
        self.assertEqual(list(self.store.names()), [(kept.sha256, "jpg")])

    def test_killed_while_it_writes_every_file_that_has_a_name_is_whole(self) -> None:
        path = os.pathsep.join([str(ROOT), *sys.path])
        for _ in range(5):
            writer = subprocess.Popen(
                [sys.executable, "-c", WRITER, str(self.folder)],
                env={**os.environ, "PYTHONPATH": path},
                stdout=subprocess.PIPE,
            )
            assert writer.stdout is not None
            with writer:
                writer.stdout.readline()
                before = len(self.files())
                while len(self.files()) < before + 3:
                    time.sleep(0.005)
                writer.send_signal(signal.SIGKILL)
        found = list(self.store.names())
        self.assertGreaterEqual(len(found), 3)
        for name, kind in found:
            with self.store.open(name, kind) as file:
                self.assertEqual(sha256(file.read()).digest(), name)
        # What had no name yet goes once it is certain that nobody writes it any more, and nothing else does.
        parts = list(self.folder.glob("part-*"))
        now = max((part.stat().st_mtime for part in parts), default=0.0)
        self.assertEqual(self.store.sweep(now), 0)
        self.assertEqual(self.store.sweep(now + 7200), len(parts))
        self.assertEqual(list(self.store.names()), found)
