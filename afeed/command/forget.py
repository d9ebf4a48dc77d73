"""``afeed forget``: take an author out of everything that is kept, while afeed runs or while it does not."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from random import SystemRandom
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool

from afeed.archive.bulk import snapshot
from afeed.archive.forgetting import DONE, ForgettingStore, Request, is_ready
from afeed.archive.media import MediaTable
from afeed.archive.moderation import Action
from afeed.archive.store import SqlArchive
from afeed.archive.strainer import Strainer
from afeed.command.background import Background
from afeed.command.belongings import Belongings
from afeed.command.logs import reading
from afeed.command.program import Command, Console, Environment, Refused, add_config
from afeed.command.stores import live_log, log_to
from afeed.config import load_store
from afeed.core.change import timestamp
from afeed.core.errors import ArchiveUnavailable, BadInput, DirectoryInUse, LogUnavailable
from afeed.core.forgetting import EVERYWHERE, Forgotten, label, read_author
from afeed.forgetting import Forgetting, ask
from afeed.livelog.lock import hold
from afeed.media.fetching import Fetcher
from afeed.media.keeper import Keeper
from afeed.media.store import MediaStore
from afeed.settings import Store

#: How long a running afeed may take to begin, in seconds; and after how many without a sign of life it has
#: stopped working on it.
TAKEN_S, SILENT_S = 20.0, 30.0
#: How often it is looked how far it is, in seconds.
LOOK_S = 0.5

_DESCRIPTION = """\
Takes an author out of everything that afeed keeps: their posts go from every screen,
the live log, the archive, its search, what is hidden or held back, kept pictures,
exports and reports; posts of others that they shared, or that quote them, stay
without them.  Positions keep their numbers.  Nothing of theirs comes in again: a
keyed hash is kept, by which it is known, and no name.

An author is named as in the administration: source and handle (x:@ann), or where
there is no handle source and address or name (push:Ann Lee).

afeed may run: it carries this out, and the command waits and says how far it is.  If
it does not run, the command does it itself.  There is no way back.  What is not
afeed's to change it cannot forget: backups made before, copies that others took, logs
of the system, and the source itself.  docs/privacy.rst has the whole picture.

  afeed forget --config /etc/afeed/afeed.toml x:@ann --event exconf-2026
  afeed forget --config /etc/afeed/afeed.toml x:@ann --all --yes
"""


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--event", metavar="SLUG", help="at this event only")
    where.add_argument("--all", action="store_true", help="at every event, also those that are yet to come")
    parser.add_argument("--yes", action="store_true", help="do not ask whether this is meant")
    parser.add_argument("author", metavar="AUTHOR", help="source and handle, such as x:@ann")


def _run(asked: argparse.Namespace, console: Console, environment: Environment) -> None:
    store = load_store(asked.config, environment.environ)
    try:
        author = read_author(asked.author)
    except BadInput as error:
        raise Refused(str(error)) from None
    with Background() as background:
        with reading(store, background) as log, snapshot(store.archive) as archive:
            known = sorted({*log.events(), *archive.events()})
            nodes = log.nodes()
        scope = _scope(asked, known)
        events = known if scope == EVERYWHERE else [scope]
        if not (asked.yes or is_meant(author, scope, console, environment)):
            raise Refused("nothing was done")
        release = _alone(store, nodes)
        belongings = Belongings(store)
        try:
            if release is None and not is_ready(store.archive):
                raise Refused("the afeed that runs is older than this program: restart it first")
            log_to(console)
            done = background.call(
                lambda reactor: _forget(
                    store, reactor, environment, author, scope, events, console, alone=release is not None
                )
            )
        finally:
            if release is not None:
                belongings.hand_over(console.remark)
                release()
    _tell(done, scope, console)


def _scope(asked: argparse.Namespace, known: Sequence[str]) -> str:
    """Where it is to be done: a slug, or everywhere."""
    if asked.all:
        return EVERYWHERE
    if asked.event is not None:
        if asked.event not in known:
            names = ", ".join(known) or "none"
            raise Refused(
                f"neither the live log nor the archive has an event {asked.event}; there are: {names}"
            )
        return str(asked.event)
    if len(known) == 1:
        return known[0]
    raise Refused(f"say where: --all, or --event with one of {', '.join(known) or 'none that is there yet'}")


def is_meant(author: str, scope: str, console: Console, environment: Environment) -> bool:
    """Ask whether this is meant; raises :class:`Refused` where there is nobody to ask."""
    if not environment.stdin.isatty():
        raise Refused("this cannot be undone: say --yes where nobody can be asked")
    where = "at every event" if scope == EVERYWHERE else f"at {scope}"
    console.remark(f"Everything by {author} {where} will be gone for good. Type the author once more to go on:")
    try:
        return read_author(environment.stdin.readline()) == author
    except BadInput:
        return False


def _alone(store: Store, nodes: int) -> Callable[[], None] | None:
    """What lets others work with the data again, if nobody does: then this command carries it out.  None where
    afeed runs."""
    if nodes:
        return None
    try:
        return hold(store.data_dir)
    except DirectoryInUse:
        return None


async def _forget(
    store: Store,
    reactor: Any,
    environment: Environment,
    author: str,
    scope: str,
    events: Sequence[str],
    console: Console,
    *,
    alone: bool,
) -> list[Request]:
    """Ask for it, and return what became of it."""
    archive = SqlArchive(store.archive, reactor, environment.now)
    kept = ForgettingStore(archive)
    await archive.start()
    try:
        at = timestamp(environment.now())
        by = Action(at, "command line", "this machine", "forget")
        requests = await ask(kept, scope, events, author, by)
        if alone:
            return await _do(store, kept, archive, events, requests, reactor, environment, console)
        return await _wait(kept, requests, environment, reactor, console)
    finally:
        await archive.stop()


async def _do(
    store: Store,
    kept: ForgettingStore,
    archive: SqlArchive,
    events: Sequence[str],
    requests: Sequence[Request],
    reactor: Any,
    environment: Environment,
    console: Console,
) -> list[Request]:
    """Carry it out here, as a node that leads would."""
    log = live_log(store, reactor, environment.now)
    keeper = _keeper(store, archive, events, reactor, environment)
    work = Forgetting(kept, Forgotten(), log, archive, events, [archive, log, keeper], reactor, environment.now)
    strainer = Strainer(log, archive, tuple(events), reactor, SystemRandom(), on_copied=lambda event, seq: None)
    strainer.copy(True)
    keeper.lead(True)
    await log.start(events, [archive])
    beside = [Deferred.fromCoroutine(strainer.run()), Deferred.fromCoroutine(keeper.run())]
    numbers = [request.number for request in requests]
    carrying = [Deferred.fromCoroutine(_carry_out(work, request, reactor)) for request in requests]
    all_done = DeferredList(carrying, fireOnOneErrback=True, consumeErrors=True)
    try:
        while not all_done.called:
            _progress(await kept.requests(numbers), console)
            await deferLater(reactor, LOOK_S)
        await all_done
        return await kept.requests(numbers)
    finally:
        for one in (*carrying, *beside):
            one.addErrback(lambda _: None)
            one.cancel()
        await DeferredList([*carrying, *beside])
        await log.stop()


def _keeper(
    store: Store, archive: SqlArchive, events: Sequence[str], reactor: Any, environment: Environment
) -> Keeper:
    """What lets pictures go that nothing shows any more, and fetches none."""

    def in_thread(function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        return deferToThreadPool(reactor, reactor.getThreadPool(), function, *arguments)

    return Keeper(
        archive,
        MediaTable(archive),
        MediaStore(store.media),
        Fetcher(reactor),
        dict.fromkeys(events, False),
        0,
        reactor,
        environment.now,
        SystemRandom(),
        in_thread,
    )


async def _carry_out(work: Forgetting, request: Request, reactor: Any) -> None:
    """Nobody else works on it, so there is nothing to wait for but faults that pass."""
    deadline = reactor.seconds() + SILENT_S
    while True:
        try:
            await work.carry_out(request, settle=False)
        except (ArchiveUnavailable, LogUnavailable):
            if reactor.seconds() > deadline:
                raise
            await deferLater(reactor, LOOK_S)
        else:
            return


async def _wait(
    kept: ForgettingStore,
    requests: list[Request],
    environment: Environment,
    reactor: Any,
    console: Console,
) -> list[Request]:
    """Wait for the afeed that runs, as long as it works on it."""
    numbers = [request.number for request in requests]
    began = reactor.seconds()
    while True:
        found = await kept.requests(numbers)
        _progress(found, console)
        left = [request for request in found if request.state != DONE]
        working = [request for request in left if request.beat_at > environment.now() - SILENT_S]
        if not left or not (working or reactor.seconds() - began < TAKEN_S):
            return found
        if working:
            began = reactor.seconds()
        await deferLater(reactor, LOOK_S)


def _progress(requests: Sequence[Request], console: Console) -> None:
    console.progress("forgetting", sum(request.looked_at for request in requests))


def _tell(requests: Sequence[Request], scope: str, console: Console) -> None:
    """What was done, and what is left."""
    left = [request for request in requests if request.state != DONE]
    removed, cleaned = (sum(getattr(one, what) for one in requests) for what in ("removed", "cleaned"))
    name = label(requests[0].author_hash) if requests else ""
    if left:
        events = ", ".join(request.event for request in left)
        why = "; ".join(dict.fromkeys(filter(None, (request.detail for request in left))))
        raise Refused(
            f"{removed} posts were removed by now, and nothing of theirs comes in any more, but it is not done "
            f"at {events}{f' ({why})' if why else ''}. The afeed that runs goes on with it where it has the "
            "event in its configuration; give this command again to see how far it is. With afeed stopped it "
            "does everything itself"
        )
    where = "every event" if scope == EVERYWHERE else scope
    console.result(
        f"Forgotten at {where}, as {name}: {removed} posts were removed, and {cleaned} of others are without "
        "them now. Backups made before still have all of it.",
        {
            "forgotten": name,
            "removed": removed,
            "cleaned": cleaned,
            "events": {
                request.event: {"removed": request.removed, "cleaned": request.cleaned} for request in requests
            },
        },
    )


COMMAND = Command(
    name="forget",
    summary="take an author out of everything that is kept, for good",
    description=_DESCRIPTION,
    arguments=_arguments,
    run=_run,
)
