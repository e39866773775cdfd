"""An exception raised because of one query costs that query alone."""

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
from mcprun.report.isolated import render
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
    model=ModelRecord(kind="script", name="script", chosen="asked for"),
    limits={},
    versions={},
)

DEEPER = 5000
"""Levels of nesting beyond what any recursive function reaches."""


async def test_what_can_not_be_judged_is_an_error_of_its_query_alone() -> None:
    """It names what was raised, and the trace has the rest."""
    events: list[Event] = []

    def broken_show(_: str) -> str:
        raise OverflowError("int too large to convert to float")

    loop = cast("ToolLoop", SimpleNamespace(emit=events.append, model=SimpleNamespace(name="script"), system=None))
    nothing: Any = None
    attempts = QueryExecutor(
        loop=loop,
        judge=None,
        servers=nothing,
        allow_tool_errors=False,
        fail_diverged=False,
        formatter=ValueFormatter(broken_show),
        run_stop=RunStop(),
    )
    query = parse_query({"id": "q", "prompt": "x", "expect": {"text": {"equals": "a"}}})
    attempt = Attempt(query, AttemptRef("q"), Conversation(model="script", stop="end_turn"), Deadline(1))
    with pytest.raises(QueryError) as raised:
        await attempts._check(attempt, 0.0)
    message = "the checks could not be evaluated: OverflowError: int too large to convert to float"
    assert (raised.value.kind, str(raised.value)) == ("fault", message)
    (warning,) = events
    assert isinstance(warning, WarningEvent)
    assert warning.message == message
    assert "broken_show" in str(warning.traceback)


def test_what_can_not_be_recorded_is_an_error_of_its_query_alone(tmp_path: Path) -> None:
    """Values that can be neither redacted nor written are replaced by the reason, and nothing is written half."""
    journal = RunWriter(tmp_path)
    events: list[Event] = []
    recorder = Recorder(journal, RECORD, Redactor(["secret-1234"]), events.append, RunStop(), is_latest=False)
    where = AttemptRef("q")
    recorder.emit(ToolCall(where=where, turn=0, call=0, tool="t", input={"x": nested(DEEPER)}, server=1, log_offset=0))
    end(recorder, transcript("q", call("t", structured=nested(DEEPER)), prompt="secret-1234"))
    end(recorder, transcript("r"))
    recorder.journal.write_record(RECORD)
    recorder.journal.close([("q", 1), ("r", 1)], RECORD)
    first, second = Run.read(str(tmp_path)).transcripts()
    assert (first.verdict, second.verdict) == ("error", "passed")
    assert first.error
    assert first.error.message.startswith("the conversation could not be recorded: RecursionError: ")
    assert journal.totals.counts().queries == 2
    assert isinstance(events[0], WarningEvent)
    assert events[0].message.startswith("the event tool_call could not be recorded: RecursionError: ")
    assert [event["event"] for event in Run.read(str(tmp_path)).events()] == ["warning", "query_end", "query_end"]
    assert b"secret" not in b"".join(file.read_bytes() for file in tmp_path.iterdir())


def test_what_could_not_be_read_again_is_not_written(tmp_path: Path) -> None:
    """A transcript that is nested too deeply for a reader becomes an error, in place of a line that ends all readers."""
    journal = RunWriter(tmp_path)
    recorder = Recorder(journal, RECORD, Redactor(), lambda _: None, RunStop(), is_latest=False)
    end(recorder, transcript("q", call("t", structured=nested(650))))
    (one,) = (json.loads(line) for line in (tmp_path / "transcripts.jsonl").read_bytes().splitlines())
    assert one["error"]["message"] == (
        "the conversation could not be recorded: ValueError: nested more than 600 levels deep"
    )
    journal.release()


def test_an_actor_sends_what_it_can() -> None:
    """So does a process that runs queries for another one."""
    outbox = EventBuffer(Redactor(["secret-1234"]))
    outbox.emit(
        ToolCall(where=AttemptRef("q"), turn=0, call=0, tool="t", input={"x": nested(DEEPER)}, server=1, log_offset=0)
    )
    parcel = outbox.pack(transcript("q", call("t", structured=nested(DEEPER)), prompt="secret-1234"))
    assert parcel.transcript
    assert (parcel.transcript.verdict, parcel.transcript.prompt) == ("error", "")
    assert [type(event) for event in parcel.events] == [WarningEvent]


def end(recorder: Recorder, one: Transcript) -> None:
    """Have a query end."""
    recorder.emit(QueryEnd(where=AttemptRef(one.id), seconds=0.1, transcript=one))


def test_a_transcript_that_can_not_be_rendered_keeps_its_verdict() -> None:
    """The reason takes the place of the conversation; of the causes as well, where those can't be rendered."""
    one = failed("q", "why it failed", call("t", "x"))

    def fails_by_calls(given: Transcript) -> tuple[str, str, str]:
        if given.calls:
            raise ZeroDivisionError("division by zero")
        return given.verdict, given.text, given.cause

    def fails_by_cause(given: Transcript) -> tuple[str, str]:
        if "why it failed" in given.cause:
            raise ZeroDivisionError("division by zero")
        return given.verdict, given.cause

    reason = "cannot render this conversation: ZeroDivisionError: division by zero"
    assert render(one, fails_by_calls) == ("failed", reason, "why it failed")
    assert render(one, fails_by_cause) == ("failed", reason)
    assert render(broken("q", "throttled", "why it failed"), fails_by_cause) == ("error", f"throttled: {reason}")
    assert render(transcript("q"), fails_by_cause) == ("passed", "")


def test_programs_hear_of_it_too(odd: Path) -> None:
    """`compare_runs` gives the reason as a change, and counts it as a regression."""
    found = compare_runs(odd / "base", odd / "head", CompareOptions(scrubber=Scrubber.of(["uuid"])))
    assert [one.id for one in found.queries] == ["plain", "odd", "worse"]
    assert {"fault"} == {change.what for one in found.queries[1:] for change in one.changes}
    assert (found.summary.same, found.summary.changed, found.summary.regressions) == (1, 3, 3)


async def test_what_is_raised_around_a_query_is_its_error() -> None:
    """Outside of its attempts, too; what ends the run on purpose still does."""
    config = WorkerConfig(target=HttpTarget("http://h/mcp"), model=SelectedModel(RECORD.model, Credentials()))
    query = parse_query({"id": "q", "prompt": "x"})

    def place(error: Exception) -> QueryRunner:
        async def run(_: Query, __: int) -> Transcript:
            raise error

        return cast("QueryRunner", SimpleNamespace(run=run))

    one = await _isolated(config, place(KeyError("content")), query, 2)
    assert (one.id, one.repeat, one.verdict, one.error and one.error.message) == (
        "q", 2, "error", "internal error in mcprun: KeyError: 'content'"
    )  # fmt: skip
    with pytest.raises(RunError, match="over"):
        await _isolated(config, place(RunError(ErrorKind.BUDGET, "over")), query, 1)


def test_a_chat_keeps_what_can_not_be_written_as_a_script() -> None:
    """NaN becomes text; a call that is nested too deeply is not made again, and the question stays."""
    odd = _line_of(transcript("chat-1", call("t", input={"x": float("nan")})))
    assert odd["script"][0]["calls"][0]["input"] == {"x": "NaN"}
    deep = _line_of(transcript("chat-1", call("t", input={"x": nested(450)})))
    assert deep == {"id": "chat-1", "prompt": "Do it."}


def test_one_value_does_not_cost_the_spans_sent_with_it() -> None:
    """OTLP holds neither lone surrogates nor integers of more than 64 bits."""
    outlet = Outlet(cast("SpanExporter", None))
    attributes: Any = {"text": "a\ud800", "tokens": 10**30, "small": 5}
    assert outlet._attributes(attributes) == {"text": "a?", "tokens": 2**63 - 1, "small": 5}
