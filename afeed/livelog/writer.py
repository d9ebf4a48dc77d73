"""The one thread that works on the embedded log's file, with group commit.

The thread takes everything that waits, runs it in one transaction and commits; what arrives meanwhile waits
for the next commit.  There is no timer: an idle log commits a single append at once, a busy one shares each
sync of the disk among many.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

import attrs
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import Logger
from twisted.python.failure import Failure

from afeed.core.errors import AfeedError, LogUnavailable
from afeed.livelog.database import Database, unavailable
from afeed.livelog.settle import Moved

#: How many jobs share one transaction at most, so that the first of them need not wait for a whole flood.
GROUP = 512

T = TypeVar("T")


@attrs.define(eq=False)
class _Job:
    work: Callable[[Database], Any]
    writes: bool
    apply: Callable[[Any], None] | None
    done: Deferred[Any]
    result: Any = None


class Writer:
    """Runs jobs on the :class:`Database` that ``open`` returns, in the order in which they were submitted
    (writes of a group before its reads), each in a thread that the reactor never waits for.

    ``settled`` is called in the reactor thread once per group, after every job's ``apply`` and before any
    Deferred fires.
    """

    _log = Logger()

    def __init__(
        self, reactor: IReactorFromThreads, open: Callable[[], Database], settled: Callable[[], None]
    ) -> None:
        self._reactor = reactor
        self._open = open
        self._settled = settled
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._stopped: Deferred[None] | None = None
        self._alive = False
        #: What went wrong with the last transaction, None while all is well.
        self.trouble: str | None = None
        #: How many jobs wait for the thread or run in it.
        self.waiting = 0

    def start(self) -> Deferred[None]:
        """Open the database.  Fires when that is done; fails with what ``open`` raised, and then the thread
        has ended."""
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
        an exception undoes what ``work`` wrote and nothing else."""
        return self._submit(work, True, apply)

    def read(self, work: Callable[[Database], T]) -> Deferred[T]:
        """Fires with the result of ``work``, which must not write."""
        return self._submit(work, False, None)

    def _submit(
        self, work: Callable[[Database], T], writes: bool, apply: Callable[[T], None] | None
    ) -> Deferred[T]:
        if self._stopped is not None:
            return fail(LogUnavailable("the live log is closed"))
        done: Deferred[T] = Deferred()
        self.waiting += 1
        self._queue.put(_Job(work, writes, apply, done))
        return done

    # In the thread

    def _run(self, started: Deferred[None]) -> None:
        try:
            database = self._open()
        except BaseException:
            self._reactor.callFromThread(started.errback, Failure())
            return
        self._reactor.callFromThread(started.callback, None)
        stopping = False
        while not stopping:
            group: list[_Job] = []
            job = self._queue.get()
            while True:
                if job is None:
                    stopping = True
                    break
                group.append(job)
                if len(group) == GROUP or self._queue.empty():
                    break
                job = self._queue.get()
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
                for job in writes:
                    self._attempt(database, job)
                database.commit()
            except sqlite3.Error as error:
                failure = Failure(unavailable(error))
                trouble = str(error)
                for job in writes:
                    job.result = failure
                try:
                    database.rollback()
                except sqlite3.Error as again:
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

    def _attempt(self, database: Database, job: _Job) -> None:
        try:
            with database.attempt():
                job.result = job.work(database)
        except sqlite3.Error:
            raise
        except (AfeedError, Moved):
            job.result = Failure()
        except Exception as error:
            self._log.failure("A write to the live log failed and was undone; others are not affected")
            job.result = Failure(LogUnavailable(f"the write failed: {type(error).__name__}"))

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
        self.waiting -= len(group)
        for job in group:
            if job.apply is not None and not isinstance(job.result, Failure):
                try:
                    job.apply(job.result)
                except Exception:
                    self._log.failure("The live log's memory could not follow a commit")
        self._settled()
        for job in group:
            job.done.callback(job.result)

    def _not_started(self, failure: Failure) -> Failure:
        self._alive = False
        if self._stopped is not None and not self._stopped.called:
            self._stopped.callback(None)
        return failure

    def _end(self) -> None:
        assert self._stopped is not None
        self._stopped.callback(None)
