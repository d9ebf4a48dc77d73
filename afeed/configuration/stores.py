"""Where things are kept: the data directory, the live log and the archive."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from afeed.configuration.problems import Wrong, quoted
from afeed.configuration.values import host
from afeed.settings import Secret

EMBEDDED = "embedded"
#: The embedded live log's file in the data directory.
EMBEDDED_FILE = "live.sqlite3"

#: SQLAlchemy has no way to write one in the path of a URL.
_QUESTION_MARK = "a path with a ? in it cannot be used for a database; choose another"
_LONGEST_NAME = 255
_SQLITE_HEADER = b"SQLite format 3\0"
_REDIS = re.compile(
    r"(?P<scheme>redis|rediss|redis\+sentinel)://(?:(?P<userinfo>.*)@)?(?P<hosts>[^/@?#]+)(?P<path>/[^?#]*)?\Z",
    re.DOTALL,
)
_REDIS_FORMS = (
    "write embedded, redis://host:6379/0, rediss://host:6379/0 or "
    "redis+sentinel://host:26379,host:26379/service/0"
)


def data_dir(folder: Path) -> Callable[[str], Path]:
    """A folder that exists and may be written to, or may be made."""

    def check(value: str) -> Path:
        if not value:
            raise Wrong("is empty; name a folder, such as var")
        path = Path(os.path.normpath(folder / value))
        if "?" in str(path):
            raise Wrong(_QUESTION_MARK)
        if any(len(os.fsencode(part)) > _LONGEST_NAME for part in path.parts):
            raise Wrong(f"the name of a folder may have at most {_LONGEST_NAME} bytes")
        # os.path, unlike Path, answers "no" about what may not be looked at.
        if os.path.exists(path) and not os.path.isdir(path):
            raise Wrong(f"{quoted(str(path))} is not a folder")
        existing = next(parent for parent in (path, *path.parents) if os.path.exists(parent))
        if not (os.path.isdir(existing) and os.access(existing, os.W_OK | os.X_OK, effective_ids=True)):
            what = "written to" if existing == path else f"made in {quoted(str(existing))}"
            raise Wrong(f"{quoted(str(path))} may not be {what} by the user that runs afeed")
        return path

    return check


def live_log(value: str) -> str:
    """``embedded`` or a Redis URL without a password."""
    if value == EMBEDDED:
        return value
    match = _REDIS.match(value)
    if match is None:
        raise Wrong(f"{quoted(value)} is not a live log; {_REDIS_FORMS}")
    if ":" in (match["userinfo"] or ""):
        raise Wrong(_no_password("live_log"))
    sentinel = match["scheme"] == "redis+sentinel"
    hosts = match["hosts"].split(",")
    path = match["path"] or ""
    if sentinel and not re.fullmatch(r"/[^/]+(?:/[0-9]{0,5})?", path):
        raise Wrong("redis+sentinel:// needs the service's name, as in redis+sentinel://host:26379/mymaster/0")
    if not sentinel and not re.fullmatch(r"(?:/[0-9]{0,5})?", path):
        raise Wrong(f"the database must be a number, such as /0; {_REDIS_FORMS}")
    if len(hosts) > 1 and not sentinel:
        raise Wrong(f"has several hosts, which only redis+sentinel:// understands; {_REDIS_FORMS}")
    for address in hosts:
        _check_address(address)
    return value


def archive(folder: Path, directory: Path, password: Secret | None) -> Callable[[str], str]:
    """A database URL without a password, to which ``password`` is added; a relative SQLite path starts at
    ``folder``; ``directory`` is the data directory, the one folder that will be made."""

    def check(value: str) -> str:
        try:
            url = make_url(value)
        except (ArgumentError, ValueError):
            raise Wrong(
                f"{quoted(value)} is not a database URL; write sqlite:///var/archive.sqlite3 or "
                "postgresql+psycopg://user@host/database"
            ) from None
        if url.password is not None or any("passw" in name.lower() for name in url.query):
            raise Wrong(_no_password("archive"))
        if url.drivername not in _DATABASES:
            postgres = url.drivername.startswith("postgres")
            known = "postgresql+psycopg://" if postgres else "sqlite:/// or postgresql+psycopg://"
            raise Wrong(f"afeed does not know the database driver {quoted(url.drivername)}; write {known}")
        complete = _DATABASES[url.drivername](url, folder, directory)
        if password is not None:
            if complete.drivername == "sqlite":
                raise Wrong("an SQLite archive has no password; remove archive_password_env or _file")
            complete = complete.set(password=password.reveal())
        return _text(complete)

    return check


def live_log_with(password: Secret) -> Callable[[str], str]:
    """Put ``password`` into a Redis URL that has none."""

    def add(url: str) -> str:
        scheme, separator, rest = url.partition("://")
        if not separator:
            raise Wrong("the embedded live log has no password; remove live_log_password_env or _file")
        user, _, place = rest.rpartition("@")
        return f"{scheme}://{user}:{quote(password.reveal(), safe='')}@{place}"

    return add


def default_archive(directory: Path) -> str:
    """The archive where none is configured: a file in the data directory."""
    return _text(URL.create("sqlite", database=str(directory / "archive.sqlite3")))


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)


def _no_password(key: str) -> str:
    return (
        "a password does not belong in this file: take it out of the URL and name the environment variable "
        f"or the file that holds it with {key}_password_env or {key}_password_file"
    )


def _check_address(address: str) -> None:
    """``host`` or ``host:port``, IPv6 in brackets."""
    match = re.fullmatch(r"(?P<host>\[[^\]]*\]|[^:]*)(?::(?P<port>[0-9]{1,5}))?", address, re.ASCII)
    if match is None or not (match["port"] is None or 1 <= int(match["port"]) <= 65535):
        raise Wrong(f"{quoted(address)} is not host:port with a port from 1 to 65535; {_REDIS_FORMS}")
    # Container networks have names with underscores, which no web address may have.
    host(match["host"].strip("[]").replace("_", "-"))


def _sqlite(url: URL, folder: Path, directory: Path) -> URL:
    name = url.database or ""
    if name in ("", ":memory:") or "mode" in url.query:
        raise Wrong("an archive in memory would be gone with the process; write sqlite:///var/archive.sqlite3")
    if url.host or name.startswith("file:") or "uri" in url.query:
        raise Wrong("write the path after sqlite:/// (a fourth / begins an absolute one)")
    path = Path(os.path.normpath(folder / name))
    if "?" in str(path):
        raise Wrong(_QUESTION_MARK)
    if os.path.isdir(path):
        raise Wrong(f"{quoted(str(path))} is a folder; name a file in it")
    if path == directory / EMBEDDED_FILE:
        raise Wrong(f"{quoted(str(path))} is the embedded live log; name another file")
    if path.parent != directory and not os.path.isdir(path.parent):
        raise Wrong(f"there is no folder {quoted(str(path.parent))}; make it first (only data_dir is made)")
    for place in (path, path.parent):
        if os.path.exists(place) and not os.access(place, os.R_OK | os.W_OK, effective_ids=True):
            raise Wrong(f"{quoted(str(place))} may not be read and written to by the user that runs afeed")
    if os.path.exists(path):
        with path.open("rb") as stream:
            start = stream.read(len(_SQLITE_HEADER))
        if start not in (b"", _SQLITE_HEADER):
            raise Wrong(f"{quoted(str(path))} is not an SQLite database; afeed leaves it alone")
    return url.set(drivername="sqlite", database=str(path))


def _postgresql(url: URL, folder: Path, directory: Path) -> URL:
    if find_spec("psycopg") is None:
        raise Wrong("PostgreSQL needs a library that is not installed: pip install 'afeed[postgresql]'")
    if not url.database:
        raise Wrong("name the database, as in postgresql+psycopg://user@host/database")
    if url.port is not None and not 1 <= url.port <= 65535:
        raise Wrong(f"the port must be from 1 to 65535, not {url.port}")
    return url


_DATABASES = {"sqlite": _sqlite, "sqlite+pysqlite": _sqlite, "postgresql+psycopg": _postgresql}
