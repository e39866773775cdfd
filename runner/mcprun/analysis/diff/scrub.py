"""Replace or drop volatile values, such as ids, times and ports, before runs are compared.

Pure; works on JSON values.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mcprun._util.json_value import key_of
from mcprun.errors import UsageError
from mcprun.option_kinds import Listed, validate_option
from mcprun.runs.option_patterns import checked_pattern, late_scrubs, scrub

_BEGIN, _END = r"(?<![^\W_])", r"(?![^\W_])"
"""Word boundaries that allow an adjacent underscore."""

_ZONE = rf"(?:\s?(?:Z|z|(?:GMT|UTC?|[ECMP][SD]T){_END}|[+-]\d\d(?::?\d\d)?(?!\d)))?"
_CLOCK = r"\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?"
_DAY = rf"{_BEGIN}(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)(?:day|sday|nesday|rsday|urday)?"
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_TIMESTAMP = "|".join(
    (
        # ISO 8601, extended and basic format (https://www.rfc-editor.org/rfc/rfc3339), and the format of Go's `log`
        rf"{_BEGIN}\d{{4}}-\d\d-\d\d(?:[Tt ]{_CLOCK}{_ZONE})?",
        rf"{_BEGIN}\d{{8}}T\d{{4}}(?:\d\d(?:[.,]\d+)?)?{_ZONE}{_END}",
        rf"{_BEGIN}\d{{4}}/\d\d/\d\d {_CLOCK}{_ZONE}",
        # RFC 1123 and 5322, RFC 850, and C's `asctime`: the three of HTTP (RFC 9110, section 5.6.7)
        rf"(?:{_DAY}, |{_BEGIN})\d\d? {_MONTH} \d{{4}} {_CLOCK}{_ZONE}",
        rf"{_DAY}, \d\d-{_MONTH}-\d\d {_CLOCK}{_ZONE}",
        rf"{_DAY} {_MONTH} [ \d]\d {_CLOCK} \d{{4}}{_END}",
    )
)

SCRUBS: Mapping[str, str] = {
    "uuid": rf"{_BEGIN}[0-9a-fA-F]{{8}}(?:-[0-9a-fA-F]{{4}}){{3}}-[0-9a-fA-F]{{12}}{_END}",
    "timestamp": _TIMESTAMP,
    "tmp": r"(?:/private)?(?:/tmp|/var/tmp|/var/folders)(?:/[\w.+@~-]+)+",
    "port": rf"(?<=[\w\]]):\d{{4,5}}{_END}",
    "hash": rf"{_BEGIN}(?:[0-9a-f]{{64}}|[0-9a-f]{{40}}|[0-9a-f]{{32}}){_END}",
}
"""The built-in scrubs by name, with their regular expressions."""

_WORD = re.compile(r"\w+")
"""Text that is more likely a misspelt name than a pattern."""

_ALIKE = 0.75
"""Minimum similarity (`difflib` ratio) for a word to count as a misspelt name: that of `guid` and `uuid`."""

_STEP = re.compile(r"""\*\*|\*|\[\*\]|\[(\d+)\]|\["((?:[^"\\]|\\.)*)"\]|([^.\[\]*"]+)""")
_IGNORED = "<ignored>"

Step = str | int | None
"""A key, an index, or `None` for any single key or index. The key `**` stands for any number of steps."""


@dataclass(frozen=True, slots=True)
class Scrubber:
    """Cleans values before they are compared. `Scrubber.of` takes `scrubs` (names or regular expressions) and paths.

    A path looks like `calls[*].result.updated_at`: `*` and `[*]` match any key or index, `**` any number of them, and
    `["odd key"]` is a quoted key. `patterns` are pairs of a pattern and its replacement: built-in patterns are
    compiled, users' patterns are text and are matched within a time limit.
    """

    patterns: tuple[tuple[re.Pattern[str] | str, str], ...] = ()
    paths: tuple[tuple[Step, ...], ...] = ()

    @classmethod
    def of(cls, scrubs: Iterable[str] = (), ignore: Iterable[str] = ()) -> Scrubber:
        """Parse names or patterns, and paths to ignore. Raises `UsageError` if one is invalid."""
        scrubs, ignore = validate_option("scrub", Listed(), scrubs), validate_option("ignore", Listed(), ignore)
        return cls(tuple(map(_pattern, scrubs)), tuple(map(parse_path, ignore)))

    def __bool__(self) -> bool:
        return bool(self.patterns or self.paths)

    def warnings(self) -> list[str]:
        """Return a warning for each pattern that ran out of time and left values unchanged."""
        return late_scrubs([pattern for pattern, _ in self.patterns if isinstance(pattern, str)])

    def clean(self, value: Any, frame: int = 0) -> Any:
        """Return a JSON value without the ignored parts, and with matches of the patterns replaced in strings and keys.

        The keys of the outer `frame` levels are kept: those are mcprun's own.
        """
        return self._clean(value, self.paths, frame)

    def _clean(self, value: Any, paths: Sequence[tuple[Step, ...]], frame: int) -> Any:
        if isinstance(value, str):
            return self._text(value)
        if not isinstance(value, dict | list) or not (paths or self.patterns):
            return value
        if isinstance(value, dict):
            within = ((key, item, _remainders(paths, key)) for key, item in value.items())
            cleaned = {key: self._clean(item, rest, frame - 1) for key, item, rest in within if () not in rest}
            return cleaned if frame > 0 or not self.patterns else self._with_clean_keys(cleaned)
        return [
            _IGNORED if () in rest else self._clean(item, rest, frame - 1)
            for item, rest in ((item, _remainders(paths, at)) for at, item in enumerate(value))
        ]

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


def parse_path(text: str) -> tuple[Step, ...]:
    """Parse a path to ignore. Raises `UsageError` if it is not one."""
    path, at = text.removeprefix("$").removeprefix("."), 0
    steps: list[Step] = []
    while at < len(path):
        found = _STEP.match(path, at)
        if not found:
            raise UsageError(f"--ignore {text!r} is not a path: write it like calls[*].result.updated_at")
        index, quoted, name = found.groups()
        if index is not None:
            steps.append(int(index))
        elif quoted is not None or name is not None:
            steps.append(re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else name)
        else:
            steps.append("**" if found[0] == "**" else None)
        at = found.end()
        if path[at : at + 1] == "." and at + 1 < len(path):
            at += 1
    if not steps:
        raise UsageError("--ignore must be a path such as calls[*].result.updated_at")
    return tuple(steps)


def _remainders(paths: Sequence[tuple[Step, ...]], step: str | int) -> list[tuple[Step, ...]]:
    """Return the remainders of the paths that match a step; `()` if a path ends there."""
    left: list[tuple[Step, ...]] = []
    for path in paths:
        first, rest = path[0], path[1:]
        if first == "**":
            left.append(path)
            left += _remainders([rest], step) if rest else [()]
        elif first is None or first == step:
            left.append(rest)
    return left


def _pattern(scrub: str) -> tuple[re.Pattern[str] | str, str]:
    if scrub in SCRUBS:
        return re.compile(SCRUBS[scrub]), f"<{scrub}>"
    if _WORD.fullmatch(scrub) and (close := difflib.get_close_matches(scrub.lower(), SCRUBS, n=1, cutoff=_ALIKE)):
        message = f"--scrub {scrub!r} is not known; did you mean {close[0]}?"
        raise UsageError(f"{message} To use it as a regular expression, write ({scrub})")
    return checked_pattern("--scrub", scrub), "<scrubbed>"
