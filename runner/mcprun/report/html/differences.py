"""What a query's page shows beside its conversation: how it differs from the baseline, and from the recording."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from mcprun._util.json_value import JsonObject
from mcprun.analysis.diff.json_lines import parse_query_diff
from mcprun.analysis.diff.runs import QueryDiff
from mcprun.analysis.diff.transcripts import Change, read_json, result_of
from mcprun.analysis.diff.values import ABSENT
from mcprun.errors import UsageError
from mcprun.report.change_lines import title
from mcprun.report.html.side_by_side import side_by_side
from mcprun.report.text import one_line
from mcprun.runs.directory import DIFFERENCES
from mcprun.runs.run import Run
from mcprun.runs.transcript import Call, Key, Transcript

_CHANGES = 20
"""Maximum number of changes shown of one query."""

_TITLE = 300
"""Maximum number of characters of a change's title."""

_REPLAY = "replay:"


class RunDifferences:
    """Finds the differences of each query of a run. Memory holds the offsets of its differences in the file."""

    def __init__(self, run: Run) -> None:
        self._file = run.path / DIFFERENCES
        self._offsets = _offsets(self._file) if run.record.baseline and run.record.baseline.compared else {}
        self._recording = _recording(run) if run.counts.diverged else None

    def json(self, transcript: Transcript) -> JsonObject:
        """Return a transcript's differences for the page's script.

        `against` lists the changes from the baseline, or else `recorded` the calls whose result differs from the
        recording, which most often is the baseline. Each has a `title`, and both values as `sides`.
        """
        if against := list(self._from_baseline(transcript)):
            return {"against": against}
        recorded = list(self._from_recording(transcript))
        return {"recorded": recorded} if recorded else {}

    def _from_baseline(self, transcript: Transcript) -> Iterator[JsonObject]:
        offset = self._offsets.get((transcript.id, transcript.repeat))
        if offset is None:
            return
        with self._file.open("rb") as stream:
            stream.seek(offset)
            diff: QueryDiff = parse_query_diff(read_json(stream.readline()))
        changes = [*diff.changes, *(change for variant in diff.variants for change in variant.changes)]
        for change in changes[:_CHANGES]:
            yield {"title": one_line(title(change), _TITLE), "sides": side_by_side(*_values(change))}

    def _from_recording(self, transcript: Transcript) -> Iterator[JsonObject]:
        recorded = self._recorded(transcript) if transcript.diverged else None
        if recorded is None:
            return
        diverged = [(number, call) for number, call in enumerate(transcript.calls) if call.diverged]
        for number, call in diverged[:_CHANGES]:
            before = _result(recorded.calls[number]) if number < len(recorded.calls) else ABSENT
            yield {
                "title": one_line(f"call {number}  {call.tool}", _TITLE),
                "sides": side_by_side(before, _result(call)),
            }

    def _recorded(self, transcript: Transcript) -> Transcript | None:
        if self._recording is None:
            return None
        with suppress(UsageError, OSError):
            offset = self._recording.index.get((transcript.id, transcript.repeat))
            return None if offset is None else self._recording.at(offset)
        return None

    def close(self) -> None:
        """Close the recording."""
        if self._recording:
            self._recording.close()


def _offsets(path: Path) -> dict[Key, int]:
    """Return the offset of each query's line in `differences.jsonl`. Raises `UsageError` if it can't be read."""
    found: dict[Key, int] = {}
    offset = 0
    try:
        with path.open("rb") as stream:
            for line in stream:
                value = read_json(line)
                if "examples" in value and value["examples"][1] is not None:
                    found[value["id"], value["examples"][1]] = offset
                offset += len(line)
    except OSError as error:
        raise UsageError(f"can't read {path}: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, IndexError):
        raise UsageError(f"{path} has a line that is not a difference between two runs") from None
    return found


def _recording(run: Run) -> Run | None:
    """Return the run that was replayed, if it is still there."""
    if run.record.model.kind != "replay":
        return None
    path = Path(run.record.folder or ".", run.record.model.name.removeprefix(_REPLAY))
    with suppress(UsageError):
        return Run.read_record(str(path))
    return None


def _values(change: Change) -> tuple[Any, Any]:
    """Return the values before and after a change; that of an added or removed call is its input."""
    if change.what == "call_added":
        return ABSENT, change.after
    if change.what == "call_removed":
        return change.before, ABSENT
    values = zip((change.before, change.after), change.are_errors, strict=True)
    before, after = ({"error": value} if fails else value for value, fails in values)
    return before, after


def _result(call: Call) -> Any:
    result = result_of({"content": call.content, "structured": call.structured})
    return {"error": result} if call.is_error else result
