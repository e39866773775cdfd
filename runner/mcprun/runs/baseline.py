"""Write baselines: accepted runs to compare later runs with, small enough to commit."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from mcprun._util.json_io import dump_indented, dumps, parse_line, write_file
from mcprun.errors import UsageError
from mcprun.runs.conditions import kept_arguments, kept_limits
from mcprun.runs.directory import RUN, TRANSCRIPTS
from mcprun.runs.run import Run
from mcprun.runs.run_record import RunRecord
from mcprun.runs.totals import RunTotals
from mcprun.runs.transcript import Transcript, Verdict

_KEPT = frozenset({RUN, TRANSCRIPTS})
"""The names of the files of a baseline."""

_UNFIT = frozenset({Verdict.ERROR, Verdict.SKIPPED})

_LISTED = 5
"""Maximum lost queries, or other files, that a message names."""

_NAME = 100
"""Maximum characters of a query's id, or of a file's name, in a message."""


def read_baseline(name: str) -> Run:
    """Open a baseline. Raises `UsageError` if there is none, which says how to make one, or if it is damaged."""
    make = f"make one from a run with mcprun bless latest {shlex.quote(name)}, or from this one with --update"
    return Run.read(name, noun="baseline", advice=make)


def bless(run: Run, path: Path, *, slim: bool, force: bool) -> int:
    """Write a run as the baseline at `path`, replacing any baseline there. Return its size in bytes.

    A baseline holds the transcripts and `run.json`. A `slim` one holds only the data that comparisons need, and can't
    be replayed. If `path` is a link, its target is replaced.

    Raises `UsageError` if `path` is the run itself, holds anything but a baseline, or can't be written. Without
    `force`, also raises it if the run is incomplete, has errors or lacks queries of the old baseline, or if that is
    damaged.
    """
    place = Path(os.path.realpath(path))
    old = place.with_name(f".{place.name}.old")
    try:
        _restore_old(place, old)
        _check(run, path, force=force)
        lines = _slim(run) if slim else (line for _, line in Run.lines(run.path))
        _replace(place, old, lines, lambda: baseline_record(run.record, slim=slim))
    except OSError as error:
        raise UsageError(f"can't write {path}: {error.strerror or error}") from None
    return sum(file.stat().st_size for file in place.iterdir())


@dataclass(frozen=True, slots=True)
class Selection:
    """The queries to accept from a run: the ids to `take` from it, and those to `drop` from the baseline.

    With `tools`, the server's tools are those of the run; else those of the baseline, if there is one.
    """

    take: Collection[str]
    drop: Collection[str] = frozenset()
    tools: bool = False


def bless_selection(run: Run, path: Path, selection: Selection, *, force: bool) -> int:
    """Replace the selected queries of the baseline at `path` by those of a run. Return its size in bytes.

    All repeats of a query are replaced. Queries that are new to the baseline get the place that they have in the run.
    The baseline stays slim if it is. If there is no baseline, one with only the selected queries is made.

    Raises `UsageError` as `bless` does. Of the run, only the selected queries matter: without `force`, none of them may
    have ended in an error or been skipped. A baseline that is damaged is refused even with `force`.
    """
    place = Path(os.path.realpath(path))
    old = place.with_name(f".{place.name}.old")
    try:
        _restore_old(place, old)
        _check_target(run, path)
        base = Run.read(str(path)) if path.exists() else None
        _check_selection(run, base, selection, force=force)
        merged = _Merged(run, base, selection)
        _replace(place, old, merged.lines(), merged.record)
    except OSError as error:
        raise UsageError(f"can't write {path}: {error.strerror or error}") from None
    return sum(file.stat().st_size for file in place.iterdir())


def _check_selection(run: Run, base: Run | None, selection: Selection, *, force: bool) -> None:
    if run.record.state == "started" and not force:
        raise UsageError(f"{run.path} is unfinished: wait for its end, or use --force")
    if base and (run.record.route is None) != (base.record.route is None):
        routed, other = (run, base) if run.record.route else (base, run)
        raise UsageError(f"{routed.path} is a routed run, and {other.path} is not: they can't share a baseline")
    if run.record.slim and base and not base.record.slim:
        raise UsageError(f"{run.path} is slim, and {base.path} is not: accept queries from a run")
    if unfit := [] if force else [name for name in unfit_queries(run) if name in selection.take]:
        raise UsageError(
            f"{listed_names(unfit)} ended in an error or was skipped in {run.path}, and can't be accepted; use --force"
        )


def query_ids(run: Run) -> dict[str, None]:
    """Return the ids of a run's queries, in its order."""
    return dict.fromkeys(summary.id for summary, _ in Run.summaries(run.path))


def unfit_queries(run: Run) -> list[str]:
    """Return the ids of queries that ended in an error or were not run, in the order of the run."""
    found = (one.id for one, _ in Run.summaries(run.path) if one.verdict in _UNFIT and not one.is_ungraded)
    return list(dict.fromkeys(found))


class _Merged:
    """The content of a baseline in which a run's queries replace those of the same id.

    Memory holds the ids and offsets of the transcripts of both.
    """

    def __init__(self, run: Run, base: Run | None, selection: Selection) -> None:
        self._run, self._base, self._selection = run, base, selection
        self._offsets = _offsets(run), _offsets(base) if base else {}
        self._slim = run.record.slim or (base is not None and base.record.slim)
        self._totals = RunTotals()
        self._count = 0
        new, old = self._offsets
        kept = [name for name in old if name not in selection.drop]
        self._order = merged_order(kept, [name for name in new if name in selection.take or name in old])

    def lines(self) -> Iterator[bytes]:
        """Yield the lines of the new baseline."""
        new, old = self._offsets
        with ExitStack() as stack:
            run = stack.enter_context((self._run.path / TRANSCRIPTS).open("rb"))
            base = stack.enter_context((self._base.path / TRANSCRIPTS).open("rb")) if self._base else run
            for name in self._order:
                is_taken = name in self._selection.take and name in new
                stream, offsets = (run, new) if is_taken else (base, old)
                for offset in offsets[name]:
                    stream.seek(offset)
                    yield self._line(stream.readline(), is_taken=is_taken)

    def _line(self, line: bytes, *, is_taken: bool) -> bytes:
        transcript = Transcript.model_validate(parse_line(line))
        self._totals.add(transcript)
        self._count += 1
        return _slim_line(transcript) if is_taken and self._slim else line

    def record(self) -> RunRecord:
        """Return the record of the new baseline, with the counts of the lines that were yielded."""
        head, base = baseline_record(self._run.record, slim=self._slim), self._base.record if self._base else None
        prompts = head.prompts.model_copy(
            update={"queries": len(self._order), "runs": self._count, "shard": None, "scripted": None, "judged": None}
        )
        taken = [one for one in head.repeats if one.id in self._selection.take]
        left = [] if base is None else [one for one in base.repeats if one.id not in self._selection.take]
        rank = {name: number for number, name in enumerate(self._order)}
        repeats = sorted((one for one in [*taken, *left] if one.id in rank), key=lambda one: rank[one.id])
        update = {
            "state": "finished", "prompts": prompts, "counts": self._totals.counts(), "repeats": repeats,
            "error": None, "again": [],
        }  # fmt: skip
        if base and self._selection.tools:
            update["server"] = head.server
        kept = base or head
        if kept.route:  # its outcome is that of other transcripts
            update["route"] = kept.route.model_copy(update={"outcome": None})
        return kept.model_copy(update=update)


def _offsets(run: Run) -> dict[str, list[int]]:
    """Return the offsets of the transcripts of each query, in the order of the file."""
    found: dict[str, list[int]] = {}
    offset = 0
    for summary, line in Run.summaries(run.path):
        found.setdefault(summary.id, []).append(offset)
        offset += len(line)
    return found


def merged_order(kept: Iterable[str], order: Iterable[str]) -> list[str]:
    """Return the ids of a baseline together with those of a run, each new id after the one before it in the run."""
    merged = list(kept)
    known = set(merged)
    after: dict[str | None, list[str]] = {}
    previous: str | None = None
    for name in order:
        if name in known:
            previous = name
        else:
            after.setdefault(previous, []).append(name)
    return [*after.get(None, []), *(one for name in merged for one in (name, *after.get(name, [])))]


def listed_names(names: Sequence[str]) -> str:
    """Return the first ids for a message, quoted and cut."""
    more = f" and {len(names) - _LISTED:,} more" if len(names) > _LISTED else ""
    return ", ".join(repr(name)[:_NAME] for name in names[:_LISTED]) + more


def _check(run: Run, path: Path, *, force: bool) -> None:
    """Raise `UsageError` if the run can't become the baseline at `path`, or if that takes `force`."""
    counts = run.record.counts
    if not force and (run.record.state != "finished" or counts is None or counts.error):
        what = "has errors" if run.record.state == "finished" else f"is {run.record.state}"
        raise UsageError(
            f"{run.path} {what}, and a baseline must be a complete run without errors; use --force to accept it"
        )
    _check_target(run, path)
    if not path.exists() or force:
        return
    _check_old(path)
    if lost := _missing_queries(run, path):
        raise UsageError(
            f"{run.path} lacks {len(lost):,} of the queries in {path} ({listed_names(lost)}), and queries without a"
            " baseline can't regress; bless a run of all queries, accept some with --only, or use --force to drop these"
        )


def _check_target(run: Run, path: Path) -> None:
    """Raise `UsageError` if `path` is not a folder for a baseline."""
    if not path.exists():
        return
    if not (path / RUN).exists():
        raise UsageError(f"{path} exists and is not a run: a baseline needs a folder of its own")
    if path.samefile(run.path):
        raise UsageError(f"{path} is the run itself: choose another folder for the baseline")
    check_no_other_files(path)


def check_no_other_files(path: Path) -> None:
    """Raise `UsageError` if a baseline's folder holds other files, such as a run's trace: replacing it deletes them.

    Temporary files that a killed process left behind do not count. Raises `OSError` if the folder can't be read.
    """
    if names := sorted(file.name for file in path.iterdir() if file.name.removesuffix(".new") not in _KEPT):
        raise UsageError(
            f"{path} also holds {listed_names(names)}, and replacing it would delete them: move them elsewhere, or"
            " choose another folder for the baseline"
        )


def _check_old(path: Path) -> None:
    """Raise `UsageError` if the old baseline is damaged: the queries it held are then unknown."""
    try:
        Run.read(str(path))
    except UsageError as error:
        raise UsageError(f"{error}; use --force to replace it with the new baseline") from None


def _missing_queries(run: Run, path: Path) -> list[str]:
    """Return the ids of queries that the baseline at `path` holds and the run lacks, in the baseline's order."""
    run_ids = {transcript.id for transcript, _ in Run.lines(run.path)}
    names = dict.fromkeys(transcript.id for transcript, _ in Run.lines(path))
    return [name for name in names if name not in run_ids]


def _restore_old(folder: Path, old: Path) -> None:
    """Restore or remove the old baseline that a process left behind when it was killed while replacing it."""
    if old.exists() and not folder.exists():
        old.replace(folder)
    _remove(old)


def _remove(folder: Path) -> None:
    """Remove the folder of a baseline, unless it holds other files."""
    with contextlib.suppress(OSError):
        for name in _KEPT:
            (folder / name).unlink(missing_ok=True)
            (folder / f"{name}.new").unlink(missing_ok=True)
        folder.rmdir()


def _replace(folder: Path, old: Path, lines: Iterable[bytes], record: Callable[[], RunRecord]) -> None:
    """Write the new baseline next to the old one, swap them, and remove the old one and any temporary folder.

    `record` is called when all lines are written.
    """
    new = folder.with_name(f".{folder.name}.new")
    _remove(new)
    try:
        new.mkdir(parents=True)
        with (new / TRANSCRIPTS).open("wb") as file:
            file.writelines(lines)
        write_file(new / RUN, dump_indented(record().line()) + b"\n")
        with contextlib.suppress(FileNotFoundError):
            folder.replace(old)
        new.replace(folder)
    finally:
        _restore_old(folder, old)
        _remove(new)


def _slim(run: Run) -> Iterator[bytes]:
    """Yield the lines of a slim baseline: transcripts without the conversation, prompt, system prompt and checks.

    Messages that the server provided stay, and so does the model's final text. Steps stay without their results.
    """
    for transcript, _ in Run.lines(run.path):
        yield _slim_line(transcript)


def _slim_line(transcript: Transcript) -> bytes:
    return f"{dumps(_without_messages(transcript).line())}\n".encode()


def _without_messages(transcript: Transcript) -> Transcript:
    opening = transcript.messages[: transcript.begins]
    steps = [step.model_copy(update={"content": [], "structured": None}) for step in transcript.steps]
    return transcript.model_copy(
        update={"messages": opening, "steps": steps, "asked": [], "system": None, "prompt": "", "checks": []}
    )


def baseline_record(record: RunRecord, *, slim: bool) -> RunRecord:
    """Return the record of a baseline, without what depends on the machine, and would differ in every commit."""
    server = {"server": record.arguments["server"]} if "server" in record.arguments else {}
    return record.model_copy(
        update={
            "versions": {},
            "arguments": server | kept_arguments(record),
            "limits": kept_limits(record),
            "folder": None,
            "baseline": None,
            "coverage": None,
            "slim": slim or record.slim,
            # That of a finished run is about writing an earlier baseline.
            "error": None if record.state == "finished" else record.error,
        }
    )
