"""``twistd afeed``: options, and the one place where all parts are put together."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from random import Random, SystemRandom
from typing import Any, NoReturn, TextIO

from twisted.application.service import IService
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.logger import Logger
from twisted.python.logfile import LogFile
from twisted.python.usage import Options as BaseOptions
from twisted.web.server import Site

from afeed.archive.backends import parse_url
from afeed.archive.schema import examine as examine_archive
from afeed.archive.store import SqlArchive
from afeed.archive.strainer import Strainer
from afeed.config import ConfigurationError, check, demo, load
from afeed.core.calendar import Period
from afeed.core.change import timestamp
from afeed.core.http import Names
from afeed.core.polling import Spacing
from afeed.hangup import HangUp
from afeed.hub import Hub
from afeed.interfaces import ILiveLog, ISource
from afeed.leadership import Leadership
from afeed.livelog.database import examine as examine_log
from afeed.livelog.embedded import FILE as LOG_FILE
from afeed.livelog.embedded import EmbeddedLog
from afeed.livelog.lock import hold
from afeed.logs import observer
from afeed.metrics import Metrics
from afeed.node import Node, Parts
from afeed.pipeline import Intake
from afeed.services import Scheduled, Supervised
from afeed.settings import FlickrSource, PushSource, ReplaySource, Settings, XSource
from afeed.sources.flickr import FlickrPoller
from afeed.sources.http import make_client
from afeed.sources.push import Gate, Push
from afeed.sources.replay import Replay, read_in_thread
from afeed.sources.x import XStream
from afeed.sources.xlookup import SHOWN, SHOWN_S
from afeed.systemd import notify
from afeed.web.bridge import hand_over
from afeed.web.fragments import Fragments
from afeed.web.front import Front
from afeed.web.health import Health

_log = Logger()

#: How many connections may wait to be accepted; the kernel's own limit (net.core.somaxconn) applies as well.
BACKLOG = 4096


class StartRefused(Exception):
    """Why a daemon does not start."""


class Options(BaseOptions):
    """The command line.  A configuration that is wrong in any way ends the program with status 2."""

    synopsis = "[--config FILE] [--check-config]"
    longdesc = (
        "Runs a live feed.  Without a configuration it shows a demo event on http://127.0.0.1:8080/; with one, "
        "the events that the file describes."
    )
    optParameters = [["config", "c", None, "The TOML file that describes the server and its events."]]  # noqa: RUF012
    optFlags = [["check-config", None, "Say what would run, or what is wrong, and exit (0 or 2)."]]  # noqa: RUF012

    settings: Settings

    def postOptions(self) -> None:
        if self["config"] is None:
            self.settings = demo(_state_directory(os.environ))
        else:
            try:
                self.settings = load(self["config"], os.environ)
            except ConfigurationError as error:
                print(error, file=sys.stderr)
                raise SystemExit(2) from None
        if self["check-config"]:
            print(check(self.settings))
            raise SystemExit(0)


def _state_directory(environ: Mapping[str, str]) -> Path:
    """Where the demo keeps its data (XDG base directory specification)."""
    base = environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "afeed" / "demo"


def makeService(options: Options) -> IService:
    """The whole of afeed as one service, nothing opened yet."""
    from twisted.internet import reactor  # the one that twistd was told to install

    runner: Mapping[str, Any] = options.parent or {}
    daemon = runner.get("nodaemon") == 0
    hang_up = HangUp(options["config"] and Path(options["config"]), os.environ)
    reactor.callWhenRunning(hang_up.heed, reactor)
    return assemble(
        options.settings,
        reactor,
        time.time,
        SystemRandom(),
        os.environ,
        _log_stream(runner),
        _refuse_as_daemon if daemon else _refuse,
        hang_up,
    )


def _log_stream(runner: Mapping[str, Any]) -> TextIO | LogFile | None:
    """Where the log goes: what twistd was told, in afeed's own form; None where twist, syslog or a logger of
    the operator's decides on the form."""
    if "nodaemon" not in runner or runner.get("logger") or runner.get("syslog"):
        return None
    path = runner.get("logfile") or ("-" if runner["nodaemon"] else "twistd.log")
    return sys.__stdout__ if path == "-" else LogFile.fromFullPath(path)


def _refuse(status: int, sentence: str) -> NoReturn:
    _log.critical("afeed does not start: {why}", why=sentence)
    raise SystemExit(status)


def _refuse_as_daemon(status: int, sentence: str) -> NoReturn:
    """A daemon's parent waits to be told how the start went, and twistd tells it of exceptions only; it
    prints the sentence and ends with status 1."""
    _log.critical("afeed does not start: {why}", why=sentence)
    raise StartRefused(sentence)


def assemble(
    settings: Settings,
    reactor: Any,
    now: Callable[[], float],
    rng: Random,
    environ: Mapping[str, str],
    log_stream: TextIO | LogFile | None,
    refuse: Callable[[int, str], NoReturn],
    hang_up: HangUp,
) -> Node:
    """Put the parts together; ``afeed.pipeline`` has the picture.  ``log_stream`` receives the log unless
    None."""
    # Klein and autobahn look for an installed reactor when they are imported, so not before this moment.
    from afeed.transports.router import Routes
    from afeed.transports.stage import Stages
    from afeed.transports.websocket import websocket_factory
    from afeed.web.app import Pages

    store, server = settings.store, settings.server
    fragments = {event.slug: Fragments(event.timezone) for event in settings.events}

    live_log = _live_log(settings, reactor, now, rng)
    archive = SqlArchive(store.archive, reactor, now)
    metrics = Metrics(now)
    hub = Hub({slug: made.render for slug, made in fragments.items()}, live_log, archive, reactor, store.window)
    strainer = Strainer(live_log, archive, tuple(fragments), reactor, rng, on_copied=hub.copied)
    leadership = Leadership(f"{socket.gethostname()}:{os.getpid()}", live_log.lease, reactor, rng)
    intake = Intake(live_log, reactor, metrics, now, leadership)
    push = Push(_push_gates(settings), live_log, metrics, now)
    sources = [
        (scheduled, Supervised(source.name, scheduled.run, reactor, rng))
        for source, period in _sources(settings, live_log, hub, reactor, now, rng)
        for scheduled in [Scheduled(source, intake, period, reactor, now)]
    ]

    pages = Pages(settings.events, hub, server, now, fragments=lambda event: fragments[event.slug])
    site = Site(pages.resource(), reactor=reactor)
    names = Names(server.public_url, server.cors_origins)
    stages = Stages(hub.channels, reactor, metrics, spread=lambda most: rng.randrange(most + 1))
    routes = Routes(
        stages.of, push, lambda exchange: hand_over(exchange, site), websocket_factory(reactor), names
    )
    front = Front(server, routes, reactor, now, metrics.requests.inc)
    node = Node(
        Parts(
            preflight=lambda: _preflight(settings),
            hold=lambda: hold(store.data_dir),
            listen=[
                (description, partial(serverFromString(reactor, _with_backlog(description)).listen, front))
                for description in server.listen
            ],
            log=live_log,
            archive=archive,
            witnesses=(archive, hub),
            hub=hub,
            strainer=strainer,
            strainer_runs=Supervised("strainer", strainer.run, reactor, rng),
            intake=intake,
            sources=sources,
            leadership=leadership,
            push=push,
            stages=stages,
            routes=routes,
            front=front,
        ),
        reactor,
        lambda state: notify(state, environ),
        None if log_stream is None else observer(log_stream, readable=_is_terminal(log_stream)),
        refuse,
    )
    routes.answer(Health(node.checks, node.ready, stages.viewers, metrics).paths)
    _offer_readings(metrics, hub, strainer, leadership, node)
    metrics.reading(
        "afeed_configuration_mistakes",
        "What SIGHUP last found wrong in the configuration file.",
        (),
        lambda: [((), float(hang_up.problems))],
    )
    return node


def _is_terminal(stream: TextIO | LogFile) -> bool:
    return not isinstance(stream, LogFile) and stream.isatty()


def _with_backlog(description: str) -> str:
    """Twisted's default of 50 would make a herd that comes back after a restart wait for seconds."""
    stream = description.partition(":")[0] in ("tcp", "tcp6", "ssl", "unix")
    return f"{description}:backlog={BACKLOG}" if stream and ":backlog=" not in description else description


def _live_log(settings: Settings, reactor: Any, now: Callable[[], float], rng: Random) -> ILiveLog:
    store = settings.store
    limits = {"window": store.window, "max_log_bytes": store.max_log_bytes}
    if store.live_log == "embedded":
        return EmbeddedLog(store.data_dir, reactor, now, rng, **limits)
    from afeed.livelog.redis import RedisLog

    return RedisLog(store.live_log, reactor, now, rng, **limits)


def _preflight(settings: Settings) -> None:
    """Refuse data that is damaged, or another program's, before anything is written."""
    log_file = settings.store.data_dir / LOG_FILE
    if settings.store.live_log == "embedded" and log_file.exists():
        examine_log(log_file)
    examine_archive(*parse_url(settings.store.archive))


def _push_gates(settings: Settings) -> dict[str, Gate]:
    return {
        event.slug: Gate(token=source.token, open=event.active(source))
        for event in settings.events
        for source in event.sources
        if isinstance(source, PushSource)
    }


def _sources(
    settings: Settings, live_log: ILiveLog, hub: Hub, reactor: Any, now: Callable[[], float], rng: Random
) -> Iterator[tuple[ISource, Period]]:
    """Every source that runs by itself, with the time in which it does."""
    http = make_client(reactor)
    spacing = Spacing()  # what Flickr allows is counted by key, and all events share one
    rules: dict[str, tuple[str, Period]] = {}
    for event in settings.events:
        for source in event.sources:
            match source:
                case XSource(rule=rule):
                    rules[event.slug] = (rule, event.active(source))
                case FlickrSource():
                    assert settings.flickr is not None
                    period = event.active(source)
                    yield (
                        FlickrPoller(
                            event.slug,
                            settings.flickr,
                            source,
                            http,
                            reactor,
                            now,
                            rng,
                            starts=period.start,
                            ends=period.end,
                            position=_position_of(live_log, event.slug, f"flickr:{event.slug}"),
                            spacing=spacing,
                        ),
                        period,
                    )
                case ReplaySource():
                    name = f"replay:{event.slug}"
                    position = _position_of(live_log, event.slug, name)
                    yield (
                        Replay(
                            event.slug,
                            source,
                            reactor,
                            now,
                            name=name,
                            position=position,
                            read=partial(read_in_thread, reactor),
                        ),
                        event.active(source),
                    )
    if rules:
        assert settings.x is not None

        def wanted() -> dict[str, str]:
            return {slug: rule for slug, (rule, period) in rules.items() if now() in period}

        # One connection serves all events; each event's rule comes and goes with its own period.
        periods = [period for _, period in rules.values()]
        whole = Period(min(p.start for p in periods), max(p.end for p in periods))
        stream = XStream(
            settings.x,
            wanted,
            http,
            reactor,
            now,
            rng,
            stored=lambda slug: live_log.position(slug, "x"),
            shown=lambda slug: _shown_from_x(hub, slug, now),
        )
        yield stream, whole


async def _shown_from_x(hub: Hub, slug: str, now: Callable[[], float]) -> list[str]:
    """The ids at X of the newest posts of the last days."""
    page = await hub.page(slug, SHOWN)
    oldest = timestamp(now() - SHOWN_S)
    posts = [found.item for found in page.items if found.item.source == "x"]
    ids = [post.id.removeprefix("x:") for post in posts if post.created_at >= oldest]
    return [id_ for id_ in ids if id_.isdigit()]


def _position_of(live_log: ILiveLog, event: str, source: str) -> Callable[[], Deferred[str | None]]:
    return lambda: live_log.position(event, source)


def _offer_readings(metrics: Metrics, hub: Hub, strainer: Strainer, leadership: Leadership, node: Node) -> None:
    bad = {"ok": 0.0, "degraded": 1.0, "failed": 2.0}

    def states() -> Iterator[tuple[tuple[str, ...], float]]:
        return (((check.name,), bad[check.state]) for check in node.checks())

    def heads() -> Iterator[tuple[tuple[str, ...], float]]:
        return (((event,), channel.head) for event, channel in hub.channels.items())

    def behind() -> Iterator[tuple[tuple[str, ...], float]]:
        return (((event,), strainer.lag(event).changes) for event in hub.channels)

    def behind_s() -> Iterator[tuple[tuple[str, ...], float]]:
        return (((event,), strainer.lag(event).seconds) for event in hub.channels)

    metrics.reading("afeed_check", "Health checks: 0 ok, 1 degraded, 2 failed.", ("check",), states)
    metrics.reading(
        "afeed_leader",
        "1 on the node that runs the sources, else 0.",
        (),
        lambda: [((), float(leadership.leading))],
    )
    metrics.reading("afeed_log_head", "The last position of the live log.", ("event",), heads)
    metrics.reading("afeed_strainer_lag_changes", "Changes not yet in the archive.", ("event",), behind)
    metrics.reading("afeed_strainer_lag_seconds", "Since the archive was last level.", ("event",), behind_s)
