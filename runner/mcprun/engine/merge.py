"""Makes one run of its shards, as if one machine had run all queries (`mcprun merge`)."""

from __future__ import annotations

import heapq
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from mcprun._util.json_io import dumps, indented, staged, write_file
from mcprun._util.json_value import JsonObject
from mcprun.engine.verdict_rules import difference
from mcprun.errors import UsageError
from mcprun.prompts.file import stem_of
from mcprun.prompts.shard import Shard, joined
from mcprun.runs.directory import mark_latest, new_directory
from mcprun.runs.records import PromptsRecord, RunRecord
from mcprun.runs.run import LOG, PROMPTS, QUERIES, RUN, TRACE, TRANSCRIPTS, Run
from mcprun.runs.totals import RunTotals

_OWN = ("shard", "out")
"""Arguments that are of a shard, and not of the whole."""

_UNDONE = f"{TRANSCRIPTS}.new"
"""Where transcripts stand until all is written: what a full disk leaves is in nobody's way."""


@dataclass(frozen=True, slots=True)
class _Part:
    """One shard that was run, and the digests of its queries by their ids."""

    shard: Shard
    run: Run
    digests: Mapping[str, str]


def merge(runs: Sequence[Run], out: str | None, *, partial: bool) -> Run:
    """Write a run that holds what the runs of all shards hold, to a new folder or to `out`; give it.

    Its transcripts are the bytes that one run of all queries would have written. The trace is in order of time, and
    servers are numbered through. With `partial`, shards may be missing or unfinished: then it counts as interrupted,
    and can be resumed. Raises `UsageError` for what are not the shards of one run, and where nothing can be written.
    """
    parts = _parts(runs, partial=partial)
    first = parts[0].run.record
    path = new_directory(stem_of(first.prompts.file), out)
    try:
        tally = _write_transcripts(parts, path)
        record = _record(parts, tally)
        _write_events(parts, path)
        _write_log(parts, path)
        lines = (dumps({"id": name, "digest": digest}) + "\n" for name, digest in _queries(parts))
        write_file(path / QUERIES, "".join(lines).encode())
        if parts[0].run.prompts.exists():
            shutil.copyfile(parts[0].run.prompts, path / PROMPTS)
        written = staged(path / RUN, indented(record.line()))
        (path / _UNDONE).replace(path / TRANSCRIPTS)
        written.replace(path / RUN)  # the last, since it is what makes the folder a run
        mark_latest(path)
    except OSError as error:
        raise UsageError(f"can't write {path}: {error.strerror or error}") from None
    return Run(path, record)


def _parts(runs: Sequence[Run], *, partial: bool) -> list[_Part]:
    """Bring the shards into their order, and see that they are those of one run. Raises `UsageError`."""
    found: dict[int, _Part] = {}
    for run in runs:
        if run.record.prompts.shard is None:
            raise UsageError(f"{run.path} is no shard: batch makes one with --shard I/N")
        shard = Shard.parse(run.record.prompts.shard)
        if shard.number in found:
            raise UsageError(f"{found[shard.number].run.path} and {run.path} are both shard {shard}")
        found[shard.number] = _Part(shard, run, run.digests)
    parts = [found[number] for number in sorted(found)]
    first, *others = parts
    for other in others:
        if differs := _difference(first, other):
            raise UsageError(f"{first.run.path} and {other.run.path} are not of one run: {differs}")
    if not partial:
        _check_whole(parts)
    return parts


def _difference(one: _Part, other: _Part) -> str:
    """Describe what two shards do not share that shards of one run would; empty if there is nothing."""
    before, after = one.run.record, other.run.record
    if one.shard.of != other.shard.of:
        return f"the one is shard {one.shard}, the other {other.shard}"
    if before.prompts.sha256 != after.prompts.sha256:
        return f"{before.prompts.file} was another file"
    return difference(before, after)


def _check_whole(parts: Sequence[_Part]) -> None:
    """Refuse what would be less than the whole run."""
    of, there = parts[0].shard.of, {part.shard.number for part in parts}
    if missing := [f"{number}/{of}" for number in range(1, of + 1) if number not in there]:
        raise UsageError(f"missing: shard {', '.join(missing)}; --partial does without")
    if part := next((part for part in parts if part.run.record.state != "finished"), None):
        raise UsageError(
            f"{part.run.path} is not finished: go on with it (mcprun batch --resume {part.run.path}),"
            " or give --partial to take it as it is"
        )


def _queries(parts: Sequence[_Part]) -> Iterator[tuple[str, str]]:
    """Give each query's id and digest, in the order of the prompts file."""
    there = {part.shard.number: part.digests.items() for part in parts}
    return joined([there.get(number, ()) for number in range(1, parts[0].shard.of + 1)])


def _write_transcripts(parts: Sequence[_Part], path: Path) -> RunTotals:
    """Write the transcripts in the order of the prompts file, and count them; memory holds where they stand."""
    tally = RunTotals()
    places: dict[str, list[tuple[int, int, int]]] = {}
    for number, part in enumerate(parts):
        offset = 0
        for transcript, line in Run.lines(part.run.path):
            tally.add(transcript)
            places.setdefault(transcript.id, []).append((transcript.repeat, number, offset))
            offset += len(line)
    sources = [(part.run.path / TRANSCRIPTS).open("rb") for part in parts]
    try:
        with (path / _UNDONE).open("wb") as file:
            for name, _ in _queries(parts):
                for _, number, offset in sorted(places.get(name, ())):
                    sources[number].seek(offset)
                    file.write(sources[number].readline())
    finally:
        for source in sources:
            source.close()
    return tally


def _record(parts: Sequence[_Part], tally: RunTotals) -> RunRecord:
    """Give the `run.json` of the whole."""
    records = [part.run.record for part in parts]
    first = records[0]
    is_whole = len(parts) == parts[0].shard.of and all(record.state == "finished" for record in records)
    repeats = {one.id: one for record in records for one in record.repeats}
    return first.model_copy(
        update={
            "state": "finished" if is_whole else "interrupted",
            "started": min(record.started for record in records),
            "finished": max((record.finished for record in records if record.finished), default=None),
            "seconds": max((record.seconds for record in records if record.seconds), default=None),
            "arguments": {key: value for key, value in first.arguments.items() if key not in _OWN},
            "prompts": PromptsRecord(
                file=first.prompts.file,
                sha256=first.prompts.sha256,
                queries=sum(record.prompts.queries for record in records),
                runs=sum(record.prompts.runs for record in records),
            ),
            "server": next((record.server for record in records if record.server), None),
            "counts": tally.counts(),
            "repeats": [repeats[name] for name, _ in _queries(parts) if name in repeats],
            "error": next((record.error for record in records if record.error), None),
            "again": [one for record in records for one in record.again],
        }
    )


def _write_events(parts: Sequence[_Part], path: Path) -> None:
    """Write all events in order of time."""
    logs = [part.run.path / LOG for part in parts]
    offsets = accumulate((log.stat().st_size if log.exists() else 0 for log in logs), initial=0)
    servers = accumulate((_servers(part.run) for part in parts), initial=0)
    traces = [
        _moved(part.run.events(), server, offset) for part, server, offset in zip(parts, servers, offsets, strict=False)
    ]
    with (path / TRACE).open("wb") as file:
        for event in heapq.merge(*traces, key=lambda event: str(event["at"])):
            file.write(f"{dumps(event)}\n".encode())


def _servers(run: Run) -> int:
    """Count the servers of a run, by the numbers that its trace gives them."""
    return max((event["server"] for event in run.events() if isinstance(event.get("server"), int)), default=0)


def _moved(events: Iterable[JsonObject], server: int, offset: int) -> Iterator[JsonObject]:
    """Let events name servers, and places in `server.log`, as the whole run has them."""
    base = {"server": server, "log_offset": offset}
    for event in events:
        yield event | {key: event[key] + by for key, by in base.items() if isinstance(event.get(key), int)}


def _write_log(parts: Sequence[_Part], path: Path) -> None:
    """Write what the servers said on stderr, one shard after the other."""
    with (path / LOG).open("wb") as log:
        for part in parts:
            with suppress(FileNotFoundError), (part.run.path / LOG).open("rb") as source:
                shutil.copyfileobj(source, log)
