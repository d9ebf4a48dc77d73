"""All targets by name."""

from __future__ import annotations

from collections.abc import Mapping

from tests.fuzz.backups import BACKUPS
from tests.fuzz.clients import CLIENTS
from tests.fuzz.engine import Target
from tests.fuzz.operators import OPERATORS
from tests.fuzz.programmes import PROGRAMMES
from tests.fuzz.upstream import UPSTREAM

TARGETS: Mapping[str, Target] = {
    target.name: target for target in (*UPSTREAM, *CLIENTS, *OPERATORS, *PROGRAMMES, *BACKUPS)
}
