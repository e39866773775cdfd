"""Replace or drop volatile values, such as ids, times and ports, before runs are compared.

Pure; works on JSON values.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from mcprun._util.json_path import OfTool, Step
from mcprun._util.json_value import key_of
from mcprun._util.similar_names import similar_name
from mcprun.analysis.diff.forms import SCRUBS, is_epoch
from mcprun.errors import UsageError
from mcprun.option_kinds import Listed, validate_option
from mcprun.runs.option_patterns import checked_pattern, late_scrubs, scrub

_WORD = re.compile(r"\w+")
"""Text that is more likely a misspelt name than a pattern."""

_ALIKE = 0.75
"""Minimum similarity (`difflib` ratio) for a word to count as a misspelt name: that of `guid` and `uuid`."""

_QUOTED = r'"((?:[^"\\]|\\.)*)"'
_STEP = re.compile(rf"""\*\*|\*|\[\*\]|\[(\d+)\]|\[{_QUOTED}\]|\[tool=(?:{_QUOTED}|([^"\]]+))\]|([^.\[\]*"]+)""")
_IGNORED = "<ignored>"
_EPOCH = "<epoch>"

Path = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Scrubber:
    """Cleans values before they are compared. `Scrubber.of` takes `scrubs` (names or regular expressions) and paths.

    A path looks like `calls[*].result.updated_at`: `*` and `[*]` match any key or index, `**` any number of them,
    `["odd key"]` is a quoted key, and `calls[tool=NAME]` matches the calls of one tool. `patterns` are pairs of a
    pattern and its replacement: built-in patterns are compiled, users' patterns are text and are matched within a time
    limit. `paths` are ignored. Lists at the paths `unordered` are sorted, and so are the lines of a text there.
    """

    patterns: tuple[tuple[re.Pattern[str] | str, str], ...] = ()
    paths: tuple[Path, ...] = ()
    unordered: tuple[Path, ...] = ()

    @classmethod
    def of(cls, scrubs: Iterable[str] = (), ignore: Iterable[str] = (), ignore_order: Iterable[str] = ()) -> Scrubber:
        """Parse names or patterns, and paths to ignore or to sort. Raises `UsageError` if one is invalid."""
        return cls(
            tuple(map(_pattern, validate_option("scrub", Listed(), scrubs))),
            tuple(map(parse_path, validate_option("ignore", Listed(), ignore))),
            tuple(
                parse_path(path, "--ignore-order") for path in validate_option("ignore_order", Listed(), ignore_order)
            ),
        )

    def __bool__(self) -> bool:
        return bool(self.patterns or self.paths or self.unordered)

    def warnings(self) -> list[str]:
        """Return a warning for each pattern that ran out of time and left values unchanged."""
        return late_scrubs([pattern for pattern, _ in self.patterns if isinstance(pattern, str)])

    def clean(self, value: Any, frame: int = 0) -> Any:
        """Return a JSON value without the ignored parts, and with matches of the patterns replaced in strings and keys.

        Numbers that may be times since 1970 are replaced by `epoch`. The keys of the outer `frame` levels are kept:
        those are mcprun's own.
        """
        return self._clean(value, self.paths, self.unordered, frame)

    def _clean(self, value: Any, paths: Sequence[Path], unordered: Sequence[Path], frame: int) -> Any:
        if isinstance(value, str):
            text = self._text(value)
            return "\n".join(sorted(text.split("\n"))) if () in unordered else text
        if isinstance(value, int | float):
            return self._number(value)
        if not isinstance(value, dict | list) or not (paths or self.patterns or unordered):
            return value
        if isinstance(value, dict):
            cleaned = {
                key: self._clean(item, rest, remainders(unordered, key), frame - 1)
                for key, item, rest in ((key, item, remainders(paths, key)) for key, item in value.items())
                if () not in rest
            }
            return cleaned if frame > 0 or not self.patterns else self._with_clean_keys(cleaned)
        items = [
            _IGNORED if () in rest else self._clean(item, rest, remainders(unordered, at, item), frame - 1)
            for at, item, rest in ((at, item, remainders(paths, at, item)) for at, item in enumerate(value))
        ]
        return sorted(items, key=key_of) if () in unordered else items

    def _number(self, number: float) -> Any:
        """Replace a number that may be a time since 1970, if `epoch` is scrubbed."""
        is_time = any(name == _EPOCH for _, name in self.patterns) and not isinstance(number, bool)
        return _EPOCH if is_time and is_epoch(number) else number

    def _with_clean_keys(self, value: dict[str, Any]) -> dict[str, Any]:
        """Replace matches in keys. Keys that become equal are numbered in the order of their values: none is lost."""
        keys = {key: self._text(key) for key in value}
        if all(key == cleaned for key, cleaned in keys.items()):
            return value
        taken = {key for key, cleaned in keys.items() if key == cleaned}
        alike = Counter(keys.values())
        order = sorted(value, key=lambda key: key_of(value[key])) if max(alike.values()) > 1 else list(value)
        names: dict[str, str] = {}
        for key in order:
            name = number = keys[key]
            count = 1
            while key != keys[key] and number in taken:
                count += 1
                number = f"{name} ({count})"
            taken.add(number)
            names[key] = number
        return {names[key]: item for key, item in value.items()}

    def _text(self, text: str) -> str:
        for pattern, name in self.patterns:
            text = scrub(pattern, name, text) if isinstance(pattern, str) else pattern.sub(name, text)
        return text


def parse_path(text: str, flag: str = "--ignore") -> Path:
    """Parse the path of an option. Raises `UsageError` if it is not one."""
    path, at = text.removeprefix("$").removeprefix("."), 0
    steps: list[Step] = []
    while at < len(path):
        found = _STEP.match(path, at)
        if not found:
            raise UsageError(f"{flag} {text!r} is not a path: write it like calls[*].result.updated_at")
        index, quoted, quoted_tool, tool, name = found.groups()
        if index is not None:
            steps.append(int(index))
        elif quoted_tool is not None or tool is not None:
            steps.append(OfTool(re.sub(r"\\(.)", r"\1", quoted_tool) if quoted_tool is not None else tool))
        elif quoted is not None or name is not None:
            steps.append(re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else name)
        else:
            steps.append("**" if found[0] == "**" else None)
        at = found.end()
        if path[at : at + 1] == "." and at + 1 < len(path):
            at += 1
    if not steps:
        raise UsageError(f"{flag} must be a path such as calls[*].result.updated_at")
    return tuple(steps)


def remainders(paths: Sequence[Path], step: str | int, item: Any = None) -> Sequence[Path]:
    """Return the remainders of the paths that match a step to an item; `()` if a path ends there.

    Empty paths match none.
    """
    if not paths:
        return ()
    left: list[Path] = []
    for path in filter(None, paths):
        first, rest = path[0], path[1:]
        if first == "**":
            left.append(path)
            left += remainders([rest], step, item) if rest else [()]
        elif first is None or first == step or (isinstance(first, OfTool) and _is_call_of(item, first.tool)):
            left.append(rest)
    return left


def _is_call_of(item: Any, tool: str) -> bool:
    return isinstance(item, dict) and item.get("tool") == tool


def _pattern(scrub: str) -> tuple[re.Pattern[str] | str, str]:
    if scrub in SCRUBS:
        return re.compile(SCRUBS[scrub]), f"<{scrub}>"
    if _WORD.fullmatch(scrub) and (close := similar_name(scrub, SCRUBS, _ALIKE)):
        message = f"--scrub {scrub!r} is not known; did you mean {close}?"
        raise UsageError(f"{message} To use it as a regular expression, write ({scrub})")
    return checked_pattern("--scrub", scrub), "<scrubbed>"
