"""The conditions of a run: what a later run on an unchanged server must share to have the same results. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mcprun._util.json_value import JsonObject
from mcprun.runs.run_record import RunRecord

_SWITCHES = ("fresh_server", "scratch")
_RULES = ("scrub", "ignore", "ignore_order")
_NUMBERS: Mapping[str, int] = {"servers": 1}

_CONCURRENCY = "concurrency"


def kept_arguments(record: RunRecord) -> JsonObject:
    """Return the arguments of a run that its baseline keeps. None of them depends on the machine."""
    names = (*_SWITCHES, *_NUMBERS, *_RULES)
    return {name: record.arguments[name] for name in names if name in record.arguments}


def kept_limits(record: RunRecord) -> JsonObject:
    """Return the limits of a run that its baseline keeps. Baselines of older versions have none."""
    return {_CONCURRENCY: record.limits[_CONCURRENCY]} if _CONCURRENCY in record.limits else {}


def condition_difference(base: RunRecord, head: RunRecord, name: str, head_name: str = "") -> str:
    """Describe in one line how the conditions of a run differ from those of the run `name`, its base; empty if not.

    Rules of the base that are missing count, and other rules of the run do not: they hide no difference of the base.
    The conditions of a baseline of an older version are unknown, and count as equal.
    """
    if _CONCURRENCY not in base.limits or _CONCURRENCY not in head.limits:
        return ""
    had = [*_had(base, head), *_missing_rules(base, head)]
    lacked = [f"--{_flag(one)}" for one in _SWITCHES if _switch(head, one) and not _switch(base, one)]
    parts = [f"{word} {_listed(flags)}" for word, flags in (("with", had), ("without", lacked)) if flags]
    end = f"; {head_name} was not" if head_name else "; this run was not"
    return f"{name} was recorded {' and '.join(parts)}{end}" if parts else ""


def _had(base: RunRecord, head: RunRecord) -> Iterator[str]:
    """Yield the flags that the base had, and the run has not, or with another value."""
    yield from (f"--{_flag(one)}" for one in _SWITCHES if _switch(base, one) and not _switch(head, one))
    if (count := base.limits[_CONCURRENCY]) != head.limits[_CONCURRENCY]:
        yield f"--concurrency {count}"
    for name, default in _NUMBERS.items():
        if (count := base.arguments.get(name, default)) != head.arguments.get(name, default):
            yield f"--{_flag(name)} {count}"


def _missing_rules(base: RunRecord, head: RunRecord) -> Iterator[str]:
    for name in _RULES:
        present = _rules(head, name)
        yield from (f"--{_flag(name)} {rule}" for rule in _rules(base, name) if rule not in present)


def _rules(record: RunRecord, name: str) -> list[Any]:
    value = record.arguments.get(name, ())
    return list(value) if isinstance(value, list | tuple) else [value]


def _switch(record: RunRecord, name: str) -> bool:
    return bool(record.arguments.get(name, False))


def _flag(name: str) -> str:
    return name.replace("_", "-")


def _listed(flags: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(flags[:-1]), flags[-1])))
