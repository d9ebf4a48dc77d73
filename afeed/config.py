"""The configuration: a TOML file in, frozen :class:`~afeed.settings.Settings` out.

``docs/configuration.rst`` describes every key.  Every mistake is reported at once, with its line; secrets are
read from where the file says they are and never shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from afeed.configuration import endpoints
from afeed.configuration.describe import describe
from afeed.configuration.document import read_document
from afeed.configuration.events import events
from afeed.configuration.organisers import organisers
from afeed.configuration.problems import ConfigurationError, Problem, Report
from afeed.configuration.sections import accounts, server, store
from afeed.configuration.stores import default_archive
from afeed.configuration.table import Surroundings, Table
from afeed.core.attribution.weights import Weights
from afeed.core.schedule.formats import TOML
from afeed.demo import DEMO_HASHTAG, DEMO_NAME, DEMO_SPEED, PROGRAMME, RECORDING
from afeed.demo.programme import hurried
from afeed.settings import Event, ReplaySource, ScheduleSettings, Server, Settings, Store

__all__ = ["DEMO_SPEED", "ConfigurationError", "Problem", "check", "demo", "load", "load_store"]

_TABLES = ("server", "store", "accounts", "admin", "events")

#: Longer than anybody looks at a demo without starting it again, which begins a new week.
_DEMO_DAYS = 6


def load(path: str | Path, environ: Mapping[str, str]) -> Settings:
    """Read the configuration file at ``path``; ``environ`` holds the environment variables it may refer to.

    Nothing is opened, made or changed.  Raises :class:`ConfigurationError` with everything that is wrong.
    """
    folder = Path(path).absolute().parent
    document, positions = read_document(Path(path), str(path))
    report = Report(str(path), positions)
    root = Table(document, (), report)
    root.read({}, tables=_TABLES)
    access, admin = root.table("accounts"), root.table("admin")
    around = Surroundings(folder, environ, frozenset(access), organised="users" in admin)
    parts = {
        "server": server(root.table("server"), around),
        "store": store(root.table("store"), around),
        **accounts(access, around),
        "organisers": organisers(admin),
        "events": events(root, around),
    }
    if report:
        raise report.error()
    return Settings(**parts)


def load_store(path: str | Path, environ: Mapping[str, str]) -> Store:
    """Only the table ``[store]`` of the configuration file at ``path``, for programs that work on what is kept
    and need no other secret.  Raises :class:`ConfigurationError` with everything that is wrong with it."""
    folder = Path(path).absolute().parent
    document, positions = read_document(Path(path), str(path))
    report = Report(str(path), positions)
    root = Table(document, (), report)
    root.read({}, tables=_TABLES)
    found = store(root.table("store"), Surroundings(folder, environ, frozenset()))
    if report or found is None:
        raise report.error()
    return found


def check(settings: Settings) -> str:
    """What would run, as the text that ``--check-config`` prints; it holds no secret."""
    return describe(settings)


def demo(
    state_dir: Path, listen: Sequence[str] = Server().listen, *, now: Callable[[], float] = time.time
) -> Settings:
    """The built-in event: a recorded conference, played over and over, that needs nothing but ``state_dir``.

    It is always live: it starts on the day that ``now`` (seconds since the epoch) falls on.
    """
    today = datetime.fromtimestamp(now(), UTC).date()
    state_dir = state_dir.absolute()
    event = Event(
        slug="demo",
        name=DEMO_NAME,
        timezone=ZoneInfo("UTC"),
        starts=today,
        ends=today + timedelta(days=_DEMO_DAYS),
        hashtags=(DEMO_HASHTAG,),
        sources=(ReplaySource(file=RECORDING, speed=DEMO_SPEED, loop=True, rewind=True),),
        schedule=ScheduleSettings(file=PROGRAMME, format=TOML, speed=DEMO_SPEED),
        attribution=hurried(Weights(), DEMO_SPEED),
    )
    return Settings(
        server=Server(listen=tuple(listen), public_url=endpoints.public_url(listen[0]) or Server().public_url),
        store=Store(data_dir=state_dir, archive=default_archive(state_dir)),
        events=(event,),
    )
