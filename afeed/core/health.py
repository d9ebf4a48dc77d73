"""What a component says about itself on /healthz."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

State = Literal["ok", "degraded", "failed"]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One named check.

    ``failed`` turns /healthz red (503); ``degraded`` is told but keeps it green, because people are still
    served. ``detail`` is one sentence that says what happened and, where there is something to do, what the
    operator may do. ``data`` holds figures and times (RFC 3339) for machines.  Never a secret in either.
    """

    name: str
    state: State
    detail: str
    data: dict[str, Any] = msgspec.field(default_factory=dict)
