"""The archive's threads: each serves one database connection, and each is accounted for at the end."""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from twisted._threads import AlreadyQuit, ThreadWorker
from twisted.internet.defer import Deferred, DeferredList
from twisted.python.failure import Failure

T = TypeVar("T")


class Workers:
    """Makes threads that take work from a queue, and knows which of them still live.

    They are daemon threads: one that hangs in a database driver must not keep the process from ending.
    """

    def __init__(self, reactor: Any, name: str) -> None:
        self._reactor = reactor
        self._name = name
        self._made = 0
        self._ends: dict[Thread, Deferred[None]] = {}
        self._workers: dict[Thread, ThreadWorker] = {}
        #: The worker made last.
        self.newest: ThreadWorker | None = None

    @property
    def alive(self) -> int:
        """How many threads have not ended yet."""
        return len(self._ends)

    def create(self) -> ThreadWorker:
        """A new thread, as Alchimia's ``create_worker`` wants it."""
        started: list[Thread] = []

        def start_thread(work: Callable[[], object]) -> None:
            def main() -> None:
                try:
                    work()
                finally:
                    self._reactor.callFromThread(self._ended, thread)

            self._made += 1
            thread = Thread(target=main, name=f"{self._name}-{self._made}", daemon=True)
            started.append(thread)
            self._ends[thread] = Deferred()
            thread.start()

        worker = ThreadWorker(start_thread, SimpleQueue())
        self._workers[started[0]] = worker
        self.newest = worker
        return worker

    def run(self, function: Callable[[], T]) -> Deferred[T]:
        """Call ``function`` in a thread made for it.  Fires with its result; cancelling abandons the wait."""
        done: Deferred[T] = Deferred()
        worker = self.create()

        def call() -> None:
            try:
                result = function()
            except BaseException:
                failure = Failure()
                self._reactor.callFromThread(done.errback, failure)
            else:
                self._reactor.callFromThread(done.callback, result)

        worker.do(call)
        worker.quit()
        return done

    def quit(self, worker: ThreadWorker) -> None:
        """Let the thread end after what is already in its queue; harmless when it was told before."""
        try:
            worker.quit()
        except AlreadyQuit:
            pass

    def close(self) -> Deferred[Any]:
        """Tell all threads to end.  Fires when they have."""
        for worker in list(self._workers.values()):
            self.quit(worker)
        return DeferredList([_watch(end) for end in self._ends.values()])

    def _ended(self, thread: Thread) -> None:
        thread.join()
        self._workers.pop(thread)
        self._ends.pop(thread).callback(None)


def _watch(end: Deferred[None]) -> Deferred[None]:
    """A Deferred of one's own for ``end``, so that cancelling it does not disturb other waiters."""
    own: Deferred[None] = Deferred()

    def fire(_: object) -> None:
        if not own.called:
            own.callback(None)

    end.addCallback(fire)
    return own
