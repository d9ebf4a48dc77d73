"""``python broadcast.py PORT OTHER``: the library websockets with its broadcast(), items POSTed to OTHER."""

from __future__ import annotations

import asyncio
import sys

from websockets.asyncio.server import ServerConnection, broadcast, serve

viewers: set[ServerConnection] = set()


async def view(connection: ServerConnection) -> None:
    viewers.add(connection)
    try:
        await connection.wait_closed()
    finally:
        viewers.discard(connection)


async def publish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r")[0])
        broadcast(viewers, (await reader.readexactly(length)).decode())
        writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}")


async def main(port: int, publish_port: int) -> None:
    async with serve(view, "127.0.0.1", port, compression=None, ping_interval=None, backlog=4096):
        await (await asyncio.start_server(publish, "127.0.0.1", publish_port)).serve_forever()


asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
