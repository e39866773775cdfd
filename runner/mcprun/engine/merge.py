"""Merge the runs of all shards into one run, as if one machine had run all queries (`mcprun merge`)."""

from __future__ import annotations

import heapq
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from mcprun._util.json_io import dump_indented, dumps, stage, write_file
from mcprun._util.json_value import JsonObject
from mcprun.engine.coverage import with_coverage
from mcprun.engine.merge_comparison import merge_comparisons
from mcprun.engine.routing_outcome import with_routing
from mcprun.engine.verdict_rules import difference
from mcprun.errors import UsageError
from mcprun.prompts.file import stem_of
from mcprun.prompts.shard import Shard, merge_shards
from mcprun.runs.directory import LOG, PROMPTS, QUERIES, RUN, TRACE, TRANSCRIPTS, mark_latest, new_directory
from mcprun.runs.run import Run
from mcprun.runs.run_record import PromptsRecord, RunRecord, ServerRecord
from mcprun.runs.tool_listings import joined_listings
from mcprun.runs.totals import RunTotals

_SHARD_ARGUMENTS = ("shard", "out")
"""Arguments that apply to a shard and not to the merged run."""

_STAGED_TRANSCRIPTS = f"{TRANSCRIPTS}.new"
"""The name of the transcripts until all files are written. If writing fails, no `transcripts.jsonl` is left behind."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A run of one shard, with the digests of its queries by id."""

    shard: Shard
    run: Run
    digests: Mapping[str, str]


def merge(runs: Sequence[Run], out: str | None, *, partial: bool) -> Run:
    """Write the merged run of all shards to `out`, or to a new directory, and return it.

    Its transcripts are byte for byte those of a single run of all queries. Trace events are in order of time, and the
    servers and the workers of all shards are numbered consecutively. With `partial`, shards may be missing or
    unfinished. The merged run is `interrupted` then, and can be resumed. If it is not, the coverage gates of the shards
    are evaluated, and its routing is measured.

    Raises:
        UsageError: The runs are not the shards of one run, or the merged run can't be written.
    """
    parts = _parts(runs, partial=partial)
    first = parts[0].run.record
    path = new_directory(stem_of(first.prompts.file), out)
    try:
        totals = _write_transcripts(parts, path)
        names = dict.fromkeys(name for name, _ in _queries(parts))
        comparison = merge_comparisons([part.run for part in parts], names, path)
        record = _record(parts, totals).model_copy(update={"baseline": comparison})
        _write_events(parts, path)
        _write_log(parts, path)
        lines = (dumps({"id": name, "digest": digest}) + "\n" for name, digest in _queries(parts))
        write_file(path / QUERIES, "".join(lines).encode())
        if parts[0].run.prompts.exists():
            shutil.copyfile(parts[0].run.prompts, path / PROMPTS)
        staged_record = stage(path / RUN, dump_indented(record.line()))
        (path / _STAGED_TRANSCRIPTS).replace(path / TRANSCRIPTS)
        staged_record.replace(path / RUN)  # last, since a directory is a run once it holds run.json
        mark_latest(path)
        record = with_routing(path, with_coverage(path, record))
    except OSError as error:
        raise UsageError(f"can't write {path}: {error.strerror or error}") from None
    return Run(path, record)


def _parts(runs: Sequence[Run], *, partial: bool) -> list[_Part]:
    """Return the shards in order of their number. Raises `UsageError` unless they are shards of one run."""
    by_number: dict[int, _Part] = {}
    for run in runs:
        if run.record.prompts.shard is None:
            raise UsageError(f"{run.path} is not a shard: create one with mcprun batch --shard I/N")
        shard = Shard.parse(run.record.prompts.shard)
        if shard.number in by_number:
            raise UsageError(f"{by_number[shard.number].run.path} and {run.path} are both shard {shard}")
        by_number[shard.number] = _Part(shard, run, run.digests)
    parts = [by_number[number] for number in sorted(by_number)]
    first, *others = parts
    for other in others:
        if differs := _difference(first, other):
            raise UsageError(f"{first.run.path} and {other.run.path} are not shards of the same run: {differs}")
    if not partial:
        _check_complete(parts)
    return parts


def _difference(one: _Part, other: _Part) -> str:
    """Describe why two shards can't be of the same run; empty if they can."""
    before, after = one.run.record, other.run.record
    if one.shard.of != other.shard.of:
        return f"the number of shards differs ({one.shard} and {other.shard})"
    if before.prompts.sha256 != after.prompts.sha256:
        return f"the prompts file {before.prompts.file} differs"
    baselines = [record.baseline.path if record.baseline else None for record in (before, after)]
    if baselines[0] != baselines[1]:
        return f"--baseline differs ({baselines[0]} and {baselines[1]})"
    if before.coverage != after.coverage:
        return "--min-coverage, --require or --waive differs"
    if before.route and after.route and before.route.decoys != after.route.decoys:
        return "the tools of --decoys differ"
    return difference(before, after)


def _check_complete(parts: Sequence[_Part]) -> None:
    """Raise `UsageError` if a shard is missing or unfinished."""
    of, present = parts[0].shard.of, {part.shard.number for part in parts}
    if missing := [f"{number}/{of}" for number in range(1, of + 1) if number not in present]:
        raise UsageError(f"missing shards: {', '.join(missing)}; use --partial to merge without them")
    if part := next((part for part in parts if part.run.record.state != "finished"), None):
        raise UsageError(
            f"{part.run.path} is not finished: resume it (mcprun batch --resume {part.run.path}),"
            " or use --partial to merge it as it is"
        )
    if parts[0].run.record.route and not any(part.run.counts.done for part in parts):
        raise UsageError(
            "--route: there is nothing to grade: no query of a shard has expect.calls without vars from steps"
        )


def _queries(parts: Sequence[_Part]) -> Iterator[tuple[str, str]]:
    """Yield the id and digest of each query, in the order of the prompts file."""
    digests = {part.shard.number: part.digests.items() for part in parts}
    return merge_shards([digests.get(number, ()) for number in range(1, parts[0].shard.of + 1)])


def _write_transcripts(parts: Sequence[_Part], path: Path) -> RunTotals:
    """Write the transcripts in the order of the prompts file, and return their totals.

    Only the offsets of transcripts are held in memory.
    """
    totals = RunTotals()
    locations: dict[str, list[tuple[int, int, int]]] = {}
    for number, part in enumerate(parts):
        offset = 0
        for transcript, line in Run.lines(part.run.path):
            totals.add(transcript)
            locations.setdefault(transcript.id, []).append((transcript.repeat, number, offset))
            offset += len(line)
    sources = [(part.run.path / TRANSCRIPTS).open("rb") for part in parts]
    try:
        with (path / _STAGED_TRANSCRIPTS).open("wb") as file:
            for name, _ in _queries(parts):
                for _, number, offset in sorted(locations.get(name, ())):
                    sources[number].seek(offset)
                    file.write(sources[number].readline())
    finally:
        for source in sources:
            source.close()
    return totals


def _record(parts: Sequence[_Part], totals: RunTotals) -> RunRecord:
    """Return the `run.json` of the merged run."""
    records = [part.run.record for part in parts]
    first = records[0]
    is_complete = len(parts) == parts[0].shard.of and all(record.state == "finished" for record in records)
    repeats = {one.id: one for record in records for one in record.repeats}
    return first.model_copy(
        update={
            "state": "finished" if is_complete else "interrupted",
            "started": min(record.started for record in records),
            "finished": max((record.finished for record in records if record.finished), default=None),
            "seconds": max((record.seconds for record in records if record.seconds), default=None),
            "arguments": {key: value for key, value in first.arguments.items() if key not in _SHARD_ARGUMENTS},
            "prompts": PromptsRecord(
                file=first.prompts.file,
                sha256=first.prompts.sha256,
                queries=sum(record.prompts.queries for record in records),
                runs=sum(record.prompts.runs for record in records),
            ),
            "server": _server(records),
            "counts": totals.counts(),
            "route": first.route.model_copy(update={"outcome": None}) if first.route else None,
            "repeats": [repeats[name] for name, _ in _queries(parts) if name in repeats],
            "error": next((record.error for record in records if record.error), None),
            "again": [one for record in records for one in record.again],
        }
    )


def _server(records: Sequence[RunRecord]) -> ServerRecord | None:
    """Return the server of the first shard that has one, with the tools that only those of other shards listed."""
    servers = [record.server for record in records if record.server]
    return joined_listings(servers[0], servers[1:]) if servers else None


def _write_events(parts: Sequence[_Part], path: Path) -> None:
    """Write the events of all shards in order of time."""
    logs = [part.run.path / LOG for part in parts]
    offsets = accumulate((log.stat().st_size if log.exists() else 0 for log in logs), initial=0)
    servers = accumulate((_highest(part.run, "server") for part in parts), initial=0)
    workers = accumulate((_highest(part.run, "worker") + 1 for part in parts), initial=0)
    traces = [
        _renumber(part.run.events(), {"server": server, "worker": worker, "log_offset": offset})
        for part, server, worker, offset in zip(parts, servers, workers, offsets, strict=False)
    ]
    with (path / TRACE).open("wb") as file:
        for event in heapq.merge(*traces, key=lambda event: str(event["at"])):
            file.write(f"{dumps(event)}\n".encode())


def _highest(run: Run, key: str) -> int:
    """Return the highest number that the events of a run hold under a key: 0 if there is none."""
    return max((event[key] for event in run.events() if isinstance(event.get(key), int)), default=0)


def _renumber(events: Iterable[JsonObject], shifts: JsonObject) -> Iterator[JsonObject]:
    """Shift the numbers of servers and workers and the `server.log` offsets of events to those of the merged run."""
    for event in events:
        yield event | {key: event[key] + shift for key, shift in shifts.items() if isinstance(event.get(key), int)}


def _write_log(parts: Sequence[_Part], path: Path) -> None:
    """Concatenate the `server.log` of all shards."""
    with (path / LOG).open("wb") as log:
        for part in parts:
            with suppress(FileNotFoundError), (part.run.path / LOG).open("rb") as source:
                shutil.copyfileobj(source, log)
