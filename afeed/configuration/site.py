"""As much of the configuration as programs need that read what is kept: no secret of any source."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import attrs

from afeed.configuration.document import read_document
from afeed.configuration.events import events
from afeed.configuration.problems import Report
from afeed.configuration.sections import server, store
from afeed.configuration.table import Surroundings, Table
from afeed.settings import Event, Server, Store

_TABLES = ("server", "store", "accounts", "admin", "events")


@attrs.frozen(kw_only=True)
class Site:
    """The events, without their sources; where they are shown, and where everything is kept."""

    server: Server
    store: Store
    events: tuple[Event, ...]

    def event(self, slug: str) -> Event | None:
        """The event with this slug."""
        return next((event for event in self.events if event.slug == slug), None)


def load_site(path: str | Path, environ: Mapping[str, str]) -> Site:
    """Read the configuration file at ``path``; of its secrets only the passwords of ``[store]`` are needed.
    Raises :class:`~afeed.configuration.problems.ConfigurationError` with everything that is wrong."""
    folder = Path(path).absolute().parent
    document, positions = read_document(Path(path), str(path))
    given = document.get("events")
    for event in given if isinstance(given, list) else ():
        if isinstance(event, dict):
            event.pop("sources", None)
    report = Report(str(path), positions)
    root = Table(document, (), report)
    root.read({}, tables=_TABLES)
    access, admin = root.table("accounts"), root.table("admin")
    around = Surroundings(folder, environ, frozenset(access), organised="users" in admin)
    found_server = server(root.table("server"), around)
    found_store = store(root.table("store"), around)
    found_events = events(root, around)
    if report or found_server is None or found_store is None:
        raise report.error()
    return Site(server=found_server, store=found_store, events=found_events)
