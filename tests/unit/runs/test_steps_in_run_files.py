"""Steps and values of names in the files of a run: written, redacted, and read by every reader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mcprun.report.query_logs import QueryLogs
from mcprun.report.timings import Timings
from mcprun.runs.events import AttemptRef, Step
from mcprun.runs.identify import TRANSCRIPTS_FILE, identify
from mcprun.runs.listing import list_runs
from mcprun.runs.redaction import Redactor
from mcprun.runs.run import Run
from mcprun.runs.transcript import StepCall, Transcript, TranscriptSummary
from mcprun.runs.transcript_files import open_transcripts
from tests.support.runs import event, transcript, write_run
from tests.support.stepped_runs import closed, create_issue, not_set_up, step, step_events, still_open

SECRET = "correct-horse"


def test_steps_and_values_are_read_as_they_were_written(tmp_path: Path) -> None:
    """A call has no key of a read, and a read none of a call."""
    run = Run.read(str(write_run(tmp_path / "run", [closed(), still_open(), not_set_up()])))
    assert list(run.transcripts()) == [closed(), still_open(), not_set_up()]
    assert [run.at(offset).id for offset in run.index.values()] == ["close", "forgetful", "no-issue"]
    run.close()
    line = json.loads((tmp_path / "run/transcripts.jsonl").read_text().splitlines()[0])
    assert line["vars"] == {"number": 17}
    call, read = line["steps"][1], line["steps"][2]
    assert ("resource" in call, "tool" in read, "id" in read) == (False, False, False)


def test_a_transcript_without_steps_has_no_new_keys() -> None:
    """Runs of queries without steps keep their bytes."""
    assert not {"steps", "vars"} & transcript("plain").line().keys()


def test_steps_count_as_no_calls(tmp_path: Path) -> None:
    """The counts of a run are those of the model's calls, and a summary has no others."""
    run = Run.read(str(write_run(tmp_path / "run", [closed(), still_open(), not_set_up()])))
    counts = run.counts
    assert (counts.calls, counts.tool_errors, counts.passed, counts.failed, counts.error) == (2, 0, 1, 1, 1)
    assert [len(summary.calls) for summary, _ in Run.summaries(run.path)] == [1, 1, 0]


def test_a_run_with_steps_is_listed_and_identified(tmp_path: Path) -> None:
    """Neither its transcripts nor its trace is taken for another file."""
    path = write_run(tmp_path / "run", [closed()], step_events(closed()))
    (listed,) = list_runs(tmp_path)
    assert (listed.problem, listed.counts.calls) == ("", 1)
    assert identify(path / "transcripts.jsonl") == TRANSCRIPTS_FILE
    assert identify(path / "trace.jsonl") == "the trace of a run"
    with open_transcripts(str(path)) as lines:
        assert list(lines.heads()) == [("close", 1)]


def test_readers_ignore_keys_and_events_that_they_do_not_know() -> None:
    """So did the versions before steps: their readers have the same rules."""
    line: dict[str, Any] = {**transcript("q").line(), "later": [{"x": 1}]}
    assert Transcript.model_validate(line) == transcript("q")
    assert TranscriptSummary.model_validate(line).id == "q"
    unknown = event("later", 5, query="q", seconds=0.005, is_error=True)
    assert Timings.of([unknown]).queries["q", 1].spans == []
    logs = QueryLogs()
    logs.add(unknown)
    assert list(logs.places(("q", 1))) == []


def test_a_trace_with_steps_is_streamed_by_name(tmp_path: Path) -> None:
    """A step is an event like any other."""
    run = Run.read(str(write_run(tmp_path / "run", [closed()], step_events(closed()))))
    steps = list(run.events_named({"step"}))
    assert [(one["phase"], one.get("tool") or one["resource"]) for one in steps] == [
        ("before", "create_issue"), ("after", "get_issue"), ("after", "issue://log"), ("cleanup", "delete_issue")
    ]  # fmt: skip


def test_secrets_are_redacted_in_steps_and_values() -> None:
    """In inputs, results, structured content and the contents of resources; keys of MCP stay."""
    read = step(
        "after", "issue://log", content=[{"uri": "issue://log", "mimeType": "text/plain", "text": f"by {SECRET}"}]
    )
    made = create_issue(
        input={SECRET: SECRET}, structured={"token": SECRET}, content=[{"type": "text", "text": SECRET}]
    )
    one = Redactor([SECRET]).value(closed(steps=[made, read], vars={"token": SECRET}))
    assert SECRET not in json.dumps(one.line())
    assert [one.steps[0].phase, one.steps[0].content] == ["before", [{"type": "text", "text": "[redacted]"}]]
    assert one.steps[1].content == [{"uri": "issue://log", "mimeType": "text/plain", "text": "by [redacted]"}]
    assert one.vars == {"token": "[redacted]"}


def test_secrets_are_redacted_in_the_event_of_a_step() -> None:
    """Its query, its number and its place in the log stay."""
    where = AttemptRef(SECRET)
    made = Step(
        where=where, phase="before", step=0, tool="login", input={"token": SECRET}, error=SECRET, skipped=SECRET,
        server=1, log_offset=7,
    )  # fmt: skip
    redacted = Redactor([SECRET]).value(made)
    assert (redacted.where, redacted.input) == (where, {"token": "[redacted]"})
    assert (redacted.error, redacted.skipped, redacted.log_offset) == ("[redacted]", "[redacted]", 7)


def test_the_text_form_of_a_step_is_short() -> None:
    """As a debugger and pytest show it."""
    assert repr(create_issue()) == "<StepCall before create_issue>"
    assert repr(StepCall(phase="after", step=0, resource="issue://log", is_error=True, content=[])) == (
        "<StepCall after issue://log: error>"
    )
