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
from twisted.internet.defer import Deferred, fail
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger
from twisted.python.logfile import LogFile
from twisted.python.usage import Options as BaseOptions
from twisted.web.server import Site

from afeed.archive.backends import parse_url
from afeed.archive.schema import examine as examine_archive
from afeed.archive.store import SqlArchive
from afeed.archive.strainer import Strainer
from afeed.config import ConfigurationError, check, demo, load
from afeed.core.draft import Draft
from afeed.core.http import Names
from afeed.filing.office import Office
from afeed.garbage import settle
from afeed.hangup import HangUp
from afeed.hub import Hub
from afeed.interfaces import ILiveLog
from afeed.leadership import Leadership
from afeed.livelog.database import examine as examine_log
from afeed.livelog.embedded import FILE as LOG_FILE
from afeed.livelog.embedded import EmbeddedLog
from afeed.livelog.lock import hold
from afeed.logs import observer
from afeed.metrics import Metrics
from afeed.node import Node, Parts
from afeed.organisers.blocks import Blocks
from afeed.organisers.filtering import Rules
from afeed.pipeline import Intake
from afeed.privacy import Privacy
from afeed.releasing import Releaser
from afeed.services import Scheduled, Supervised
from afeed.settings import Settings
from afeed.sources.configured import configured_sources, push_gates
from afeed.sources.http import make_client
from afeed.sources.push import Push
from afeed.systemd import notify
from afeed.web.assets import packaged
from afeed.web.crowd import Crowd
from afeed.web.filing import label_posts
from afeed.web.fragments import Fragments
from afeed.web.front import Front
from afeed.web.headers import security_headers
from afeed.web.health import Health
from afeed.web.moves import Moves

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
    from afeed.web.admin_site import Organisers
    from afeed.web.app import Pages
    from afeed.web.media import MediaSite
    from afeed.web.output_site import Outputs

    store, server = settings.store, settings.server
    fragments = {
        event.slug: Fragments(event.timezone, keeps_media=event.keep_media) for event in settings.events
    }

    live_log = _live_log(settings, reactor, now, rng)
    zones = {event.slug: event.timezone for event in settings.events}
    archive = SqlArchive(store.archive, reactor, now, zones=zones)
    metrics = Metrics(now)
    hub = Hub({slug: made.render for slug, made in fragments.items()}, live_log, archive, reactor, store.window)

    def copied(event: str, seq: int) -> None:
        hub.copied(event, seq)
        privacy.copied(event, seq)

    strainer = Strainer(live_log, archive, tuple(fragments), reactor, rng, on_copied=copied)
    leadership = Leadership(f"{socket.gethostname()}:{os.getpid()}", live_log.lease, reactor, rng)
    http = make_client(reactor)
    filing = Office(settings, archive, live_log, hub, leadership, http, reactor, now, rng)
    label_posts(filing.programmes, fragments, hub.channels)
    blocks = Blocks({event.slug: event.blocked for event in settings.events})
    rules = Rules(settings.events, now)

    def cleared() -> None:
        for made in fragments.values():
            made.clear()

    privacy = Privacy(
        settings,
        archive,
        live_log,
        metrics,
        reactor,
        now,
        rng,
        cleared=cleared,
    )

    def admits(event: str, draft: Draft) -> bool:
        return privacy.admits(event, draft) and blocks.admits(event, draft)

    def prepare(event: str, draft: Draft) -> Draft:
        return filing.prepare(event, privacy.prepare(event, draft))

    intake = Intake(live_log, reactor, metrics, now, leadership, admits, rules.holds, prepare)
    push = Push(push_gates(settings), live_log, metrics, now, admits, rules.holds, prepare)
    sources = [
        (scheduled, Supervised(source.name, scheduled.run, reactor, rng))
        for source, period in configured_sources(settings, live_log, hub, http, reactor, now, rng)
        for scheduled in [Scheduled(source, intake, period, reactor, now)]
    ]
    releaser = Releaser(live_log, tuple(fragments), rules.at, metrics, reactor, now)

    assets = packaged()
    pages = Pages(
        settings.events,
        hub,
        server,
        now,
        fragments=lambda event: fragments[event.slug],
        assets=assets,
        most_of_one_author=lambda slug: rules.at(slug).per_author_per_minute,
        archive=archive,
        programmes=filing.programmes,
        removals=lambda event: hub.channels[event].removals(),
        moved=Moves(hub.channels),
    )
    site = Site(pages.resource(), reactor=reactor)
    names = Names(server.public_url, server.cors_origins)
    stages = Stages(hub.channels, reactor, metrics, spread=lambda most: rng.randrange(most + 1))

    outputs = Outputs(
        settings,
        archive,
        hub,
        lambda slug: programme.schedule if (programme := filing.programmes.get(slug)) else None,
        assets,
        lambda event: fragments[event.slug],
        reactor,
        now,
    )
    organisers = Organisers(
        settings,
        archive,
        live_log,
        hub,
        blocks,
        rules,
        assets,
        lambda event: fragments[event.slug],
        outputs,
        privacy.forgetting,
        filing,
        checks=lambda: node.checks(),
        sources=frozenset(supervisor.name for _, supervisor in sources),
        viewers=stages.viewers,
        metrics=metrics,
        reactor=reactor,
        now=now,
    )
    media = MediaSite(privacy.shelf, security_headers(server), reactor)
    show_page = media.beside(outputs.beside(organisers.beside(site)))
    routes = Routes(stages.of, push, show_page, websocket_factory(reactor), names)
    crowd = Crowd(server, reactor.seconds, metrics.turned_away.inc, pages.crowded)
    front = Front(server, routes, reactor, now, metrics.requests.inc, crowd)
    node = Node(
        Parts(
            preflight=lambda: _preflight(settings),
            hold=lambda: hold(store.data_dir),
            listen=[
                (description, partial(_listen, reactor, description, front)) for description in server.listen
            ],
            log=live_log,
            archive=archive,
            witnesses=(archive, hub),
            hub=hub,
            strainer=strainer,
            strainer_runs=Supervised("strainer", strainer.run, reactor, rng),
            intake=intake,
            sources=[*sources, *filing.led, (releaser, Supervised(releaser.name, releaser.run, reactor, rng))],
            leadership=leadership,
            push=push,
            stages=stages,
            routes=routes,
            front=front,
            moderation=organisers.moderation,
            filtering=organisers.filtering,
            filing=filing,
            privacy=privacy,
            settle=settle,
        ),
        reactor,
        lambda state: notify(state, environ),
        None if log_stream is None else observer(log_stream, readable=_is_terminal(log_stream)),
        refuse,
    )
    routes.answer(Health(node.checks, node.ready, stages.viewers, metrics).paths)
    _offer_readings(metrics, hub, strainer, leadership, node)
    metrics.reading(
        "afeed_address_connections",
        "The most connections that one address has now, internal ones and trusted proxies apart.",
        (),
        lambda: [((), float(crowd.largest()))],
    )
    metrics.reading(
        "afeed_configuration_mistakes",
        "What SIGHUP last found wrong in the configuration file.",
        (),
        lambda: [((), float(hang_up.problems))],
    )
    return node


def _is_terminal(stream: TextIO | LogFile) -> bool:
    return not isinstance(stream, LogFile) and stream.isatty()


def _listen(reactor: Any, description: str, front: Front) -> Deferred[IListeningPort]:
    try:
        endpoint = serverFromString(reactor, _with_backlog(description))
    except (LookupError, ValueError):  # an index, or a name, of nothing
        return fail(OSError("systemd has handed over no such socket"))
    return endpoint.listen(front)


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
