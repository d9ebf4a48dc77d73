"""From bytes to messages: the framing of X's streams, without I/O.

A message is one line of JSON; lines end with CRLF (a bare LF is accepted), and a blank line is a keep-alive.
With ``delimited=length`` (the v1.1 API and its emulators) each message follows a line that holds its length in
bytes, its own line end included.  No JSON message is a line of digits, so the first line that is not blank
tells which of the two it is.
"""

from __future__ import annotations

from enum import Enum, auto

#: Longer messages are dropped (bytes, without the line end).
MAX_MESSAGE = 1024 * 1024

_BOM = b"\xef\xbb\xbf"


class _Mode(Enum):
    UNKNOWN = auto()  # nothing but blank lines so far
    LINES = auto()
    LENGTH = auto()  # between messages: a length or a keep-alive comes next
    BODY = auto()  # inside a message of known length
    SKIP_BODY = auto()  # inside one that is too long


class LineReader:
    """Eats bytes, yields messages.

    ``keepalives``, ``oversize`` and ``malformed`` count blank lines, messages that were too long, and lines
    that did not announce a length where one was due.  Memory is bounded by ``max_message`` and the chunk that
    is fed.
    """

    def __init__(self, max_message: int = MAX_MESSAGE) -> None:
        self.keepalives = 0
        self.oversize = 0
        self.malformed = 0
        self._max = max_message
        self._mode = _Mode.UNKNOWN
        self._held = bytearray()  # the beginning of a line or message whose end has not come yet
        self._due = 0  # bytes of the body still to come
        self._skipping = False  # inside a line that is too long
        self._at_start = True

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that ``data`` completes, in order, without their line ends."""
        messages: list[bytes] = []
        while data:
            if self._mode is _Mode.BODY or self._mode is _Mode.SKIP_BODY:
                data = self._body(data, messages)
            else:
                data = self._lines(data, messages)
        return messages

    def _lines(self, data: bytes, messages: list[bytes]) -> bytes:
        """Eat lines until ``data`` ends (the rest is kept) or a length was announced (the rest is returned)."""
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            if self._skipping:
                self._skipping = False
                self._too_long()
            else:
                self._line(self._taken(data[start:end]), messages)
            start = end + 1
            if self._mode is _Mode.BODY or self._mode is _Mode.SKIP_BODY:
                return data[start:]
        self._keep(data[start:])
        return b""

    def _taken(self, tail: bytes) -> bytes:
        if not self._held:
            return tail
        self._held += tail
        whole = bytes(self._held)
        self._held.clear()
        return whole

    def _keep(self, part: bytes) -> None:
        if self._skipping or not part:
            return
        if len(self._held) + len(part) > self._max + len(_BOM) + 1:  # 1: the CR, whose LF has not come yet
            self._held.clear()
            self._skipping = True
            return
        self._held += part

    def _line(self, line: bytes, messages: list[bytes]) -> None:
        if line.endswith(b"\r"):
            line = line[:-1]
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(_BOM)
        if len(line) > self._max:
            self._too_long()
            return
        if not line or line.isspace():
            self.keepalives += 1
            return
        if self._mode is _Mode.UNKNOWN:
            self._mode = _Mode.LENGTH if line.strip().isdigit() else _Mode.LINES
        if self._mode is _Mode.LENGTH:
            self._length(line.strip())
        else:
            messages.append(line)

    def _too_long(self) -> None:
        self.oversize += 1
        self._at_start = False
        if self._mode is _Mode.UNKNOWN:
            self._mode = _Mode.LINES

    def _length(self, text: bytes) -> None:
        # A length of more than 12 digits is nonsense, not a message of a terabyte: look for the next one.
        if not text.isdigit() or len(text) > 12 or int(text) == 0:
            self.malformed += 1
            return
        self._due = int(text)
        self._mode = _Mode.BODY if self._due <= self._max + 2 else _Mode.SKIP_BODY

    def _body(self, data: bytes, messages: list[bytes]) -> bytes:
        part, rest = data[: self._due], data[self._due :]
        self._due -= len(part)
        if self._mode is _Mode.BODY:
            self._held += part
        if self._due == 0:
            if self._mode is _Mode.BODY:
                messages.append(self._taken(b"").rstrip(b"\r\n"))
            else:
                self.oversize += 1
            self._mode = _Mode.LENGTH
        return rest
