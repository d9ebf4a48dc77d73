"""A node that dies at a named moment, or lacks one of its protections."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from subprocess import TimeoutExpired
from typing import Any

from tests.chaos.failpoints import FailPoint
from tests.chaos.sabotage import said_at
from tests.servers.afeed import AfeedServer


class SabotagedServer(AfeedServer):
    """It lacks the protections ``without`` (:mod:`tests.chaos.controls`), and is sound in all else unless
    :meth:`doom` starts it; ``seed`` is that of the moment at which it dies then."""

    def __init__(self, *, without: Sequence[str] = (), seed: int = 0, **settings: Any) -> None:
        super().__init__(**settings)
        self._seed = seed
        self._sound = self._twistd
        self._without = [option for name in without for option in ("--without", name)]
        self._sabotage(*self._without)

    def doom(self, point: FailPoint) -> None:
        """Start it so that it dies at ``point``, and return at once."""
        self._said = len(self.output())
        self._sabotage(*self._without, "--fail-point", point.name, "--seed", str(self._seed))
        try:
            self.launch()
        finally:
            self._sabotage(*self._without)

    def die(self, point: FailPoint, seconds: float = 120.0) -> None:
        """Return once it has died at ``point``; raises :class:`AssertionError` when it does not, or dies of
        something else."""
        try:
            status: int | None = self.wait(seconds)
        except TimeoutExpired:
            status = None
        said = self.output()[self._said :]
        if status != -signal.SIGKILL or said_at(point) not in said:
            raise AssertionError(f"{point.name} was not reached (status {status}):\n{said}")

    def _sabotage(self, *options: str) -> None:
        sabotage = [sys.executable, "-m", "tests.chaos.sabotage", *options, "--"]
        self._twistd = sabotage if options else self._sound
