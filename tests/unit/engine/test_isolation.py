"""An exception caused by one query affects only that query."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from mcprun import compare_runs
from mcprun._util.deadline import Deadline
from mcprun._util.run_stop import RunStop
from mcprun.analysis.diff.scrub import Scrubber
from mcprun.analysis.diff.transcripts import CompareOptions
from mcprun.chat.session import _line_of
from mcprun.client.target import HttpTarget
from mcprun.engine.attempts import QueryExecutor
from mcprun.engine.conversation import Attempt, Conversation
from mcprun.engine.ray.messages import EventBuffer
from mcprun.engine.recorder import Recorder
from mcprun.engine.run import QueryRunner, _isolated
from mcprun.engine.tool_loop import ToolLoop
from mcprun.engine.worker_config import WorkerConfig
from mcprun.errors import ErrorKind, QueryError, RunError
from mcprun.models.credentials import Credentials
from mcprun.models.select import SelectedModel
from mcprun.prompts.query import Query, parse_query
from mcprun.report.fault_isolation import render
from mcprun.runs.events import AttemptRef, Event, QueryEnd, ToolCall, WarningEvent
from mcprun.runs.redaction import Redactor
from mcprun.runs.run import Run
from mcprun.runs.run_record import ModelRecord, PromptsRecord, RunRecord
from mcprun.runs.transcript import Transcript
from mcprun.runs.writer import RunWriter
from mcprun.telemetry.export import Outlet
from mcprun.tools.format import ValueFormatter
from tests.support.odd_runs import nested, odd
from tests.support.runs import broken, call, failed, transcript

__all__ = ["odd"]

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

RECORD = RunRecord(
    state="started",
    started="2026-01-01T00:00:00.000Z",
    arguments={},
    prompts=PromptsRecord(file="p.jsonl", sha256="0", queries=2, runs=2),
    model=ModelRecord(kind="script", name="script", chosen="requested"),
    limits={},
    versions={},
)

DEEPER = 5000
"""Levels of nesting, more than Python's recursion limit."""


async def test_a_failure_to_evaluate_checks_is_an_error_of_its_query() -> None:
    """The error names the exception, and the warning event has its traceback."""
    events: list[Event] = []

    def broken_show(_: str) -> str:
        raise OverflowError("int too large to convert to float")

    loop = cast("ToolLoop", SimpleNamespace(emit=events.append, model=SimpleNamespace(name="script"), system=None))
    unused: Any = None
    executor = QueryExecutor(
        loop=loop,
        judge=None,
        servers=unused,
        allow_tool_errors=False,
        fail_diverged=False,
        formatter=ValueFormatter(broken_show),
        run_stop=RunStop(),
    )
    query = parse_query({"id": "q", "prompt": "x", "expect": {"text": {"equals": "a"}}})
    attempt = Attempt(query, AttemptRef("q"), Conversation(model="script", stop="end_turn"), Deadline(1))
    with pytest.raises(QueryError) as raised:
        await executor._check(attempt, 0.0)
    message = "the checks could not be evaluated: OverflowError: int too large to convert to float"
    assert (raised.value.kind, str(raised.value)) == ("fault", message)
    (warning,) = events
    assert isinstance(warning, WarningEvent)
    assert warning.message == message
    assert "broken_show" in str(warning.traceback)


def test_a_failure_to_record_is_an_error_of_its_query(tmp_path: Path) -> None:
    """Values that cannot be redacted or written are replaced by the reason. No partial line is written."""
    journal = RunWriter(tmp_path)
    events: list[Event] = []
    recorder = Recorder(journal, RECORD, Redactor(["secret-1234"]), events.append, RunStop(), is_latest=False)
    where = AttemptRef("q")
    recorder.emit(ToolCall(where=where, turn=0, call=0, tool="t", input={"x": nested(DEEPER)}, server=1, log_offset=0))
    emit_query_end(recorder, transcript("q", call("t", structured=nested(DEEPER)), prompt="secret-1234"))
    emit_query_end(recorder, transcript("r"))
    recorder.journal.write_record(RECORD)
    recorder.journal.close([("q", 1), ("r", 1)], RECORD)
    first, second = Run.read(str(tmp_path)).transcripts()
    assert (first.verdict, second.verdict) == ("error", "passed")
    assert first.error
    assert first.error.message == (
        "the conversation could not be recorded: ValueError: nested more than 600 levels deep"
    )
    assert journal.totals.counts().queries == 2
    assert isinstance(events[0], WarningEvent)
    assert events[0].message == (
        "the event tool_call could not be recorded: ValueError: nested more than 600 levels deep"
    )
    assert [event["event"] for event in Run.read(str(tmp_path)).events()] == ["warning", "query_end", "query_end"]
    assert b"secret" not in b"".join(file.read_bytes() for file in tmp_path.iterdir())


def test_a_candidatetoo_deep_for_readers_is_not_written(tmp_path: Path) -> None:
    """A transcript that is nested too deeply for readers is written as an error, so that readers do not fail."""
    journal = RunWriter(tmp_path)
    recorder = Recorder(journal, RECORD, Redactor(), lambda _: None, RunStop(), is_latest=False)
    emit_query_end(recorder, transcript("q", call("t", structured=nested(650))))
    (one,) = (json.loads(line) for line in (tmp_path / "transcripts.jsonl").read_bytes().splitlines())
    assert one["error"]["message"] == (
        "the conversation could not be recorded: ValueError: nested more than 600 levels deep"
    )
    journal.release()


def test_an_actor_replaces_values_that_cannot_be_sent() -> None:
    """A process that runs queries for another one sends the reason in place of values that it cannot serialise."""
    buffer = EventBuffer(Redactor(["secret-1234"]))
    buffer.emit(
        ToolCall(where=AttemptRef("q"), turn=0, call=0, tool="t", input={"x": nested(DEEPER)}, server=1, log_offset=0)
    )
    message = buffer.pack(transcript("q", call("t", structured=nested(DEEPER)), prompt="secret-1234"))
    assert message.transcript
    assert (message.transcript.verdict, message.transcript.prompt) == ("error", "")
    assert [type(event) for event in message.events] == [WarningEvent]


def emit_query_end(recorder: Recorder, ended: Transcript) -> None:
    """Emit the end of a query."""
    recorder.emit(QueryEnd(where=AttemptRef(ended.id), seconds=0.1, transcript=ended))


def test_a_candidatethat_cannot_be_rendered_keeps_its_verdict() -> None:
    """The reason replaces the conversation. If the causes cannot be rendered either, it replaces them too."""
    original = failed("q", "why it failed", call("t", "x"))

    def fails_by_calls(candidate: Transcript) -> tuple[str, str, str]:
        if candidate.calls:
            raise ZeroDivisionError("division by zero")
        return candidate.verdict, candidate.text, candidate.cause

    def fails_by_cause(candidate: Transcript) -> tuple[str, str]:
        if "why it failed" in candidate.cause:
            raise ZeroDivisionError("division by zero")
        return candidate.verdict, candidate.cause

    reason = "cannot render this conversation: ZeroDivisionError: division by zero"
    assert render(original, fails_by_calls) == ("failed", reason, "why it failed")
    assert render(original, fails_by_cause) == ("failed", reason)
    assert render(broken("q", "throttled", "why it failed"), fails_by_cause) == ("error", f"throttled: {reason}")
    assert render(transcript("q"), fails_by_cause) == ("passed", "")


def test_compare_runs_reports_a_failed_comparison_as_a_regression(odd: Path) -> None:
    """`compare_runs` returns a failed comparison as a change of kind `fault`, and counts it as a regression."""
    diff = compare_runs(odd / "base", odd / "head", CompareOptions(scrubber=Scrubber.of(["uuid"])))
    assert [query.id for query in diff.queries] == ["plain", "odd", "worse"]
    assert {"fault"} == {change.what for query in diff.queries[1:] for change in query.changes}
    assert (diff.summary.same, diff.summary.changed, diff.summary.regressions) == (1, 3, 3)


async def test_an_exception_outside_of_attempts_is_an_error_of_its_query() -> None:
    """An exception outside of the attempts is an error of its query. A `RunError` still ends the run."""
    config = WorkerConfig(target=HttpTarget("http://h/mcp"), model=SelectedModel(RECORD.model, Credentials()))
    query = parse_query({"id": "q", "prompt": "x"})

    def make_runner(error: Exception) -> QueryRunner:
        async def run(_: Query, __: int) -> Transcript:
            raise error

        return cast("QueryRunner", SimpleNamespace(run=run))

    result = await _isolated(config, make_runner(KeyError("content")), query, 2)
    assert (result.id, result.repeat, result.verdict, result.error and result.error.message) == (
        "q", 2, "error", "internal error in mcprun: KeyError: 'content'"
    )  # fmt: skip
    with pytest.raises(RunError, match="over"):
        await _isolated(config, make_runner(RunError(ErrorKind.BUDGET, "over")), query, 1)


def test_a_chat_is_saved_without_values_that_a_script_cannot_hold() -> None:
    """NaN is saved as text. A call that is nested too deeply is left out, and the prompt is saved."""
    with_nan = _line_of(transcript("chat-1", call("t", input={"x": float("nan")})))
    assert with_nan["script"][0]["calls"][0]["input"] == {"x": "NaN"}
    too_deep = _line_of(transcript("chat-1", call("t", input={"x": nested(450)})))
    assert too_deep == {"id": "chat-1", "prompt": "Do it."}


def test_span_attributes_are_converted_to_valid_otlp() -> None:
    """Lone surrogates and integers of more than 64 bits, which OTLP cannot hold, are replaced."""
    outlet = Outlet(cast("SpanExporter", None))
    attributes: Any = {"text": "a\ud800", "tokens": 10**30, "small": 5}
    assert outlet._attributes(attributes) == {"text": "a?", "tokens": 2**63 - 1, "small": 5}
