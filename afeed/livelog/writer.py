"""The one thread that works on the embedded log's file, with group commit.

The thread takes everything that waits, runs it in one transaction and commits; what arrives meanwhile waits
for the next commit.  An idle log commits a single append at once; a busy one lingers for a moment first, so
that more appends share each sync of the disk.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from queue import SimpleQueue
from typing import Any, TypeVar

import attrs
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall, IReactorFromThreads, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from afeed.core.errors import AfeedError, LogDefect, LogUnavailable
from afeed.livelog.database import Database
from afeed.livelog.database_file import unavailable

#: How many jobs share one transaction at most, so that the first of them need not wait for a whole flood.
GROUP = 512

#: How long the thread of a busy log waits for company before it begins a transaction, in seconds, and how
#: long a log is busy after it had several appends to record at once.
LINGER_SECONDS, BUSY_SECONDS = 0.001, 0.1

#: How long a job may take, waiting included, before it is given up, in seconds.
PATIENCE_SECONDS = 5.0

T = TypeVar("T")


@attrs.define(eq=False)
class _Job:
    work: Callable[[Database], Any]
    writes: bool
    apply: Callable[[Any], None] | None
    done: Deferred[Any]
    since: float
    result: Any = None


class IReactor(IReactorTime, IReactorFromThreads):
    """What the thread needs of a reactor."""


class Writer:
    """Runs jobs on the :class:`Database` that ``open`` returns, in the order in which they were submitted
    (writes of a group before its reads), each in a thread that the reactor never waits for.

    ``settled`` is called in the reactor thread once per group, after every job's ``apply`` and before any
    Deferred fires.
    """

    _log = Logger()

    def __init__(self, reactor: IReactor, open: Callable[[], Database], settled: Callable[[], None]) -> None:
        self._reactor = reactor
        self._open = open
        self._settled = settled
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._stopped: Deferred[None] | None = None
        self._alive = False
        #: What went wrong with the last transaction, None while all is well.
        self.trouble: str | None = None
        self._pending: deque[_Job] = deque()
        self._watch: IDelayedCall | None = None
        #: Whether the oldest job has been given up and still runs: the disk hangs.
        self.stuck = False

    @property
    def waiting(self) -> int:
        """How many jobs wait for the thread or run in it."""
        return len(self._pending)

    def start(self) -> Deferred[None]:
        """Open the database, also again after :meth:`stop`.  Fires when that is done; fails with what ``open``
        raised, and then the thread has ended."""
        self._stopped = None
        started: Deferred[None] = Deferred()
        started.addErrback(self._not_started)
        self._alive = True
        threading.Thread(target=self._run, args=(started,), name="afeed-livelog", daemon=True).start()
        return started

    def stop(self) -> Deferred[None]:
        """Fires when everything submitted is done and the database is closed; later submissions fail."""
        if self._stopped is None:
            self._stopped = Deferred()
            if self._alive:
                self._queue.put(None)
            else:
                self._stopped.callback(None)
        waiter: Deferred[None] = Deferred()
        self._stopped.addCallback(lambda _: waiter.callback(None))
        return waiter

    def write(self, work: Callable[[Database], T], apply: Callable[[T], None] | None = None) -> Deferred[T]:
        """Run ``work`` in a transaction.  Fires with its result once that is durable, after ``apply(result)``;
        an exception undoes what ``work`` wrote and nothing else.  One that nobody foresaw becomes
        :class:`~afeed.core.errors.LogDefect`."""
        return self._submit(work, True, apply)

    def read(self, work: Callable[[Database], T]) -> Deferred[T]:
        """Fires with the result of ``work``, which is outside any transaction and must record nothing."""
        return self._submit(work, False, None)

    def _submit(
        self, work: Callable[[Database], T], writes: bool, apply: Callable[[T], None] | None
    ) -> Deferred[T]:
        if self._stopped is not None:
            return fail(LogUnavailable("the live log is closed"))
        done: Deferred[T] = Deferred()
        job = _Job(work, writes, apply, done, self._reactor.seconds())
        self._pending.append(job)
        self._queue.put(job)
        if self._watch is None:
            self._watch = self._reactor.callLater(PATIENCE_SECONDS, self._give_up)
        return done

    def _give_up(self) -> None:
        """Tell those who have waited too long; whether their writes get there after all is then unknown, and
        finding out is what repetition is for.

        The look goes on while jobs come and ends with the first that finds none: a timer for every job would
        cost as much as the rest of it."""
        self._watch = None
        now = self._reactor.seconds()
        late: list[_Job] = []
        for job in self._pending:
            left = job.since + PATIENCE_SECONDS - now
            if left > 0:
                self._watch = self._reactor.callLater(left, self._give_up)
                break
            late.append(job)
        if late and not self.stuck:
            self.stuck = True
            self._log.error(
                "The disk that holds data_dir has not answered for {seconds:g} s. Sources hold what they have "
                "and try again.",
                seconds=PATIENCE_SECONDS,
            )
        # Last, because whoever hears it may submit the next job at once.
        for job in late:
            if not job.done.called:
                job.done.errback(LogUnavailable("the disk that holds data_dir does not answer"))

    # In the thread

    def _run(self, started: Deferred[None]) -> None:
        try:
            database = self._open()
        except BaseException:
            self._reactor.callFromThread(started.errback, Failure())
            return
        self._reactor.callFromThread(started.callback, None)
        stopping = False
        busy_until = 0.0
        while not stopping:
            group: list[_Job] = []
            job = self._queue.get()
            if job is not None and time.monotonic() < busy_until:
                time.sleep(LINGER_SECONDS)
            while True:
                if job is None:
                    stopping = True
                    break
                group.append(job)
                if len(group) == GROUP or self._queue.empty():
                    break
                job = self._queue.get()
            if sum(job.writes for job in group) > 1:
                busy_until = time.monotonic() + BUSY_SECONDS
            if group:
                trouble = self._perform(database, group)
                self._reactor.callFromThread(self._deliver, group, trouble)
        try:
            database.close()
        except sqlite3.Error as error:
            # Nothing is lost by this: the next start reads the write-ahead log.
            self._log.warn("The live log's file could not be tidied up at the end: {error}", error=error)
        self._reactor.callFromThread(self._end)

    def _perform(self, database: Database, group: list[_Job]) -> str | None:
        trouble: str | None = None
        writes = [job for job in group if job.writes]
        if writes:
            try:
                database.begin()
                # The only one needs no part of its own in the transaction: what it wrote is undone with that.
                alone = len(writes) == 1
                for job in writes:
                    self._attempt(job, database, nullcontext() if alone else database.attempt())
                if alone and isinstance(writes[0].result, Failure):
                    database.rollback()
                else:
                    database.commit()
            except Exception as error:
                if not isinstance(error, sqlite3.Error):
                    self._log.failure("The live log failed in an unexpected way; the next append tries again")
                failure = Failure(unavailable(error))
                trouble = str(error) or type(error).__name__
                for job in writes:
                    job.result = failure
                try:
                    database.rollback()
                except Exception as again:
                    # Beginning the next transaction tries it again.
                    trouble = f"{trouble}; {again}"
        for job in group:
            if not job.writes:
                try:
                    job.result = job.work(database)
                except sqlite3.Error as error:
                    trouble = str(error)
                    job.result = Failure(unavailable(error))
                except Exception:
                    job.result = Failure()
        return trouble

    def _attempt(self, job: _Job, database: Database, part: AbstractContextManager[None]) -> None:
        try:
            with part:
                job.result = job.work(database)
        except sqlite3.Error:
            raise
        except AfeedError:
            job.result = Failure()
        except Exception as error:
            self._log.failure("A write to the live log failed and was undone; others are not affected")
            job.result = Failure(LogDefect(f"recording failed because of a defect: {type(error).__name__}"))

    # In the reactor

    def _deliver(self, group: list[_Job], trouble: str | None) -> None:
        if trouble is not None and trouble != self.trouble:
            self._log.error(
                "The live log could not be written: {trouble}. Nothing was half recorded; sources hold what "
                "they have and try again. Look at the disk that holds data_dir.",
                trouble=trouble,
            )
        wrote = trouble is None and any(job.writes for job in group)
        if wrote and self.trouble is not None:
            self._log.info("The live log can be written again.")
        if wrote or trouble is not None:
            self.trouble = trouble
        for _ in group:
            self._pending.popleft()
        self.stuck = False
        for job in group:
            if job.apply is not None and not isinstance(job.result, Failure):
                try:
                    job.apply(job.result)
                except Exception:
                    self._log.failure("The live log's memory could not follow a commit")
        self._settled()
        for job in group:
            if not job.done.called:
                job.done.callback(job.result)

    def _not_started(self, failure: Failure) -> Failure:
        self._alive = False
        if self._stopped is not None and not self._stopped.called:
            self._stopped.callback(None)
        return failure

    def _end(self) -> None:
        assert self._stopped is not None
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self._stopped.callback(None)
