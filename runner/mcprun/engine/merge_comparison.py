"""Merge the comparisons of all shards with their baseline, as if one machine had compared the whole run."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from mcprun._util.json_io import open_fresh
from mcprun._util.json_value import JsonObject
from mcprun.analysis.diff.json_lines import as_json, read_differences, read_routing
from mcprun.analysis.diff.rule import VolatileSummary
from mcprun.analysis.diff.runs import MAX_MOVED, DiffSummary, MovedRate, QueryDiff
from mcprun.analysis.routing.changes import merged_routing
from mcprun.analysis.volatile.findings import merged
from mcprun.errors import UsageError
from mcprun.runs.directory import DIFFERENCES
from mcprun.runs.run import Run
from mcprun.runs.run_record import BaselineRecord, ComparedCounts
from mcprun.tools.changes import ToolChange


def merge_comparisons(shards: Sequence[Run], names: Collection[str], path: Path) -> BaselineRecord | None:
    """Write the differences of all shards to the merged run at `path`, and return their counts.

    `names` are the ids of all queries, in their order. Return None if no shard has a baseline. If a shard was not
    compared with its baseline, nothing is written, and the merged run counts as not compared either. Raises
    `UsageError` if differences can't be read.
    """
    records = [shard.record.baseline for shard in shards]
    first = next((record for record in records if record), None)
    if first is None or not all(record and record.compared for record in records):
        return first and BaselineRecord(path=first.path)
    tools: list[ToolChange] = []
    moved: list[MovedRate] = []
    volatile: list[VolatileSummary] = []
    routing = [one for one in (read_routing(shard.path / DIFFERENCES) for shard in shards) if one]
    with open_fresh(path / DIFFERENCES) as file:
        for shard in shards:
            for difference in read_differences(shard.path / DIFFERENCES):
                if isinstance(difference, QueryDiff):
                    file.write(_line(difference))
                elif isinstance(difference, VolatileSummary):
                    volatile.append(difference)
                elif isinstance(difference, tuple):
                    moved += difference
                else:
                    tools = difference
        counts = _added_up(record.compared for record in records if record and record.compared)
        removed = list(_in_no_shard(shards[0], names, first.path))
        file.writelines(map(_line, removed))
        counts["removed"] += len(removed)
        counts["regressions"] += len(removed)
        if tools:
            file.write(_line({"tools": tools}))
        if moved:
            file.write(_line({"moved": moved[:MAX_MOVED]}))
        if routes := merged_routing(routing):
            file.write(_line({"routing": routes}))
        if found := merged(volatile, {name: number for number, name in enumerate(names)}):
            file.write(_line({"volatile": found}))
        file.write(_line({"totals": asdict(DiffSummary(**counts))}))
    return BaselineRecord(path=first.path, compared=ComparedCounts(**counts))


def _added_up(compared: Iterable[ComparedCounts]) -> dict[str, int]:
    """Return the totals of all shards. All have the same tools, so their breaking changes count once."""
    each = [one.model_dump() for one in compared]
    counts = {name: sum(one[name] for one in each) for name in each[0]}
    repeated = counts["breaking"] - each[0]["breaking"]
    return counts | {"breaking": each[0]["breaking"], "regressions": counts["regressions"] - repeated}


def _in_no_shard(shard: Run, names: Container[str], baseline: str) -> Iterator[QueryDiff]:
    """Yield the queries that only the baseline has, unless the run selected queries. No shard knows about them."""
    if shard.record.arguments.get("filters") or shard.record.arguments.get("limit"):
        return
    with suppress(UsageError):  # the baseline may be on another machine
        run = Run.read_record(str(Path(shard.record.folder or ".", baseline)))
        for name, repeat in run.index:
            if name not in names:
                verdict = str(run.at(run.index[name, repeat]).verdict)
                yield QueryDiff(name, repeat, "removed", (verdict, None), is_regression=True, examples=(repeat, None))
        run.close()


def _line(value: QueryDiff | JsonObject) -> bytes:
    return f"{as_json(value)}\n".encode(errors="replace")
