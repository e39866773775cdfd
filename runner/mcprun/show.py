"""How messages tell values: on one line, cut short where they are long, and without secrets."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mcprun.content import result_text
from mcprun.expectations import ExpectedCall
from mcprun.records import Call, JsonObject

_SHOWN = 200
"""Characters of a value that a message shows."""


@dataclass(frozen=True, slots=True)
class Show:
    """Writes values for people; `clean` replaces what must not be seen, before anything is cut."""

    clean: Callable[[str], str] = str

    def text(self, text: str) -> str:
        """Show text in quotes."""
        return repr(self._cut(" ".join(text.split())))

    def value(self, value: Any) -> str:
        """Show a JSON value."""
        return self._cut(json.dumps(value, ensure_ascii=False))

    def call(self, call: Call | ExpectedCall) -> str:
        """Show a call as people write it: `add{a: 2, b: 3}`."""
        return f"{self.clean(call.tool)}{self.input(call.input)}"

    def input(self, value: JsonObject) -> str:
        """Show a call's input."""
        inner = ", ".join(f"{key}: {json.dumps(item, ensure_ascii=False)}" for key, item in value.items())
        return "{" + self._cut(inner) + "}"

    def result(self, call: Call) -> str:
        """Show what came back."""
        return self.text(result_text(call.content) or json.dumps(call.structured, ensure_ascii=False))

    def _cut(self, text: str) -> str:
        text = self.clean(text)
        return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
