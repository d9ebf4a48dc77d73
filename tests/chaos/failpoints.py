"""The moments at which afeed is killed on purpose.

Nothing of this is in afeed itself: a point names a function of afeed, and :mod:`tests.chaos.sabotage` wraps
that function in the process that is to die.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Literal

import attrs


@attrs.frozen(kw_only=True)
class FailPoint:
    """A moment: ``before`` ``target`` (``module:name.name``) is called, ``after`` what it did has succeeded, or
    ``during`` it, a moment after its beginning.

    It counts at the pass number ``passes``; where ``only`` is given, calls for whose arguments it is false are
    passed over.  ``adjust`` has values for constants of afeed (``module:NAME``), where the point is not
    reached within seconds otherwise.  ``circumstances`` say what the node is doing meanwhile: a word of
    :mod:`tests.chaos.circumstances`.  ``proves`` completes the sentence "that it is killed there
    shows that ...".
    """

    name: str
    target: str
    when: Literal["before", "after", "during"]
    circumstances: str
    proves: str
    passes: int = 1
    only: Callable[..., bool] | None = None
    adjust: Mapping[str, Any] = attrs.Factory(dict)


def resolve(target: str) -> tuple[Any, str, Any]:
    """What holds the target, its name there, and the target itself; raises :class:`ImportError` or
    :class:`AttributeError` when there is no such thing any more."""
    module, _, path = target.partition(":")
    *outer, name = path.split(".")
    holder: Any = import_module(module)
    for part in outer:
        holder = getattr(holder, part)
    return holder, name, getattr(holder, name)


def _appends(commands: object, event: str, batches: list[Any], *rest: object) -> bool:
    return any(batch.records for batch in batches)


def _of_the_log(path: Any, target: Any) -> bool:
    return str(path).endswith("live.new")


def _ready(state: str, environ: object) -> bool:
    return state == "READY=1"


def _accepted(exchange: object, status: int, *rest: object) -> bool:
    return status == 201


def _with_drafts(sink: object, event: str, drafts: list[Any], *rest: object) -> bool:
    return bool(drafts)


_SMALL_PAGES: Mapping[str, Any] = {"afeed.livelog.settle:PAGE": 20}

#: Else a short outage is not searched for before X shows all of it.
_SEARCH_AT_ONCE: Mapping[str, Any] = {"afeed.core.backfill:HIDDEN_S": 0.0}

_LOG = (
    FailPoint(
        name="log.before-commit",
        target="afeed.livelog.database:Database.commit",
        when="before",
        circumstances="load",
        passes=40,
        proves="what was not committed was not confirmed, and is taken when it is sent again",
    ),
    FailPoint(
        name="log.during-commit",
        target="afeed.livelog.database:Database.commit",
        when="during",
        circumstances="load",
        passes=40,
        proves="a group is recorded as a whole or not at all",
    ),
    FailPoint(
        name="log.after-commit",
        target="afeed.livelog.database:Database.commit",
        when="after",
        circumstances="load",
        passes=40,
        proves="what was committed and not yet shown or confirmed is shown once",
    ),
    FailPoint(
        name="log.before-delivery",
        target="afeed.livelog.writer:Writer._deliver",
        when="before",
        circumstances="load",
        passes=40,
        proves="what was committed and did not reach the reactor is there after the start",
    ),
    FailPoint(
        name="log.shown-unanswered",
        target="afeed.livelog.embedded:EmbeddedLog._settled",
        when="after",
        circumstances="load",
        passes=40,
        proves="what viewers have seen and the publisher was not told of keeps its number",
    ),
    FailPoint(
        name="log.before-checkpoint",
        target="afeed.livelog.database:Database.tidy",
        when="before",
        circumstances="restart",
        proves="the write-ahead log is read again",
    ),
    FailPoint(
        name="log.during-checkpoint",
        target="afeed.livelog.database:Database.tidy",
        when="during",
        circumstances="restart",
        proves="a file that was half brought up to date is finished from the write-ahead log",
    ),
    FailPoint(
        name="log.after-checkpoint",
        target="afeed.livelog.database:Database.tidy",
        when="after",
        circumstances="restart",
        proves="the file is whole without its write-ahead log",
    ),
    FailPoint(
        name="log.made-unnamed",
        target="pathlib:Path.replace",
        when="before",
        only=_of_the_log,
        circumstances="first start",
        proves="a file that was made and not named yet is in nobody's way",
    ),
    FailPoint(
        name="log.made",
        target="afeed.livelog.database:create",
        when="after",
        circumstances="first start",
        proves="an empty file is a good beginning",
    ),
    FailPoint(
        name="log.before-open",
        target="afeed.livelog.embedded:EmbeddedLog._open",
        when="before",
        circumstances="restart",
        proves="two deaths in a row take nothing",
    ),
    FailPoint(
        name="log.during-open",
        target="afeed.livelog.embedded:EmbeddedLog._open",
        when="during",
        circumstances="restart",
        proves="reading the write-ahead log can begin again",
    ),
    FailPoint(
        name="log.after-open",
        target="afeed.livelog.embedded:EmbeddedLog._open",
        when="after",
        circumstances="restart",
        proves="opening changes nothing",
    ),
    FailPoint(
        name="log.during-trim",
        target="afeed.livelog.database:Database.trim",
        when="after",
        circumstances="trimming",
        proves="a trim that was not committed has not happened",
    ),
)

_REDIS = (
    FailPoint(
        name="redis.before-append",
        target="afeed.livelog.redis_commands:Commands.append",
        when="before",
        only=_appends,
        circumstances="redis load",
        passes=40,
        proves="what was not sent was not confirmed",
    ),
    FailPoint(
        name="redis.during-append",
        target="afeed.livelog.redis_commands:Commands.append",
        when="during",
        only=_appends,
        circumstances="redis load",
        passes=40,
        proves="a script whose answer nobody heard is known when it is repeated",
    ),
    FailPoint(
        name="redis.after-append",
        target="afeed.livelog.redis_commands:Commands.append",
        when="after",
        only=_appends,
        circumstances="redis load",
        passes=40,
        proves="what Redis has and nobody was told of is shown once",
    ),
    FailPoint(
        name="redis.before-mirror",
        target="afeed.livelog.redis_mirror:Mirror.add",
        when="before",
        circumstances="redis load",
        passes=40,
        proves="what the node's own memory lacked is read from Redis",
    ),
    FailPoint(
        name="redis.after-mirror",
        target="afeed.livelog.redis_mirror:Mirror.add",
        when="after",
        circumstances="redis load",
        passes=40,
        proves="what viewers have seen and the publisher was not told of keeps its number",
    ),
    FailPoint(
        name="redis.greeted",
        target="afeed.livelog.redis:RedisLog._greet",
        when="after",
        circumstances="redis restart",
        proves="a connection that was looked at and not used leaves nothing behind",
    ),
    FailPoint(
        name="redis.during-trim",
        target="afeed.livelog.redis_commands:Commands.trim",
        when="during",
        circumstances="redis trimming",
        proves="a trim whose answer nobody heard took only what the archive has",
    ),
)


def _restoring(log: str, restoring: str) -> tuple[FailPoint, ...]:
    """The steps in which a log that was lost is filled from the archive."""
    circumstances = "refill" if log == "log" else f"{log} refill"
    return (
        FailPoint(
            name=f"{log}.restore.staged",
            target=f"{restoring}.stage",
            when="after",
            circumstances=circumstances,
            proves="what was staged is dropped, and the refill begins again",
        ),
        FailPoint(
            name=f"{log}.restore.half",
            target=f"{restoring}.restore",
            when="after",
            circumstances=circumstances,
            passes=2,
            adjust=_SMALL_PAGES,
            proves="a log that is half filled is never served",
        ),
        FailPoint(
            name=f"{log}.restore.before-publish",
            target=f"{restoring}.publish",
            when="before",
            circumstances=circumstances,
            proves="a log that is filled and not in force is never served",
        ),
        FailPoint(
            name=f"{log}.restore.published",
            target=f"{restoring}.publish",
            when="after",
            circumstances=circumstances,
            proves="the new epoch stands, and no other begins",
        ),
    )


_RESTORING = (
    *_restoring("log", "afeed.livelog.embedded_restore:EmbeddedRestoring"),
    *_restoring("redis", "afeed.livelog.redis_restore:RedisRestoring"),
)


def _straining(circumstances: str, prefix: str) -> tuple[FailPoint, ...]:
    """The strainer's steps, on one kind of database."""
    return (
        FailPoint(
            name=f"{prefix}.before-commit",
            target="afeed.archive.transactions:write",
            when="after",
            circumstances=circumstances,
            passes=3,
            proves="rows and position are undone together",
        ),
        FailPoint(
            name=f"{prefix}.after-commit",
            target="afeed.archive.store:SqlArchive.store",
            when="after",
            circumstances=circumstances,
            passes=3,
            proves="what is in the archive is not copied again",
        ),
        FailPoint(
            name=f"{prefix}.before-trim",
            target="afeed.livelog.embedded:EmbeddedLog.trim",
            when="before",
            circumstances=circumstances,
            proves="what was copied and not trimmed is served from the log",
        ),
        FailPoint(
            name=f"{prefix}.after-trim",
            target="afeed.livelog.embedded:EmbeddedLog.trim",
            when="after",
            circumstances=circumstances,
            proves="what was trimmed is served from the archive",
        ),
    )


_STRAINER = (*_straining("trimming", "strainer"), *_straining("postgresql trimming", "strainer.postgresql"))


def _migrating(prefix: str, circumstances: str) -> tuple[FailPoint, ...]:
    """The moments of a migration, on one kind of database."""
    return (
        FailPoint(
            name=f"{prefix}.between-statements",
            target="alembic.op:create_table",
            when="after",
            circumstances=f"{circumstances}first migration",
            passes=3,
            proves="a revision is made as a whole or not at all",
        ),
        FailPoint(
            name=f"{prefix}.between-revisions",
            target="alembic.runtime.migration:HeadMaintainer.update_to_step",
            when="after",
            circumstances=f"{circumstances}first migration",
            proves="all revisions are made or none is",
        ),
        FailPoint(
            name=f"{prefix}.upgrade",
            target="alembic.op:create_table",
            when="after",
            circumstances=f"{circumstances}upgrade",
            proves="an archive with content is brought up to date as a whole or left alone",
        ),
        FailPoint(
            name=f"{prefix}.before-commit",
            target="afeed.archive.schema:_migrate",
            when="after",
            circumstances=f"{circumstances}upgrade",
            proves="a migration that was not committed has not happened",
        ),
        FailPoint(
            name=f"{prefix}.committed",
            target="afeed.archive.schema:prepare",
            when="after",
            circumstances=f"{circumstances}upgrade",
            proves="a migration that was committed is not made again",
        ),
    )


_MIGRATIONS = (*_migrating("migration", ""), *_migrating("migration.postgresql", "postgresql "))

_INTAKE = (
    FailPoint(
        name="push.parsed",
        target="afeed.sources.push:read_push",
        when="after",
        circumstances="load",
        passes=20,
        proves="what was read and not recorded was not confirmed",
    ),
    FailPoint(
        name="push.before-answer",
        target="afeed.web.exchange:Exchange.json",
        when="before",
        only=_accepted,
        circumstances="load",
        passes=20,
        proves="what was recorded and not confirmed keeps its number when it is sent again",
    ),
    FailPoint(
        name="push.after-answer",
        target="afeed.web.exchange:Exchange.json",
        when="after",
        only=_accepted,
        circumstances="load",
        passes=20,
        proves="what was confirmed is durable",
    ),
    FailPoint(
        name="x.line-parsed",
        target="afeed.core.normalise.x:read_message",
        when="after",
        circumstances="x",
        passes=4,
        proves="a post that was read and not offered is fetched again",
    ),
    FailPoint(
        name="x.before-offer",
        target="afeed.pipeline:Intake.offer",
        when="before",
        only=_with_drafts,
        circumstances="x",
        passes=3,
        proves="a post that was not recorded is fetched again",
    ),
    FailPoint(
        name="x.offered",
        target="afeed.pipeline:Intake.offer",
        when="after",
        only=_with_drafts,
        circumstances="x",
        passes=3,
        proves="a post that was recorded and fetched again is shown once",
    ),
    FailPoint(
        name="x.before-page",
        target="afeed.sources.xapi:XApi.search",
        when="before",
        circumstances="x",
        adjust=_SEARCH_AT_ONCE,
        proves="an outage whose filling had not begun is remembered",
    ),
    FailPoint(
        name="x.page-fetched",
        target="afeed.sources.xapi:XApi.search",
        when="after",
        circumstances="x",
        adjust=_SEARCH_AT_ONCE,
        proves="an outage that was half filled is filled again",
    ),
    FailPoint(
        name="x.page-recorded",
        target="afeed.sources.xbackfill:BackFill._offer",
        when="after",
        circumstances="x",
        adjust=_SEARCH_AT_ONCE,
        proves="an outage whose posts are recorded and that is not closed is closed later",
    ),
    FailPoint(
        name="x.before-position",
        target="afeed.sources.delivery:Delivery.note",
        when="before",
        circumstances="x",
        proves="the position before is as good",
    ),
    FailPoint(
        name="x.position-stored",
        target="afeed.pipeline:Intake.offer",
        when="after",
        only=lambda sink, event, drafts, position=None: position is not None,
        circumstances="x",
        proves="what the position says is true",
    ),
    FailPoint(
        name="flickr.page-read",
        target="afeed.sources.flickr:FlickrPoller._page",
        when="after",
        circumstances="flickr",
        proves="a page that was read and not offered is asked for again",
    ),
    FailPoint(
        name="flickr.offered",
        target="afeed.pipeline:Intake.offer",
        when="after",
        only=_with_drafts,
        circumstances="flickr",
        proves="photos that were recorded and found again are shown once",
    ),
    FailPoint(
        name="flickr.between-page-and-position",
        target="afeed.livelog.embedded:EmbeddedLog.append",
        when="before",
        only=lambda log, event, epoch, drafts, position=None, **more: bool(drafts and position),
        circumstances="flickr",
        proves="photos and position are stored in one step",
    ),
    FailPoint(
        name="replay.before-offer",
        target="afeed.core.playing:Player.advance",
        when="after",
        circumstances="replay",
        passes=8,
        proves="what was due and not recorded is played after the start",
    ),
    FailPoint(
        name="replay.offered",
        target="afeed.pipeline:Intake.offer",
        when="after",
        only=_with_drafts,
        circumstances="replay",
        passes=8,
        proves="what was recorded is not played again",
    ),
)

_START = (
    FailPoint(
        name="start.listening",
        target="afeed.node:Node.privilegedStartService",
        when="after",
        circumstances="restart",
        proves="a port that nobody serves yet is given up",
    ),
    FailPoint(
        name="start.locked",
        target="afeed.tap:hold",
        when="after",
        circumstances="restart",
        proves="the lock of a dead process is nobody's",
    ),
    FailPoint(
        name="start.looked",
        target="afeed.tap:_preflight",
        when="after",
        circumstances="restart",
        proves="looking changes nothing",
    ),
    FailPoint(
        name="start.archive-open",
        target="afeed.archive.store:SqlArchive.start",
        when="after",
        circumstances="restart",
        proves="an archive that was opened and not used is as before",
    ),
    FailPoint(
        name="start.log-open",
        target="afeed.livelog.embedded:EmbeddedLog.start",
        when="after",
        circumstances="restart",
        proves="a log that was opened and not served is as before",
    ),
    FailPoint(
        name="start.hub-started",
        target="afeed.hub:Hub.start",
        when="after",
        circumstances="restart",
        proves="viewers who were let in early go on where they were",
    ),
    FailPoint(
        name="start.before-work",
        target="afeed.node:Node._begin",
        when="before",
        circumstances="restart",
        proves="what was pushed before the strainer ran is archived",
    ),
    FailPoint(
        name="start.before-ready",
        target="afeed.tap:notify",
        when="before",
        only=_ready,
        circumstances="restart",
        proves="a start of which nobody was told can be made again",
    ),
)


def _flush(*args: object, **more: object) -> bool:
    """Whether nothing is to be appended."""
    return not args[3]


_LEAD = (
    FailPoint(
        name="lead.begun",
        target="afeed.node:Node._lead",
        when="after",
        circumstances="redis restart",
        proves="a term of a dead node runs out, and the next leads",
    ),
    FailPoint(
        name="lead.resigned",
        target="afeed.leadership:Leadership.resign",
        when="after",
        circumstances="redis stop",
        proves="a term that was given up is nobody's",
    ),
)


def _stopping(*steps: tuple[str, str, Literal["before", "after"]]) -> tuple[FailPoint, ...]:
    """Every step of the end, in its order."""
    return tuple(
        FailPoint(
            name=f"stop.{name}",
            target=target,
            when=when,
            only=_flush if target.endswith(".append") else None,
            circumstances="stop",
            proves="an end that was cut off here has cost nothing",
        )
        for name, target, when in steps
    )


_STOP = _stopping(
    ("begun", "afeed.node:Node.stopService", "before"),
    ("pushes-refused", "afeed.sources.push:Push.close", "after"),
    ("sources-stopped", "afeed.node:DeferredList", "after"),
    ("before-flush", "afeed.livelog.embedded:EmbeddedLog.append", "before"),
    ("flushed", "afeed.livelog.embedded:EmbeddedLog.append", "after"),
    ("viewers-sent-away", "afeed.hub:Hub.stop", "after"),
    ("strainer-stopped", "afeed.archive.strainer:Strainer.drain", "before"),
    ("drained", "afeed.archive.strainer:Strainer.drain", "after"),
    ("connections-closed", "afeed.web.front:Front.stop", "after"),
    ("log-closing", "afeed.livelog.database:Database.close", "before"),
    ("log-closed", "afeed.livelog.embedded:EmbeddedLog.stop", "after"),
    ("archive-closed", "afeed.archive.store:SqlArchive.stop", "after"),
)

POINTS: tuple[FailPoint, ...] = (
    *_LOG,
    *_REDIS,
    *_RESTORING,
    *_STRAINER,
    *_MIGRATIONS,
    *_INTAKE,
    *_START,
    *_LEAD,
    *_STOP,
)

BY_NAME: Mapping[str, FailPoint] = {point.name: point for point in POINTS}
