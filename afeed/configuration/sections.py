"""The tables ``[server]``, ``[store]`` and ``[accounts]``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from afeed.configuration import credentials, endpoints, stores, values
from afeed.configuration.table import Key, Surroundings, Table
from afeed.settings import FlickrAccount, Server, Store, XAccount

#: Networks that may not be those of everybody, and why.
_EVERYBODY = {
    "trusted_proxies": "covers every address, so anybody could claim any; name your proxies' addresses",
    "internal": "covers every address, so metrics and the details of health would be shown to the whole world; "
    "name your own networks' addresses",
}
_CROWD_WHY = "one browser opens half a dozen connections, and everybody at a venue may share one address"
LEAST_WINDOW = 200
_WINDOW_WHY = "one message carries up to 200 changes, and all of the window is kept in memory"
LEAST_LOG_BYTES = 1_000_000
LEAST_MEDIA_BYTES = 20_000_000
_MEDIA_WHY = "one picture may have 20 MB"
_LOG_WHY = "one change may have 100 KB, so a smaller log would soon refuse everything"


def server(table: Table, around: Surroundings) -> Server | None:
    """The ``[server]`` table; None after a report."""
    origins = Key(str, values.origin, many=True)
    found = table.read(
        {
            "listen": Key(str, endpoints.endpoint(around.folder), many=True, least=1, most=20),
            "public_url": Key(str, values.origin),
            **{key: Key(str, values.network(why), many=True) for key, why in _EVERYBODY.items()},
            "frame_ancestors": origins,
            "cors_origins": origins,
            "max_connections_per_address": Key(int, values.between(10, 1_000_000, _CROWD_WHY)),
        }
    )
    listen = found.get("listen", Server().listen)
    if len(set(listen)) < len(listen):
        table.wrong("listen", "names one endpoint twice")
    for key, why in _EVERYBODY.items():
        # Two halves are the whole as well.
        if values.covers_everything(found.get(key, ())):
            table.wrong(key, why)
    if "public_url" not in table and "listen" in found:
        url = endpoints.public_url(listen[0])
        if url is None:
            kind = listen[0].partition(":")[0]
            table.wrong("public_url", f"is missing, and a {kind} endpoint does not tell what browsers ask for")
        else:
            found["public_url"] = values.origin(url)
    return None if table.has_problems else Server(**found)


def store(table: Table, around: Surroundings) -> Store | None:
    """The ``[store]`` table; None after a report."""
    found = table.read(
        {
            "data_dir": Key(str),
            "live_log": Key(str, stores.live_log),
            "window": Key(int, values.between(LEAST_WINDOW, 1_000_000, _WINDOW_WHY)),
            "max_log_bytes": Key(int, values.between(LEAST_LOG_BYTES, 10**15, _LOG_WHY)),
            "archive": Key(str),
            "media_dir": Key(str),
            "max_media_bytes": Key(int, values.between(LEAST_MEDIA_BYTES, 10**15, _MEDIA_WHY)),
            **credentials.reference_keys("live_log_password"),
            **credentials.reference_keys("archive_password"),
        }
    )
    log_password = credentials.secret(
        table, "live_log_password", found, around, rule=credentials.password, required=False
    )
    archive_password = credentials.secret(
        table, "archive_password", found, around, rule=credentials.password, required=False
    )
    directory = table.checked("data_dir", stores.data_dir(around.folder), found.get("data_dir", "var"))
    if directory is None:
        return None
    found["data_dir"] = directory
    if "media_dir" in found:
        found["media_dir"] = table.checked("media_dir", stores.data_dir(around.folder), found["media_dir"])
    if log_password is not None and ("live_log" in found or "live_log" not in table):
        add = stores.live_log_with(log_password)
        found["live_log"] = table.checked("live_log", add, found.get("live_log", stores.EMBEDDED))
    if "archive" in found:
        check = stores.archive(around.folder, directory, archive_password)
        found["archive"] = table.checked("archive", check, found["archive"])
    elif archive_password is not None:
        table.wrong("archive", "is missing; an SQLite archive, the default, has no password")
    else:
        found["archive"] = stores.default_archive(directory)
    return None if table.has_problems else Store(**found)


def accounts(table: Table, around: Surroundings) -> dict[str, Any]:
    """The tables below ``[accounts]`` by name; None for one with problems."""
    table.read({}, tables=tuple(_ACCOUNTS))
    found: dict[str, Any] = {}
    for name, (secret_name, make) in _ACCOUNTS.items():
        if name in table:
            found[name] = _account(table.table(name), secret_name, make, around)
    return found


def _account(table: Table, name: str, make: Callable[..., object], around: Surroundings) -> object | None:
    if table.has_problems:
        return None
    found = table.read({**credentials.reference_keys(name), "api_url": Key(str, values.api_url)})
    found[name] = credentials.secret(table, name, found, around)
    return None if table.has_problems else make(**found)


#: What each upstream calls its secret, and what holds it.
_ACCOUNTS: dict[str, tuple[str, Callable[..., object]]] = {
    "x": ("bearer_token", XAccount),
    "flickr": ("api_key", FlickrAccount),
}
