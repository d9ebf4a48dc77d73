"""``python port.py PORT PROGRAM ARGUMENT...``: run the program with a socket on a port that it shares.

It does what systemd does for a socket unit with ``ReusePort=yes``: every process that is started so has a queue
of its own for the same port, and the kernel spreads new connections over them.
"""

from __future__ import annotations

import os
import socket
import sys

FIRST = 3  # the descriptor that systemd's protocol begins with

if __name__ == "__main__":
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(("127.0.0.1", int(sys.argv[1])))
    listener.listen(4096)
    if listener.fileno() != FIRST:
        os.dup2(listener.fileno(), FIRST)
    os.set_inheritable(FIRST, True)
    os.environ.update(LISTEN_FDS="1", LISTEN_FDNAMES="afeed", LISTEN_PID=str(os.getpid()))
    os.execv(sys.argv[2], sys.argv[2:])
