"""What a Redis server says of itself, and whether a live log may be kept in it."""

from __future__ import annotations

from typing import NamedTuple

from afeed.core.errors import LogUnavailable


class Server(NamedTuple):
    """``run`` is another after every restart; ``warning`` is what the operator should know, if anything:
    sentences, without the full stop at the end."""

    run: str
    warning: str | None


def examine(info: bytes) -> Server:
    """Read the reply to ``INFO``; raises :class:`~afeed.core.errors.LogUnavailable` if the server must not, or
    cannot yet, be used."""
    lines = info.decode("utf-8", "replace").splitlines()
    report = dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))
    if report.get("loading", "0") != "0":
        raise LogUnavailable("Redis is still loading its data")
    if report.get("role", "master") != "master":
        raise LogUnavailable("this Redis is a replica: name the master, or the sentinels that know it")
    warnings = []
    policy = report.get("maxmemory_policy", "noeviction")
    if policy.startswith("volatile-"):
        # The lease is all of afeed's that has a time limit.
        warnings.append(
            "When its memory is full this Redis may evict the lease of the leading node (maxmemory-policy "
            f"{policy}), and nodes take the sources from each other: set maxmemory-policy noeviction"
        )
    elif policy != "noeviction":
        raise LogUnavailable(
            f"this Redis would evict the log (maxmemory-policy {policy}): set maxmemory-policy noeviction"
        )
    if "run_id" not in report:
        raise LogUnavailable("this server does not tell its run_id, so its restarts would go unnoticed")
    if report.get("aof_enabled", "0") == "0":
        warnings.insert(
            0,
            "Redis keeps no append-only file, so a crash of it loses what neither the archive nor a living "
            "node remembers: set appendonly yes",
        )
    return Server(report["run_id"], ". ".join(warnings) or None)
