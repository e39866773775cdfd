"""A list of runs, as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from rich.text import Text

from mcprun.errors import ExitCode
from mcprun.report.outcome import regression_counts
from mcprun.report.styles import AMBER, STYLES
from mcprun.report.text import one_line, plural, verdict_count
from mcprun.runs.listing import ListedRun
from mcprun.runs.transcript import Verdict

_NAME, _FACT, _REASON = 120, 60, 300
"""Maximum number of characters shown of a folder's name, of a fact such as the server, and of a problem."""

_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def run_lines(runs: Sequence[ListedRun]) -> Iterator[Text]:
    """Yield two lines for each run: its name, time and verdicts, then its prompts, model, baseline and server."""
    for one in runs:
        yield Text.assemble(
            (one_line(one.path.name, _NAME), "bold"), "  ", (local_time(one.started), "dim"), "  ", _outcome(one)
        )
        yield Text(f"    {_facts(one)}", AMBER if one.problem else "dim")


def run_totals(runs: Sequence[ListedRun]) -> str:
    """Return the number of runs and their size: `12 runs, 3.4 MB`, and how many of them are damaged."""
    text = f"{plural(len(runs), 'run')}, {size_text(sum(one.size for one in runs))}"
    damaged = sum(1 for one in runs if one.problem)
    return f"{text}; {damaged:,} damaged" if damaged else text


def size_text(size: int) -> str:
    """Format a size in bytes: `812 bytes`, `3.4 MB`."""
    value = float(size)
    for unit in _UNITS:
        if value < 999.5 or unit == _UNITS[-1]:
            return f"{size:,} bytes" if unit == "bytes" else f"{value:.3g} {unit}"
        value /= 1000
    raise AssertionError


def local_time(started: str) -> str:
    """Format a time to the minute in the local time zone, as in the names of runs. Return `?` if it is not a time."""
    try:
        return f"{datetime.fromisoformat(started).astimezone():%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError, OSError):
        return "?"


def _outcome(one: ListedRun) -> Text:
    """Return the verdicts of a run, and its state if it is not finished."""
    if one.run is None:
        return Text("damaged", "red")
    verdicts = [
        Text(verdict_count(verdict, count), STYLES[verdict])
        for verdict in Verdict
        if (count := one.counts.not_run if verdict is Verdict.SKIPPED else getattr(one.counts, verdict))
    ]
    ungraded = [Text(f"{one.counts.ungraded:,} not graded", "dim")] if one.counts.ungraded else []
    state = [] if one.state == "finished" else [Text("unfinished" if one.state == "started" else one.state, AMBER)]
    is_error = not state and not one.counts.done and one.run.record.exit_code is ExitCode.ERROR
    error = [Text("no query ran", AMBER)] if is_error else []
    compared = one.run.record.baseline.compared if one.run.record.baseline else None
    differing = [Text(text, "red") for text in (regression_counts(compared) if compared else ())]
    return Text(", ").join([*verdicts, *ungraded, *differing, *error, *state])


def _facts(one: ListedRun) -> str:
    if one.run is None:
        return one_line(one.problem, _REASON)
    record = one.run.record
    facts = {
        "prompts": record.prompts.file + (f" (shard {record.prompts.shard})" if record.prompts.shard else ""),
        "model": record.model.name,
        "baseline": one.baseline or "",
        "server": str(record.arguments.get("server") or "?"),
    }
    text = ", ".join(f"{name}: {one_line(value, _FACT)}" for name, value in facts.items() if value)
    kinds = [name for name, is_kind in (("a baseline", one.is_baseline), ("routed", record.route)) if is_kind]
    return "; ".join([*kinds, text])
