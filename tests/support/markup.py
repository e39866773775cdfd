"""Parse an HTML report into its elements, attributes and JSON data."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any


class _Markup(HTMLParser):
    """A parsed page. `islands` maps the id of each `script` element to its JSON."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: set[str] = set()
        self.islands: dict[str, Any] = {}
        self._island: str | None = None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self._island = dict(attrs).get("id") if tag == "script" else None

    def handle_data(self, data: str) -> None:
        if self._island:
            self.islands[self._island] = json.loads(data)
            self._island = None
