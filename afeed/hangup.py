"""SIGHUP: the configuration is looked at again, and nothing else changes.

Log rotators and operators send it out of habit; a server that ended of it in the middle of an event would be a
nasty surprise.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.logger import Logger

from afeed.config import ConfigurationError, load

_log = Logger()


class HangUp:
    """Checks the configuration file at ``path`` (None: there is none, as in the demo), with secrets from
    ``environ``, whenever :meth:`heed` was asked to and SIGHUP comes.

    :ivar problems: how many mistakes the last look found; 0 before the first.
    """

    def __init__(self, path: Path | None, environ: Mapping[str, str]) -> None:
        self.problems = 0
        # A daemon changes its directory.
        self._path = None if path is None else path.absolute()
        self._environ = environ

    def heed(self, reactor: Any) -> None:
        """From now on SIGHUP has :meth:`look` called by ``reactor``.  Only in the main thread."""
        signal.signal(signal.SIGHUP, lambda number, frame: reactor.callFromThread(self.look))

    def look(self) -> None:
        """Say in the log what the configuration is now worth; what runs goes on with the one it has."""
        if self._path is None:
            _log.info("SIGHUP changes nothing: there is no configuration file")
            return
        try:
            load(self._path, self._environ)
        except ConfigurationError as error:
            self.problems = len(error.problems)
            _log.error(
                "SIGHUP: the configuration has {count} mistakes; afeed goes on with the one it has, and would "
                "not start again before they are mended: {mistakes}",
                count=self.problems,
                mistakes=str(error),
            )
        else:
            self.problems = 0
            _log.info(
                "SIGHUP: {path} is sound; what changed in it counts from the next start", path=str(self._path)
            )
