"""Properties that hold for whatever Hypothesis makes up: how all tests of the suite look for what breaks them.

An example takes as long as it takes, for the machine may have other work to do, and every run tries the same
ones: what fails, fails again.  ``AFEED_SEED=7`` tries others.  Modules take ``given`` and ``settings`` from
here.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import hypothesis
from hypothesis import HealthCheck, settings

__all__ = ["given", "settings"]

SEED = os.environ.get("AFEED_SEED")

settings.register_profile(
    "afeed",
    deadline=None,
    derandomize=SEED is None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("afeed")


def given(*arguments: Any, **named: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Hypothesis's, with the seed that was asked for."""

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        found = hypothesis.given(*arguments, **named)(test)
        return found if SEED is None else hypothesis.seed(int(SEED))(found)

    return decorate
