"""How messages tell values: on one line, cut short where they are long, and without secrets."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from mcprun._util.code_points import revealed, revealed_part, spaces_spelled
from mcprun._util.json_value import JsonObject
from mcprun.runs.records import Call
from mcprun.tools.results import result_text

_SHOWN = 200
"""Characters of a value that a message shows."""

_LEAD = 20
"""Characters that are shown of what two texts begin with alike, where they differ only further on."""


class NamedCall(Protocol):
    """A tool call that was made or is expected."""

    @property
    def tool(self) -> str:
        """The tool's name."""

    @property
    def input(self) -> JsonObject:
        """The call's arguments."""


@dataclass(frozen=True, slots=True)
class ValueFormatter:
    """Writes values for people; `clean` replaces what must not be seen, before anything is cut."""

    clean: Callable[[str], str] = str

    def text(self, text: str) -> str:
        """Show text in quotes."""
        return repr(self._cut(" ".join(text.split())))

    def texts(self, before: str, after: str) -> tuple[str, str]:
        """Show two texts that differ, in quotes: as `text` does, but such that it shows where they differ."""
        one, other = (self.clean(" ".join(text.split())) for text in (before, after))
        if one == other:  # they differ in spaces only
            one, other = self.clean(before), self.clean(after)
        one, other = revealed(*apart(one, other, _SHOWN))
        return repr(_cut(one)), repr(_cut(other))

    def part(self, part: str, text: str) -> tuple[str, str]:
        """Show a part that a text lacks, and the text: what looks like the part, if there is anything."""
        part, text = self.clean(part), self.clean(text)
        if found := revealed_part(part, text):
            return repr(_cut(found[0])), repr(_cut(found[1]))
        if " ".join(part.split()) in " ".join(text.split()):  # they differ in spaces only
            return repr(_cut(spaces_spelled(part))), repr(_cut(spaces_spelled(text)))
        return self.text(part), self.text(text)

    def value(self, value: Any) -> str:
        """Show a JSON value."""
        return self._cut(json.dumps(value, ensure_ascii=False))

    def both(self, before: Any, after: Any) -> tuple[str, str]:
        """Show two JSON values that differ, of long ones what stands about where they do."""
        one, other = (self.clean(json.dumps(value, ensure_ascii=False)) for value in (before, after))
        if not (isinstance(before, str) and isinstance(after, str)):
            one, other = revealed(*apart(one, other, _SHOWN))
            return _cut(one), _cut(other)
        one, other = revealed(*apart(one[1:-1], other[1:-1], _SHOWN))
        return f'"{_cut(one)}"', f'"{_cut(other)}"'

    def call(self, call: NamedCall) -> str:
        """Show a call as people write it: `add{a: 2, b: 3}`."""
        return f"{self.clean(call.tool)}{self.input(call.input)}"

    def input(self, value: JsonObject) -> str:
        """Show a call's input."""
        inner = ", ".join(f"{key}: {json.dumps(item, ensure_ascii=False)}" for key, item in value.items())
        return "{" + self._cut(inner) + "}"

    def result(self, call: Call) -> str:
        """Show what came back, in quotes; a line break separates content blocks."""
        texts = [item["text"] for item in call.content if item.get("type") == "text"]
        if len(texts) < 2:
            return self.text(_result(call))
        return repr(self._cut("\n".join(" ".join(text.split()) for text in texts)))

    def expected_result(self, expected: Any, call: Call) -> tuple[str, str]:
        """Show an expected result, and what came back."""
        if isinstance(expected, str):
            one, other = revealed(self.clean(expected), self.clean(_result(call)))
            if (one, other) != (self.clean(expected), self.clean(_result(call))):
                return _cut(json.dumps(one, ensure_ascii=False)), repr(_cut(other))
        return revealed(self.value(expected), self.result(call))

    def results(self, before: Call, after: Call) -> tuple[str, str]:
        """Show two results that differ: their texts, or all that came back where those are the same."""
        if (one := _result(before)) != (other := _result(after)):
            return self.texts(one, other)
        return self.both(*(call.model_dump(include={"is_error", "content", "structured"}) for call in (before, after)))

    def _cut(self, text: str) -> str:
        return _cut(self.clean(text))


def apart(before: str, after: str, length: int) -> tuple[str, str]:
    """Give two texts such that their first so many characters show where they differ.

    What they begin with alike is left out, but for its end, where one of them is longer than that.
    """
    differing = (at for at, (one, other) in enumerate(zip(before, after, strict=False)) if one != other)
    start = next(differing, min(len(before), len(after))) - _LEAD
    if start <= _LEAD or max(len(before), len(after)) <= length:
        return before, after
    return f"…{before[start:]}", f"…{after[start:]}"


def _result(call: Call) -> str:
    if text := result_text(call.content):
        return text
    if call.structured is not None:
        return json.dumps(call.structured, ensure_ascii=False)
    return f"({', '.join(str(block.get('type')) for block in call.content) or 'no content'})"


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
