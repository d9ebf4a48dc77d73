"""Telling systemd how it goes (``Type=notify``); without systemd nothing happens."""

from __future__ import annotations

import socket
from collections.abc import Mapping


def notify(state: str, environ: Mapping[str, str]) -> None:
    """Send ``state``, such as ``READY=1``, to the socket that ``NOTIFY_SOCKET`` names (sd_notify(3))."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]  # an abstract socket
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.setblocking(False)  # the start and the stop wait for nobody
            channel.sendto(state.encode("ascii"), address)
    except OSError:
        pass  # systemd then waits for its timeout and says so; afeed itself runs
