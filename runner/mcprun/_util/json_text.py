"""Parse JSON text strictly (RFC 8259): return its value, or raise an error with the first reason against it.

Python's `json` accepts `NaN`, keeps the last of two equal keys, and returns infinity for `1e400`. Another parser may
read such a text differently, so it is rejected.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from typing import Any

from pydantic_core import to_json

from mcprun._util.long_integers import LongInteger, digits_of, may_hold

MAX_LEVELS = 500
"""The maximum levels of nesting. Python's own limit varies by version and with the depth of the stack."""

_MAX_INDEX_DIGITS = 18
"""The maximum digits of an index into a list: no list is longer."""

_NUMBERS = {math.inf: "Infinity", -math.inf: "-Infinity"}


class AmbiguousError(ValueError):
    """JSON text that Python's `json` accepts but RFC 8259 does not, or that two parsers may read differently.

    `path` is a path such as `a.b[0]`, empty for the whole text; `problem` describes the value there.
    """

    def __init__(self, path: str, problem: str) -> None:
        self.path = path
        self.problem = problem
        super().__init__(f"{problem} (at {path})" if path else problem)


class TooDeepError(ValueError):
    """JSON text with more than `MAX_LEVELS` levels of nesting."""


class _Bad:
    """A placeholder in a parsed value for a rejected number; `problem` is the reason."""

    def __init__(self, problem: str) -> None:
        self.problem = problem


class _Repeated(dict[str, Any]):
    """A parsed object in which `key` appears twice."""

    key = ""


def loads(text: str | bytes, *, allow_nan: bool = False) -> Any:
    """Parse JSON strictly. With `allow_nan`, accept NaN, Infinity and -Infinity as Python's `json` does.

    Raises `ValueError`: `json.JSONDecodeError` or `UnicodeDecodeError` for text that is not JSON, `AmbiguousError` for
    NaN, infinite numbers and duplicate keys, `TooDeepError`, or a plain one for an integer with too many digits.
    """
    bad: list[_Bad | _Repeated] = []

    def reject(problem: str) -> _Bad:
        bad.append(_Bad(problem))
        return bad[-1]  # type: ignore[return-value]  # it was just appended

    def number(digits: str) -> float | _Bad:
        value = float(digits)
        return value if math.isfinite(value) else reject(f"the number {_cut(digits)} is too large")

    def obj(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) < len(pairs):
            value = _Repeated(value)
            value.key = _first_repeated(pairs)
            bad.append(value)
        return value

    try:
        value = json.loads(
            text,
            parse_constant=float if allow_nan else lambda name: reject(f"{name} is not JSON"),
            parse_float=number,
            object_pairs_hook=obj,
        )
    except RecursionError:
        raise TooDeepError("nested too deeply") from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise
    except ValueError:  # raised by int(): CVE-2020-10735
        raise ValueError(f"a number has more than {sys.get_int_max_str_digits():,} digits") from None
    if _opened(text) > MAX_LEVELS and levels(value) > MAX_LEVELS:
        raise TooDeepError(f"nested too deeply (more than {MAX_LEVELS} levels)")
    if bad:
        raise next(_problems(value))
    return value


def index_of(step: str, items: list[Any]) -> int | None:
    """Return the list index that a step of a JSON Pointer (RFC 6901, section 4) refers to, or None if there is none.

    An index has no leading zeros. Its length is bounded, since Python's `int` raises for more than 4,300 digits.
    """
    if not (step.isascii() and step.isdecimal()) or len(step) > _MAX_INDEX_DIGITS or (step[0] == "0" and step != "0"):
        return None
    return index if (index := int(step)) < len(items) else None


def levels(value: Any) -> int:
    """Count the levels of nesting of a JSON value, without recursion."""
    count, level = 0, [value]
    while level := [item for item in level if isinstance(item, dict | list)]:
        count += 1
        level = [inner for item in level for inner in (item.values() if isinstance(item, dict) else item)]
    return count


def holds_odd_number(value: Any) -> bool:
    """Return whether a JSON value contains a number that is recorded as text (`number_name`)."""
    try:
        data = to_json(value)
    except ValueError:  # lone surrogates, more than 255 levels, or an integer with too many digits
        return finite(value) is not value
    return (b"NaN" in data or b"Infinity" in data or may_hold(data)) and finite(value) is not value


def number_name(value: float) -> str:
    """Return the text that replaces a number that can't be recorded: `NaN`, `Infinity`, `-Infinity`, or its digits."""
    if isinstance(value, LongInteger):
        return value.digits
    return _NUMBERS.get(value, "NaN")


def finite(value: Any) -> Any:
    """Replace numbers that can't be recorded by text (`number_name`). Return the same object if there are none."""
    if isinstance(value, float):
        return value if math.isfinite(value) else number_name(value)
    if isinstance(value, int):
        return digits_of(value) or value
    if isinstance(value, dict):
        changed = {key: finite(item) for key, item in value.items()}
        return value if all(changed[key] is item for key, item in value.items()) else changed
    if isinstance(value, list):
        items = [finite(item) for item in value]
        return value if all(one is other for one, other in zip(items, value, strict=True)) else items
    return value


def _first_repeated(pairs: list[tuple[str, Any]]) -> str:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            return key
        seen.add(key)
    return ""


def _opened(text: str | bytes) -> int:
    """Return an upper bound on the levels of nesting."""
    if isinstance(text, bytes):
        return text.count(b"{") + text.count(b"[")
    return text.count("{") + text.count("[")


def _problems(value: Any) -> Iterator[AmbiguousError]:
    """Yield an error for each rejected value, in the order of the text."""
    todo: list[tuple[str, Any]] = [("", value)]
    while todo:
        path, one = todo.pop()
        if isinstance(one, _Bad):
            yield AmbiguousError(path, one.problem)
        if isinstance(one, _Repeated):
            yield AmbiguousError(_step(path, one.key), f"the key {_cut(one.key)!r} appears twice in one object")
        if isinstance(one, dict):
            todo += reversed([(_step(path, key), item) for key, item in one.items()])
        elif isinstance(one, list):
            todo += reversed([(f"{path}[{at}]", item) for at, item in enumerate(one)])


def _step(path: str, key: str) -> str:
    name = _cut(key) if key.isidentifier() else json.dumps(_cut(key), ensure_ascii=False)
    return f"{path}.{name}" if path else name


def _cut(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]}…"
