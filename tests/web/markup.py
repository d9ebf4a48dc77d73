"""What a browser would make of a piece of HTML, as far as the tests ask."""

from __future__ import annotations

from html.parser import HTMLParser


class Elements(HTMLParser):
    """All start tags, in order, as (name, attributes), and the text between them."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def named(self, name: str) -> list[dict[str, str | None]]:
        """The attributes of every ``<name>``."""
        return [attributes for tag, attributes in self.found if tag == name]

    def classed(self, name: str) -> list[tuple[str, dict[str, str | None]]]:
        """Every element of this class."""
        return [(tag, found) for tag, found in self.found if name in (found.get("class") or "").split()]

    def dangers(self) -> list[str]:
        """Whatever could run, load or restyle something by itself."""
        return [
            f"<{tag} {name}={value!r}>" if name else f"<{tag}>"
            for tag, attributes in self.found
            for name, value in [*attributes.items(), ("", None)]
            if _dangerous(tag, attributes, name, value)
        ]


def _dangerous(tag: str, attributes: dict[str, str | None], name: str, value: str | None) -> bool:
    if not name:
        inline_script = tag == "script" and not (attributes.get("src") or "").startswith("/static/")
        return inline_script or tag in {"style", "iframe", "object", "embed", "base", "form", "svg", "math"}
    if name == "style" or name.startswith("on") or name in {"srcdoc", "formaction"}:
        return True
    if name in {"href", "src", "cite", "action"}:
        return not (value or "").lower().startswith(("https://", "http://", "/", "#", "mailto:", "?"))
    return False
