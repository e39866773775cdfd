"""Format values for messages: on one line, shortened if long, and without secrets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol, TypeVar

from mcprun._util.alignment import common_ends
from mcprun._util.code_points import quoted, reveal, reveal_part, spell_out_spaces
from mcprun._util.json_value import JsonObject
from mcprun._util.quoted_pattern import quote_pattern
from mcprun.runs.transcript import Call
from mcprun.tools.results import result_text

_SHOWN = 200
"""Maximum length of a value in a message, in characters."""

_LEAD = 20
"""Characters of a common prefix to show before the first difference of two texts."""

_MAX_DIFFERENCES, _MAX_CHARS, _MAX_COUNTED = 5, 700, 1_000
"""Maximum differences in a message, characters after which no more are added, and maximum differences counted."""

_SHORT = 80
"""Maximum length of a value in a message that lists several differences, in characters."""


Item = TypeVar("Item")


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
    """Formats values for people. `clean` redacts secrets before a text is shortened."""

    clean: Callable[[str], str] = str

    def text(self, text: str) -> str:
        """Format text on one line, in quotes."""
        return quoted(self._cut(" ".join(text.split())))

    def pattern(self, pattern: str) -> str:
        """Format a regular expression on one line, in quotes, as it was written."""
        return quote_pattern(self._cut(" ".join(pattern.split())))

    def texts(self, before: str, after: str) -> tuple[str, str]:
        """Format two different texts like `text`; of long ones, the part that differs."""
        one, other = (self.clean(" ".join(text.split())) for text in (before, after))
        if one == other:  # they differ only in whitespace
            one, other = self.clean(before), self.clean(after)
        one, other = reveal(*excerpts_of_difference(one, other, _SHORT))
        return quoted(_cut(one)), quoted(_cut(other))

    def differing_texts(self, before: str, after: str) -> tuple[str, str, str]:
        """Format two different texts as JSON; of long ones, the part that differs, and its line as `, line 3`."""
        line = line_of_difference(before, after)
        one, other = reveal(*excerpts_of_difference(self.clean(before), self.clean(after), _SHORT))
        return f", line {line:,}" if line else "", self.value(one), self.value(other)

    def short(self, value: Any) -> str:
        """Format a JSON value in few characters."""
        return _cut(self.clean(json.dumps(value, ensure_ascii=False)), _SHORT)

    def path(self, path: str) -> str:
        """Format the path of a value; of a long one, both ends."""
        path = self.clean(path)
        return path if len(path) <= _SHORT else f"{path[: _SHORT // 2]}…{path[-_SHORT // 2 :]}"

    def short_call(self, call: NamedCall) -> str:
        """Format a call in few characters."""
        inner = self.input(call.input)
        return f"{_cut(self.clean(call.tool), _SHORT)}{inner if len(inner) <= _SHORT else inner[:_SHORT] + '…}'}"

    def part(self, part: str, text: str) -> tuple[str, str]:
        """Format a part that a text lacks, and the text: only its passage that resembles the part, if there is one."""
        part, text = self.clean(part), self.clean(text)
        if found := reveal_part(part, text):
            return quoted(_cut(found[0])), quoted(_cut(found[1]))
        if " ".join(part.split()) in " ".join(text.split()):  # they differ only in whitespace
            return quoted(_cut(spell_out_spaces(part))), quoted(_cut(spell_out_spaces(text)))
        return self.text(part), self.text(text)

    def value(self, value: Any) -> str:
        """Format a JSON value."""
        return self._cut(json.dumps(value, ensure_ascii=False))

    def both(self, before: Any, after: Any) -> tuple[str, str]:
        """Format two different JSON values; long ones start shortly before they differ."""
        one, other = (self.clean(json.dumps(value, ensure_ascii=False)) for value in (before, after))
        if not (isinstance(before, str) and isinstance(after, str)):
            one, other = reveal(*shorten_to_difference(one, other, _SHOWN))
            return _cut(one), _cut(other)
        one, other = reveal(*shorten_to_difference(one[1:-1], other[1:-1], _SHOWN))
        return f'"{_cut(one)}"', f'"{_cut(other)}"'

    def name(self, tool: str) -> str:
        """Format the name of a tool in few characters."""
        return _cut(self.clean(tool), _SHORT)

    def call(self, call: NamedCall) -> str:
        """Format a call in short notation: `add{a: 2, b: 3}`."""
        return f"{self.clean(call.tool)}{self.input(call.input)}"

    def input(self, value: JsonObject) -> str:
        """Format a call's input: `{a: 2, b: 3}`."""
        inner = ", ".join(f"{key}: {json.dumps(item, ensure_ascii=False)}" for key, item in value.items())
        return "{" + self._cut(inner) + "}"

    def result(self, call: Call) -> str:
        """Format the result of a call, in quotes. A line break separates content blocks."""
        texts = [item["text"] for item in call.content if item.get("type") == "text"]
        if len(texts) < 2:
            return self.text(_result(call))
        return quoted(self._cut("\n".join(" ".join(text.split()) for text in texts)))

    def expected_result(self, expected: Any, call: Call) -> tuple[str, str]:
        """Format an expected result and the actual one."""
        if isinstance(expected, str):
            one, other = reveal(self.clean(expected), self.clean(_result(call)))
            if (one, other) != (self.clean(expected), self.clean(_result(call))):
                return _cut(json.dumps(one, ensure_ascii=False)), quoted(_cut(other))
        return reveal(self.value(expected), self.result(call))

    def results(self, before: Call, after: Call) -> tuple[str, str]:
        """Format two different results: their texts or, if those are equal, everything that was returned."""
        if (one := _result(before)) != (other := _result(after)):
            return self.texts(one, other)
        return self.both(*(call.model_dump(include={"is_error", "content", "structured"}) for call in (before, after)))

    def _cut(self, text: str) -> str:
        return _cut(self.clean(text))


def first_few(items: Iterable[Item], describe: Callable[[Item], str]) -> str:
    """Describe the first few differences, and count the others: `…; …; and 3 more differences`."""
    listed = list(islice(items, _MAX_COUNTED + 1))
    shown: list[str] = []
    for item in listed[:_MAX_DIFFERENCES]:
        if shown and sum(map(len, shown)) > _MAX_CHARS:
            break
        shown.append(describe(item))
    left = len(listed) - len(shown)
    if len(listed) > _MAX_COUNTED:
        shown.append(f"and more than {left - 1:,} more differences")
    elif left:
        shown.append(f"and {left:,} more difference{'s' if left > 1 else ''}")
    return "; ".join(shown)


def shorten_to_difference(before: str, after: str, length: int) -> tuple[str, str]:
    """Shorten two texts such that the first `length` characters contain the first difference.

    If one of them is longer than `length`, the common prefix is left out except for its last characters.
    """
    differing = (at for at, (one, other) in enumerate(zip(before, after, strict=False)) if one != other)
    start = next(differing, min(len(before), len(after))) - _LEAD
    if start <= _LEAD or max(len(before), len(after)) <= length:
        return before, after
    return f"…{before[start:]}", f"…{after[start:]}"


def excerpts_of_difference(before: str, after: str, length: int) -> tuple[str, str]:
    """Shorten two texts, if one is longer than `length` characters, to the part that differs and a few around it."""
    if max(len(before), len(after)) <= length:
        return before, after
    shared = common_ends(before, after)
    start, end = (max(0, count - _LEAD) for count in shared)

    def excerpt(text: str) -> str:
        middle = text[start : len(text) - end]
        return f"{'…' if start else ''}{middle[:length]}{'…' if end or len(middle) > length else ''}"

    return excerpt(before), excerpt(after)


def line_of_difference(before: str, after: str) -> int:
    """Return the number of the line in which two texts first differ. 0 if both are short, or have a single line."""
    if max(len(before), len(after)) <= _SHORT or not any("\n" in text.rstrip("\n") for text in (before, after)):
        return 0
    return before.count("\n", 0, common_ends(before, after)[0]) + 1


def _result(call: Call) -> str:
    if text := result_text(call.content):
        return text
    if call.structured is not None:
        return json.dumps(call.structured, ensure_ascii=False)
    return f"({', '.join(str(block.get('type')) for block in call.content) or 'no content'})"


def _cut(text: str, length: int = _SHOWN) -> str:
    return text if len(text) <= length else text[:length] + "…"
