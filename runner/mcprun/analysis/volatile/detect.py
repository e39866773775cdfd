"""Find what is volatile in the results of a query, from several tries of it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from mcprun._util.json_path import format_path
from mcprun._util.json_value import JsonObject
from mcprun.analysis.diff.forms import is_epoch
from mcprun.analysis.diff.rule import Rule
from mcprun.analysis.diff.scrub import Path
from mcprun.analysis.diff.transcripts import Change, CompareOptions, variables_of
from mcprun.analysis.diff.variables import VariablePairs
from mcprun.analysis.volatile.likelihood import compiled_scrubs, is_measured_key, likely_alone, text_before
from mcprun.analysis.volatile.places import Budget, Place, common_paths, ignoring, places_of_tries, unique_places
from mcprun.errors import describe

RESULT_PATH: Path = ("calls", None, "result")

_IDS = frozenset({"uuid", "ulid"})
"""Scrubs of ids. Those on which two tries agree do not vary, unlike times; and a hash may have their form."""

_MAX_CHARS = 100_000
"""The most characters of one text that are searched for volatile parts."""

_MAX_ALIKE = 100
"""The most values at one path, such as those of one key in a list of objects, that are searched: they are alike."""

_MAX_SEARCHED = 300_000
"""The most characters of one transcript that are searched. Searching 1,000,000 takes some seconds."""


def find_volatile(tries: Sequence[JsonObject], options: CompareOptions, now: datetime) -> list[Place]:
    """Return the volatile places of a query that `options` does not cover yet, each once.

    Args:
        tries: Two or more transcripts of the query, as parsed from their lines, on a server that did not change.
        options: What is compared, with the rules in force.
        now: When the tries were made, in UTC. Times near it are volatile although the tries agree on them.
    """
    first, *others = tries
    found: list[Place] = []
    for other in others:
        try:
            found += places_of_tries(options.changes(first, other))
        except Exception as error:  # noqa: BLE001  one query must not affect the others
            found += places_of_tries([Change("fault", after=describe(error))])
    return unique_places([*found, *_places_alone(first, options, now)])


def _places_alone(transcript: JsonObject, options: CompareOptions, now: datetime) -> Iterator[Place]:
    """Yield the places of one transcript that look volatile."""
    searched = Counter[Path]()
    budget = Budget(_MAX_SEARCHED)
    variables = variables_of(transcript)
    named = VariablePairs.of(variables, {name: f"<{name}>" for name in variables})  # their values are no difference
    for call in options.comparable(transcript).calls:
        result = named.to_head(call.get("result"), in_texts=True) if named else call.get("result")
        common = common_paths(RESULT_PATH, result)
        for path, value in _leaves(RESULT_PATH, result):
            searched[path] += 1
            size = min(len(value), _MAX_CHARS) if isinstance(value, str) else 1
            if searched[path] > _MAX_ALIKE or not budget.take(size):
                continue
            for rule in _rules_alone(path, value, now, call.get("tool")):
                kind = rule.value if rule.option == "scrub" else "number"
                otherwise = ignoring(path, common, call.get("tool")) if rule.option == "scrub" else None
                yield Place(format_path(path), kind, rule, value, value, call.get("tool"), otherwise)


def _rules_alone(path: Path, value: Any, now: datetime, tool: str | None) -> Iterator[Rule]:
    if isinstance(value, str):
        text = value[:_MAX_CHARS]
        for name, pattern in compiled_scrubs().items():
            if name not in _IDS and any(
                likely_alone(name, one[0], text_before(one), now) for one in pattern.finditer(text)
            ):
                yield Rule("scrub", name)
            text = pattern.sub(f"<{name}>", text)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if is_epoch(value) and likely_alone("epoch", str(value), "", now):
            yield Rule("scrub", "epoch")
        elif is_measured_key(path[-1]) and (rule := ignoring(path, tool=tool)):
            yield rule


def _leaves(path: Path, value: Any) -> Iterator[tuple[Path, Any]]:
    """Yield the strings and numbers of a value, with their paths. Indices are generalised."""
    todo = [(path, value)]
    while todo:
        at, part = todo.pop()
        if isinstance(part, dict):
            todo += [((*at, key), item) for key, item in part.items()]
        elif isinstance(part, list):
            todo += [((*at, None), item) for item in part]
        else:
            yield at, part
