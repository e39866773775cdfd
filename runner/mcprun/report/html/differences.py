"""What a query's page shows beside its conversation: how it differs from the baseline, and from the recording.

A difference has a `title`, `what` differs (`Change.what`), the number of the `call` that it is of, or None, and
`paths`: the parts of the value that differ, each with its `path`, both values as `sides`, and whether each is an error
as `errors`. `more` counts those that are left out.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from mcprun._util.json_value import JsonObject
from mcprun.analysis.diff.describe import differences_of
from mcprun.analysis.diff.json_lines import parse_query_diff
from mcprun.analysis.diff.runs import QueryDiff
from mcprun.analysis.diff.transcripts import Change, read_json, result_of
from mcprun.analysis.diff.values import ABSENT, ValueDifference
from mcprun.errors import UsageError
from mcprun.report.change_lines import has_failed, title, with_visible_paths
from mcprun.report.html.side_by_side import word_by_word
from mcprun.report.text import one_line
from mcprun.runs.directory import DIFFERENCES
from mcprun.runs.run import Run
from mcprun.runs.transcript import Call, Key, Transcript

_CHANGES = 20
"""Maximum number of changes shown of one query."""

_PATHS = 20
"""Maximum number of paths shown of one change."""

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

        `against` lists the changes from the baseline, and `recorded` the other calls whose result differs from the
        recording, which most often is the baseline. Either is absent if it is empty.
        """
        against = list(self._from_baseline(transcript))
        known = {difference["call"] for difference in against}
        recorded = list(self._from_recording(transcript, known))
        return ({"against": against} if against else {}) | ({"recorded": recorded} if recorded else {})

    def _from_baseline(self, transcript: Transcript) -> Iterator[JsonObject]:
        offset = self._offsets.get((transcript.id, transcript.repeat))
        if offset is None:
            return
        with self._file.open("rb") as stream:
            stream.seek(offset)
            diff: QueryDiff = parse_query_diff(read_json(stream.readline()))
        changes = [*diff.changes, *(change for variant in diff.variants for change in variant.changes)]
        for change in changes[:_CHANGES]:
            yield _difference(change)

    def _from_recording(self, transcript: Transcript, known: Container[int | None]) -> Iterator[JsonObject]:
        recorded = self._recorded(transcript) if transcript.diverged else None
        if recorded is None:
            return
        diverged = [(number, call) for number, call in enumerate(transcript.calls) if call.diverged]
        for number, call in [one for one in diverged if one[0] not in known][:_CHANGES]:
            other = recorded.calls[number] if number < len(recorded.calls) else None
            before = _result(other) if other else ABSENT
            errors = bool(other and other.is_error), call.is_error
            yield _difference(Change("result", before, _result(call), number, call.tool, call.input, errors))

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


def _difference(change: Change) -> JsonObject:
    """Return a change for the page's script."""
    found = list(_differing(change))
    errors = change.are_errors[0], has_failed(change)
    paths = [
        {"path": path, "sides": word_by_word(one.before, one.after), "errors": errors} for one, path in found[:_PATHS]
    ]
    is_shown = change.what in ("result", "input", "call_added")
    return {
        "what": change.what,
        "title": one_line(title(change), _TITLE),
        "call": change.call if is_shown else None,
        "paths": paths,
        "more": max(0, len(found) - _PATHS),
    }


def _differing(change: Change) -> Iterator[tuple[ValueDifference, str]]:
    """Yield the parts of a change's values that differ, each with its path as text, which is empty for a whole value.

    That of an added or removed call is its input. A result and an error are compared as a whole.
    """
    if change.what == "call_added":
        yield ValueDifference(("", ""), ABSENT, change.after), ""
    elif change.what == "call_removed":
        yield ValueDifference(("", ""), change.before, ABSENT), ""
    elif change.before is ABSENT or change.are_errors[0] is not change.are_errors[1]:
        yield ValueDifference(("", ""), change.before, change.after), ""
    else:
        for difference, paths in with_visible_paths(differences_of(change)):
            yield difference, one_line(" → ".join(dict.fromkeys(paths)), _TITLE)


def _result(call: Call) -> Any:
    return result_of({"content": call.content, "structured": call.structured})
