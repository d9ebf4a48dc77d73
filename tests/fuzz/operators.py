"""Targets: what operators write."""

from __future__ import annotations

import tempfile
from collections.abc import Hashable
from contextlib import ExitStack
from pathlib import Path

from afeed import config
from afeed.configuration.endpoints import parse
from afeed.livelog.redis_address import parse_redis_url
from tests.fuzz.engine import Check, Target

#: Stands in an environment variable and must never be seen again.
_SECRET = "Xy7-canary-Qp31vTz"
_ENVIRON = {"T": _SECRET}


def _configuration(stack: ExitStack) -> Check:
    # In memory where there is such a place: a file is written for each case.
    memory = Path("/dev/shm")
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)))
    (folder / "r.jsonl").touch()
    path = folder / "afeed.toml"

    def check(case: bytes) -> Hashable:
        path.write_bytes(case)
        try:
            shown = config.check(config.load(path, _ENVIRON))
        except config.ConfigurationError as error:
            shown = str(error)
            lines = shown.splitlines()
            assert len(lines) == len(error.problems) > 0, shown
            most = case.count(b"\n") + 2
            assert all(problem.line is None or 0 < problem.line <= most for problem in error.problems), shown
            assert _SECRET not in shown
            problem = error.problems[0]
            return problem.key, problem.message[:24], min(len(lines), 4)
        assert _SECRET not in shown
        return "accepted"

    return check


def _addresses(stack: ExitStack) -> Check:
    def check(case: bytes) -> Hashable:
        text = case.decode("utf-8", "replace")
        endpoint = parse(text)
        if all(name.isidentifier() for name in (endpoint.type, *endpoint.options)):
            assert parse(str(endpoint)) == endpoint
        try:
            address = parse_redis_url(text)
        except ValueError as error:
            # The URL must not be seen either: it may hold a password.
            assert len(str(error).splitlines()) == 1 and "canary" not in str(error), error
            return str(error), len(endpoint.arguments)
        assert address.hosts and all(0 < port < 65536 for _, port in address.hosts)
        if address.password is not None and "canary" in address.password and text.count("canary") == 1:
            assert "canary" not in repr(address) + str(address)
        return len(address.hosts), address.tls, address.service is None, len(endpoint.arguments)

    return check


_EVENT = b"""[[events]]
slug = "one"
name = "One"
timezone = "Europe/Amsterdam"
starts = 2026-11-21
ends = 2026-11-23
"""
_FILES = (
    _EVENT,
    b'[server]\nlisten = ["tcp:8080:interface=127.0.0.1"]\npublic_url = "http://127.0.0.1:8080"\n'
    b'trusted_proxies = ["10.0.0.0/8"]\ninternal = ["127.0.0.0/8", "::1/128"]\n'
    b'cors_origins = ["https://e.org"]\n'
    + _EVENT,
    b'[store]\ndata_dir = "var"\nlive_log = "redis://localhost:6379/0"\nwindow = 10_000\n'
    b'max_log_bytes = 1_000_000_000\narchive = "postgresql+psycopg://afeed@host/afeed"\n' + _EVENT,
    b'[accounts.x]\nbearer_token_env = "T"\n[accounts.flickr]\napi_key_env = "T"\n' + _EVENT
    + b'[[events.sources]]\ntype = "x"\nrule = "#aea"\n[[events.sources]]\ntype = "flickr"\ntags = ["a"]\n',
    _EVENT + b'[[events.sources]]\ntype = "push"\ntoken_env = "T"\n'
    b'[[events.sources]]\ntype = "replay"\nfile = "r.jsonl"\nspeed = 10.0\nloop = true\n',
)  # fmt: skip
_TOML = (
    b"[[events]]\n", b"[server]\n", b"[store]\n", b"[events.sources]\n", b"true", b"nan", b"1e400",
    b"2026-02-28",
    b"10:00:00", b'""', b'"a"', b"[]", b"{}", b"{a.b = 1}", b"= ", b"'''", b'"""', b"#", b"\n",
    b"99999999999999999999",
    b'slug = "one"\n', b'"\\u0000"', b'"\\U0001F600"', b'"sqlite:///"', b'"redis://:@[/"', b'"https://[::"',
    b"[" * 50,
)  # fmt: skip
_URLS = (
    b"redis://localhost:6379/0", b"rediss://ann:canary@[::1]:6380/3",
    b"redis+sentinel://:canary@a:1,b:2/main/1",
    b"tcp:8080:interface=127.0.0.1", b"ssl:443:privateKey=a\\:b.pem:certKey=c", b"unix:path=/run/x:mode=660",
)  # fmt: skip

OPERATORS = (
    Target("toml", "the configuration", lambda: _FILES, _configuration, _TOML),
    Target(
        "addresses",
        "endpoints and Redis URLs",
        lambda: _URLS,
        _addresses,
        (b"://", b"@", b"canary", b"\\:", b","),
    ),
)
