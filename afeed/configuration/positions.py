"""The line of each key of a TOML document.

tomllib gives values without positions, tree-sitter gives positions without values; a key path such as
``("events", 1, "sources", 0, "interval_s")`` joins the two.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping

import tree_sitter
import tree_sitter_toml

KeyPath = tuple[str | int, ...]

_KEYS = ("bare_key", "quoted_key", "dotted_key")


class Positions:
    """Lines, counted from 1, by key path."""

    def __init__(self, lines: Mapping[KeyPath, int]) -> None:
        self._lines = lines

    def line(self, path: KeyPath) -> int:
        """The line of ``path``, or of the innermost table around it that the document mentions, or 1."""
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path, 1)


def positions(source: bytes) -> Positions:
    """Find every key, array element and table of ``source``, which tomllib has accepted already."""
    tree = tree_sitter.Parser(tree_sitter.Language(tree_sitter_toml.language())).parse(source)
    walk = _Walk()
    for node in tree.root_node.named_children:
        walk.statement(node)
    return Positions(walk.lines)


class _Walk:
    """Visits the statements of a document in order: an array table's index is how many came before it."""

    def __init__(self) -> None:
        self.lines: dict[KeyPath, int] = {}
        self._array_tables: dict[KeyPath, int] = {}

    def statement(self, node: tree_sitter.Node) -> None:
        if node.type == "pair":
            self._pair(node, ())
        elif node.type in ("table", "table_array_element"):
            self._table(node)

    def _table(self, node: tree_sitter.Node) -> None:
        header = next((child for child in node.named_children if child.type in _KEYS), None)
        if header is None:
            return
        *outer, last = _names(header)
        path: KeyPath = ()
        for name in outer:
            path = self._inside((*path, name))
        path = (*path, last)
        if node.type == "table_array_element":
            self._note(path, node)
            self._array_tables[path] = self._array_tables.get(path, 0) + 1
            path = self._inside(path)
        self._note(path, node)
        for child in node.named_children:
            if child.type == "pair":
                self._pair(child, path)

    def _inside(self, path: KeyPath) -> KeyPath:
        """``path``, or the newest element of the array of tables that it names."""
        count = self._array_tables.get(path)
        return path if count is None else (*path, count - 1)

    def _pair(self, node: tree_sitter.Node, table: KeyPath) -> None:
        header, *values = (child for child in node.named_children if child.type != "comment")
        path = table
        for name in _names(header):
            path = (*path, name)
            self._note(path, header)
        for value in values:
            self._value(value, path)

    def _value(self, node: tree_sitter.Node, path: KeyPath) -> None:
        children = [child for child in node.named_children if child.type != "comment"]
        if node.type == "array":
            for index, child in enumerate(children):
                self._note((*path, index), child)
                self._value(child, (*path, index))
        elif node.type == "inline_table":
            for child in children:
                if child.type == "pair":
                    self._pair(child, path)

    def _note(self, path: KeyPath, node: tree_sitter.Node) -> None:
        self.lines.setdefault(path, node.start_point[0] + 1)


def _names(node: tree_sitter.Node) -> list[str]:
    """The names that a bare, quoted or dotted key is made of."""
    if node.type == "dotted_key":
        return [name for child in node.named_children for name in _names(child)]
    text = (node.text or b"").decode("utf-8")
    return [text] if node.type == "bare_key" else list(tomllib.loads(f"{text} = 0"))
