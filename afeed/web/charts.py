"""Charts as SVG within a page.  pygal draws them; what it adds for pages of its own is taken out again: styles,
scripts and what they need, which the policy of these pages forbids.  Colours come from ``report.css``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

import pygal

#: Widths and heights are in units of the drawing, which is as wide as its place on the page.
WIDTH = 900
COLUMNS_HEIGHT = 300
ROW_HEIGHT = 30
#: Times below the columns.
_MOST_LABELS = 8
#: Longer words are cut.
_LONGEST_LABEL = 22

_COMMON = {
    "js": (),
    "no_prefix": True,
    "explicit_size": False,
    "disable_xml_declaration": True,
    "show_legend": False,
    "width": WIDTH,
    "margin": 8,
    "title": None,
}
#: What pygal measures texts by when it makes room for them; the style sheet sets them in the same sizes.
_STYLE = pygal.style.Style(label_font_size=18, major_label_font_size=18, value_font_size=18)
_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def columns(
    title: str, summary: str, labels: Sequence[str], counts: Sequence[int], marks: Mapping[int, str]
) -> str:
    """One column for each of ``counts``, with ``labels`` below and ``marks`` above some, by place.  ``title``
    and ``summary`` are what is read to who cannot see it."""
    chart = pygal.Bar(
        height=COLUMNS_HEIGHT,
        style=_STYLE,
        spacing=0,
        show_minor_x_labels=False,
        x_labels_major_every=-(-len(labels) // _MOST_LABELS),
        truncate_label=-1,
        print_values=True,
        print_values_position="top",
        **_COMMON,
    )
    chart.x_labels = list(labels)
    chart.y_labels = _ticks(max(counts, default=1))
    chart.add(
        "",
        [
            {
                "value": count,
                "formatter": lambda _, mark=mark: mark,
                "node": {"class": "peak"} if mark else {},
            }
            for place, count in enumerate(counts)
            for mark in [marks.get(place, "")]
        ],
    )
    return _clean(chart, "course", title, summary)


def rows(title: str, summary: str, bars: Sequence[tuple[str, int]]) -> str:
    """One bar for each of ``bars``, a name and a count, from above."""
    chart = pygal.HorizontalBar(
        height=ROW_HEIGHT * len(bars) + 16,
        style=_STYLE,
        spacing=0,
        show_x_labels=False,
        show_x_guides=False,
        truncate_label=-1,
        print_values=True,
        print_values_position="top",
        **_COMMON,
    )
    upwards = list(reversed(bars))
    chart.x_labels = [_cut(name) for name, _ in upwards]
    chart.y_labels = [0, max(count for _, count in bars)]
    chart.add("", [{"value": count, "formatter": lambda value: f"{value:g}"} for _, count in upwards])
    return _clean(chart, "terms", title, summary)


def _clean(chart: Any, kind: str, title: str, summary: str) -> str:
    """The drawing without what cannot, or need not, be in a page."""
    drawn = chart.render_tree()
    for element in list(drawn.iter()):
        for child in list(element):
            if _superfluous(child):
                element.remove(child)
        for name in ("style", "id"):
            element.attrib.pop(name, None)
    drawn.attrib.update(
        {"class": f"drawing drawing-{kind}", "role": "img", "aria-labelledby": f"{kind}-drawn {kind}-told"}
    )
    for place, (tag, text) in enumerate((("title", title), ("desc", summary))):
        told = ElementTree.Element(tag, {"id": f"{kind}-{'told' if place else 'drawn'}"})
        told.text = _NO_XML.sub("", text)
        drawn.insert(place, told)
    drawn.attrib.pop("xmlns", None)  # HTML needs none
    return ElementTree.tostring(drawn, encoding="unicode", short_empty_elements=False)


def _superfluous(element: Any) -> bool:
    if not isinstance(element.tag, str):  # a comment with the date, which would make every page another
        return True
    name = element.tag.rpartition("}")[2]
    if name in ("defs", "style", "script", "title", "desc"):
        return True
    classes = (element.get("class") or "").split()
    if name == "text":
        return not (element.text or "").strip()
    return "tooltip-overlay" in classes or "overlay" in classes or "titles" in classes


def _ticks(most: int) -> list[int]:
    """Whole numbers from 0 to ``most`` or a little above, some five of them."""
    step = 1
    while most / step > 5:
        digit = int(str(step)[0])
        step = step * 5 // 2 if digit == 2 else step * 2
    return list(range(0, most + step, step))


def _cut(name: str) -> str:
    name = _NO_XML.sub("", name)
    return name if len(name) <= _LONGEST_LABEL else name[: _LONGEST_LABEL - 1] + "…"
