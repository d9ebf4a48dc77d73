"""Changes as server-sent events: the answer's head, then whatever the audience writes, until either side
leaves."""

from __future__ import annotations

from afeed.core.cursor import Cursor
from afeed.core.http import Header, response_head
from afeed.transports.audience import Audience, Viewer
from afeed.web.exchange import Exchange

_HEADERS: tuple[Header, ...] = (
    (b"Content-Type", b"text/event-stream"),
    (b"Cache-Control", b"no-store"),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"X-Accel-Buffering", b"no"),  # nginx passes each event on as it comes
)


def open_stream(
    exchange: Exchange, audience: Audience, cursor: Cursor | None, extra: tuple[Header, ...]
) -> None:
    """Answer ``exchange`` with a stream of ``audience`` from ``cursor`` on.

    The body ends with the connection: there is no length, and no chunk to wrap every event in.
    """
    connection = exchange.connection
    transport = connection.transport
    connection.take_over()
    head = response_head(200, (*_HEADERS, *extra, *connection.common), None, True)
    if exchange.method == b"HEAD":
        transport.write(head)
        connection.close()
        return
    viewer = Viewer(audience, transport, connection.close)

    def hurry() -> None:
        viewer.leave()
        connection.close()

    exchange.gone = viewer.leave
    exchange.hurry = hurry
    viewer.start(cursor, head)
