"""What can go wrong with X, by name: ``fault("stall")`` or ``POST /control/fault`` with ``name=stall``.

Those that concern a connection that is being opened take ``times``; the others act on the open streams.
"""

from __future__ import annotations

import gzip
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tests.simulators.xhttp import TOO_MANY_STREAMS

if TYPE_CHECKING:
    from tests.simulators.x import XSimulator

DISCONNECT = {
    "title": "operational-disconnect",
    "disconnect_type": "UpstreamOperationalDisconnect",
    "detail": "This stream has been disconnected upstream for operational reasons.",
    "type": "https://api.x.com/2/problems/operational-disconnect",
}


# -- answers to connections and requests


def unauthorized(simulator: XSimulator, times: int = 1, on: str = "stream") -> None:
    """401: the token is not known."""
    simulator.refuse(
        401, {"title": "Unauthorized", "detail": "Unauthorized", "status": 401}, on=on, times=times
    )


def forbidden(simulator: XSimulator, times: int = 1, on: str = "stream") -> None:
    """403: the token may not use the stream."""
    problem = {
        "title": "Client Forbidden",
        "detail": "This page is only available to enrolled clients.",
        "reason": "client-not-enrolled",
        "type": "https://api.x.com/2/problems/client-forbidden",
    }
    simulator.refuse(403, problem, on=on, times=times)


def no_rules(simulator: XSimulator, times: int = 1) -> None:
    """409, although there are rules."""
    problem = {"title": "ConnectionException", "connection_issue": "RuleConfigurationIssue"}
    simulator.refuse(409, problem, times=times)


def rate_limited(
    simulator: XSimulator,
    reset_in: int = 60,
    remaining: int = 0,
    times: int = 1,
    on: str = "stream",
    status: int = 429,
) -> None:
    """429 (or 420) with a reset so many seconds away."""
    headers = {
        "Content-Type": "application/json",
        "x-rate-limit-remaining": str(remaining),
        "x-rate-limit-reset": str(int(simulator.now()) + reset_in),
    }
    simulator.refuse(status, {"title": "Too Many Requests"}, on=on, times=times, headers=headers)


def too_many_connections(simulator: XSimulator, times: int = 1) -> None:
    """429, as for a second connection."""
    simulator.refuse(429, TOO_MANY_STREAMS, times=times)


def unavailable(simulator: XSimulator, times: int = 1, on: str = "stream", status: int = 503) -> None:
    """503."""
    simulator.refuse(status, {"title": "Service Unavailable"}, on=on, times=times)


def reset(simulator: XSimulator, times: int = 1, on: str = "stream") -> None:
    """The connection is cut instead of an answer."""
    simulator.refuse(0, on=on, times=times)


def html(simulator: XSimulator, times: int = 1, on: str = "stream") -> None:
    """200 with the page of a captive portal."""
    page = b"<!doctype html><title>Welcome to the hotel's network</title>\r\n"
    simulator.refuse(200, page, on=on, times=times, headers={"Content-Type": "text/html"})


def empty(simulator: XSimulator, times: int = 1) -> None:
    """200, and the end."""
    simulator.refuse(200, times=times)


def redirect(
    simulator: XSimulator, to: str = "http://127.0.0.1:9/elsewhere", times: int = 1, on: str = "stream"
) -> None:
    """302 to another place."""
    simulator.refuse(302, on=on, times=times, headers={"Location": to})


def gzip_bomb(simulator: XSimulator, times: int = 1, on: str = "stream", megabytes: int = 64) -> None:
    """200 with a small body that unpacks to a large one."""
    body = gzip.compress(b"0" * (megabytes * 1024 * 1024))
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    simulator.refuse(200, body, on=on, times=times, headers=headers)


def none(simulator: XSimulator) -> None:
    """The faults of connections yet to come are forgotten."""
    simulator.refusals.clear()


# -- what happens to open streams


def _message(simulator: XSimulator, id: str) -> dict[str, Any]:
    try:
        return simulator.message(str(id)) or {}
    except StopIteration:
        raise WrongOption(f"there is no post {id}") from None


def close(simulator: XSimulator) -> None:
    """The streams end without a word."""
    for stream in list(simulator.streams):
        stream.end()


def abort(simulator: XSimulator) -> None:
    """The connections of the streams are cut."""
    for stream in list(simulator.streams):
        stream.abort()


def disconnect(simulator: XSimulator, keep_open: int = 0) -> None:
    """The streams say that they are being disconnected, and end."""
    for stream in list(simulator.streams):
        if stream.version == 1:
            stream.send_json({"disconnect": {"code": 12, "stream_name": "filter", "reason": "shed load"}})
        else:
            stream.send_json({"errors": [DISCONNECT]})
        if not keep_open:
            stream.end()


def disconnect_with_post(simulator: XSimulator, id: str) -> None:
    """The same beside a post."""
    message = _message(simulator, id)
    for stream in list(simulator.streams):
        stream.send_json({**message, "errors": [DISCONNECT]})


def partial_error(simulator: XSimulator, id: str) -> None:
    """A post comes with an error about a part of it."""
    error = {
        "title": "Not Found Error",
        "type": "https://api.x.com/2/problems/resource-not-found",
        "value": "1",
    }
    message = _message(simulator, id)
    for stream in list(simulator.streams):
        stream.send_json({**message, "errors": [error]})


def error(simulator: XSimulator) -> None:
    """An error without a post."""
    for stream in list(simulator.streams):
        stream.send_json({"errors": [{"title": "Internal Error", "detail": "Something went wrong."}]})


def no_includes(simulator: XSimulator, id: str) -> None:
    """A post comes without its author."""
    message = _message(simulator, id)
    for stream in list(simulator.streams):
        stream.send_json({name: value for name, value in message.items() if name != "includes"})


def stall(simulator: XSimulator) -> None:
    """The streams stay open and say nothing any more."""
    for stream in simulator.streams:
        stream.silent = True


def split(simulator: XSimulator, bytes: int = 1) -> None:
    """From now on everything comes in pieces of so many bytes."""
    for stream in simulator.streams:
        stream.split = bytes


def garbage(simulator: XSimulator) -> None:
    """A line that is no JSON."""
    simulator.send(b'{"data":{"id":"1","text":\xff\xfe\r\n')


def oversize(simulator: XSimulator, kilobytes: int = 1500) -> None:
    """A line that is too long."""
    simulator.send(b'{"data":{"text":"' + b"x" * (kilobytes * 1024) + b'"}}\r\n')


def byte_order_mark(simulator: XSimulator) -> None:
    """A byte-order mark before the next line."""
    simulator.send(b"\xef\xbb\xbf")


def bad_chunk(simulator: XSimulator) -> None:
    """A chunk whose size is not a number."""
    for stream in list(simulator.streams):
        stream.request.transport.write(b"zzz\r\n{}\r\n")


def falling_behind(simulator: XSimulator) -> None:
    """v1.1: the client is too slow."""
    simulator.send(
        b'{"warning":{"code":"FALLING_BEHIND","message":"Your connection is slow","percent_full":60}}\r\n'
    )


def limit(simulator: XSimulator, track: int = 27) -> None:
    """v1.1: so many posts were not delivered."""
    for stream in list(simulator.streams):
        stream.send_json({"limit": {"track": track, "timestamp_ms": str(int(simulator.now() * 1000))}})


FAULTS: dict[str, Callable[..., Any]] = {
    function.__name__.replace("_", "-"): function
    for function in (
        unauthorized,
        forbidden,
        no_rules,
        rate_limited,
        too_many_connections,
        unavailable,
        reset,
        html,
        empty,
        redirect,
        gzip_bomb,
        none,
        close,
        abort,
        disconnect,
        disconnect_with_post,
        partial_error,
        error,
        no_includes,
        stall,
        split,
        garbage,
        oversize,
        byte_order_mark,
        bad_chunk,
        falling_behind,
        limit,
    )
}


class WrongOption(Exception):
    """A sentence about an option of a fault: one that is missing, unknown, or no number where one is needed."""


def inject(simulator: XSimulator, name: str, options: Mapping[str, str]) -> None:
    """Do the fault ``name``, one of :data:`FAULTS`, with options as text.  Raises :class:`WrongOption`."""
    fault = FAULTS[name]
    known = dict(inspect.signature(fault).parameters)
    del known["simulator"]
    listed = ", ".join(known) or "none"
    for option in options:
        if option not in known:
            raise WrongOption(f"{name} knows no {option}; options: {listed}")
    missing = [
        option
        for option, parameter in known.items()
        if parameter.default is parameter.empty and option not in options
    ]
    if missing:
        raise WrongOption(f"{name} needs {' and '.join(missing)}; options: {listed}")
    values: dict[str, Any] = dict(options)
    for option, text in options.items():
        if isinstance(known[option].default, int):
            if not text.isdecimal():
                raise WrongOption(f"{option} of {name} must be a number, not {text}")
            values[option] = int(text)
    fault(simulator, **values)
