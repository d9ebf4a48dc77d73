"""What the work of recording a post costs without any of what makes a feed of it."""

from __future__ import annotations

import random
import sqlite3
import tempfile
import time
from pathlib import Path

import msgspec

from bench.feeder import posts

PORTION = 200


def bare_cpu_us(count: int) -> float:
    """CPU us for each of ``count`` posts that are decoded and put into SQLite, ``PORTION`` to a transaction."""
    lines = posts(count, random.Random(1), [])
    with tempfile.TemporaryDirectory(prefix="afeed-bench-") as directory:
        connection = sqlite3.connect(Path(directory, "bare.sqlite3"))
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE post (seq INTEGER PRIMARY KEY, id TEXT UNIQUE, body BLOB)")
        decode = msgspec.json.Decoder().decode
        used = time.process_time()
        for start in range(0, count, PORTION):
            rows = [(decode(line)["data"]["id"], line) for line in lines[start : start + PORTION]]
            with connection:
                connection.executemany("INSERT INTO post (id, body) VALUES (?, ?)", rows)
        used = time.process_time() - used
        connection.close()
    return 1e6 * used / count
