"""The differences between two runs as JSON Lines, as `mcprun diff --json` prints and `differences.jsonl` holds them.

A line is a query that differs (`QueryDiff`), `{"tools": […]}` with the changes of the servers' tools, `{"moved": […]}`
with pass rates that moved within chance (`MovedRate`), `{"coverage": {…}}` with coverage that fell
(`analysis.coverage.changes.CoverageDiff`), `{"routing": {…}}` with the grades of two routed runs
(`analysis.routing.changes.RoutingDiff`), `{"volatile": {…}}` with what was masked and what looks volatile
(`VolatileSummary`), or `{"totals": {…}}` with the counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from mcprun._util.json_text import finite
from mcprun._util.json_value import JsonObject
from mcprun.analysis.coverage.changes import CoverageDiff
from mcprun.analysis.diff.describe import differences_of
from mcprun.analysis.diff.rule import VolatileSummary
from mcprun.analysis.diff.runs import MovedRate, QueryDiff
from mcprun.analysis.diff.transcripts import Change, read_json
from mcprun.analysis.diff.values import ABSENT, ValueDifference
from mcprun.analysis.routing.changes import RoutingDiff
from mcprun.errors import UsageError
from mcprun.tools.changes import ToolChange

_Single = TypeVar("_Single")

_VALUES = frozenset({"input", "result", "text", "prompt"})
"""The changes whose values are compared."""

_APART = frozenset({"totals", "coverage", "routing"})
"""The keys of lines that `read_differences` leaves out."""

_MAX_DIFFERENCES = 1_000
"""Maximum number of differences listed for one change, beside the whole values."""


def as_json(value: QueryDiff | JsonObject) -> str:
    """Return one query's differences, or an object that contains such values, as a JSON object on one line."""
    text = json.dumps(value, ensure_ascii=False, default=_shallow)
    if "NaN" not in text and "Infinity" not in text:
        return text
    return json.dumps(finite(value), ensure_ascii=False, default=lambda one: finite(_shallow(one)))


Recorded = QueryDiff | list[ToolChange] | tuple[MovedRate, ...] | VolatileSummary
"""What a line holds: a query, the changes of tools, pass rates that moved within chance, or what was masked."""


def read_differences(path: Path) -> Iterator[Recorded]:
    """Stream a file of these lines, apart from the totals, the coverage and the routing.

    Raises `UsageError` if the file can't be read or has another line.
    """
    try:
        with path.open("rb") as stream:
            for line in stream:
                value = read_json(line)
                if value.keys() & _APART:
                    continue
                if "volatile" in value:
                    yield _volatile().validate_python(value["volatile"])
                    continue
                if "moved" in value:
                    yield _moved().validate_python(value["moved"])
                    continue
                yield _tools().validate_python(value["tools"]) if "tools" in value else parse_query_diff(value)
    except OSError as error:
        raise UsageError(f"can't read {path}: {error.strerror}") from None
    except (ValueError, TypeError, ValidationError):
        raise UsageError(f"{path} has a line that is not a difference between two runs") from None


def read_coverage(path: Path) -> CoverageDiff | None:
    """Return the coverage that fell, as a file of these lines holds it; None if none did.

    Raises `UsageError` if the file can't be read or the line is malformed.
    """
    return _read_single(path, "coverage", _coverage())


def read_routing(path: Path) -> RoutingDiff | None:
    """Return how the grades of two routed runs differ, as a file of these lines holds it; None if it does not.

    Raises `UsageError` if the file can't be read or the line is malformed.
    """
    return _read_single(path, "routing", _routing())


def _read_single(path: Path, key: str, adapter: TypeAdapter[_Single]) -> _Single | None:
    """Return the value of the only line with a key; None if there is none."""
    begin = f'{{"{key}"'.encode()
    try:
        with path.open("rb") as stream:
            for line in stream:
                if line.startswith(begin):
                    return adapter.validate_python(read_json(line)[key])
    except OSError as error:
        raise UsageError(f"can't read {path}: {error.strerror}") from None
    except (ValueError, TypeError, ValidationError):
        raise UsageError(f"{path} has a line that is not a difference between two runs") from None
    return None


def parse_query_diff(value: JsonObject) -> QueryDiff:
    """Return a query's differences from their JSON object. Raises `ValueError` if it is not one."""
    return _query().validate_python(value)


@cache
def _query() -> TypeAdapter[QueryDiff]:
    return TypeAdapter(QueryDiff)


@cache
def _tools() -> TypeAdapter[list[ToolChange]]:
    return TypeAdapter(list[ToolChange])


@cache
def _moved() -> TypeAdapter[tuple[MovedRate, ...]]:
    return TypeAdapter(tuple[MovedRate, ...])


@cache
def _coverage() -> TypeAdapter[CoverageDiff]:
    return TypeAdapter(CoverageDiff)


@cache
def _routing() -> TypeAdapter[RoutingDiff]:
    return TypeAdapter(RoutingDiff)


@cache
def _volatile() -> TypeAdapter[VolatileSummary]:
    return TypeAdapter(VolatileSummary)


def _shallow(value: Any) -> JsonObject:
    """Return a dataclass as a JSON object. `asdict` would copy every result that differs."""
    shallow = {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, Change) and value.what in _VALUES:
        shallow["differences"] = [*map(_difference_json, islice(differences_of(value), _MAX_DIFFERENCES))]
    return shallow


def _difference_json(difference: ValueDifference) -> JsonObject:
    """Return a difference as a JSON object. The path of a side that has no value is null."""
    sides = difference.before, difference.after
    paths = [None if value is ABSENT else path for path, value in zip(difference.paths, sides, strict=True)]
    before, after = (None if value is ABSENT else value for value in sides)
    return {"paths": paths, "before": before, "after": after}
