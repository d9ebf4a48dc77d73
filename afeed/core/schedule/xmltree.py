"""XML from outside as a small tree: no DTD (so no entities to expand or to fetch), a limited depth and number
of elements, and the line of each."""

from __future__ import annotations

from collections.abc import Iterator
from xml.parsers import expat

from afeed.core.schedule.limits import MAX_DEPTH, MAX_ELEMENTS
from afeed.core.schedule.problems import BadSchedule


class Node:
    """An element.  ``text`` is what stands in it directly."""

    __slots__ = ("attributes", "children", "line", "tag", "text")

    def __init__(self, tag: str, attributes: dict[str, str], line: int) -> None:
        self.tag = tag
        self.attributes = attributes
        self.line = line
        self.text = ""
        self.children: list[Node] = []

    def all(self, tag: str) -> Iterator[Node]:
        """The children called ``tag``."""
        return (child for child in self.children if child.tag == tag)

    def first(self, tag: str) -> Node | None:
        """The first child called ``tag``."""
        return next(self.all(tag), None)

    def words(self, tag: str) -> str:
        """The text of the first child called ``tag``; "" without one."""
        child = self.first(tag)
        return "" if child is None else child.text.strip()


class _Builder:
    def __init__(self, parser: expat.XMLParserType) -> None:
        self._parser = parser
        self._open: list[Node] = []
        self._texts: list[list[str]] = []
        self._count = 0
        self.root: Node | None = None

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._count += 1
        line = self._parser.CurrentLineNumber
        if len(self._open) >= MAX_DEPTH:
            raise BadSchedule([f"line {line}: elements are nested deeper than {MAX_DEPTH}"])
        if self._count > MAX_ELEMENTS:
            raise BadSchedule([f"line {line}: it has more than {MAX_ELEMENTS:,} elements"])
        node = Node(tag, attributes, line)
        if self._open:
            self._open[-1].children.append(node)
        else:
            self.root = node
        self._open.append(node)
        self._texts.append([])

    def end(self, tag: str) -> None:
        self._open.pop().text = "".join(self._texts.pop())

    def data(self, text: str) -> None:
        self._texts[-1].append(text)

    def doctype(self, *_about: object) -> None:
        line = self._parser.CurrentLineNumber
        raise BadSchedule(
            [f"line {line}: it declares a document type, which could define entities; remove the DOCTYPE"]
        )


def parse(data: bytes) -> Node:
    """The root element.  Raises :class:`BadSchedule` with line and column."""
    parser = expat.ParserCreate()
    builder = _Builder(parser)
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = builder.doctype
    parser.buffer_text = True
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        words = expat.errors.messages.get(error.code, "malformed")
        raise BadSchedule(
            [f"line {error.lineno}, column {error.offset + 1}: this is not XML ({words})"]
        ) from None
    except (ValueError, LookupError):
        raise BadSchedule(["its XML declaration names an encoding that afeed does not know"]) from None
    assert builder.root is not None
    return builder.root
