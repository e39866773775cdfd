"""Find the calls of a run, those of the model and of steps, and whether they reached the server.

The trace has those of all attempts. A baseline has no trace: of its transcripts, the last attempts are known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import NamedTuple

from mcprun._util.json_value import JsonObject
from mcprun.errors import ErrorKind
from mcprun.runs.events import Step, ToolCall
from mcprun.runs.run import Run, parse_transcript
from mcprun.runs.run_record import ServerRecord
from mcprun.runs.transcript import Call, CallOutcome, Transcript, TranscriptOutcomes
from mcprun.tools.results import REFUSED, error_result
from mcprun.tools.toolset import ToolSet

CALL, STEP = ToolCall.name, Step.name
"""The names of the events of calls in the trace: the model's, and those that mcprun made itself."""

UNSENT = frozenset({"not allowed", "bad arguments", "not approved"})
"""The problems of calls that mcprun did not send (`Call.problem`)."""

_NOT_RETURNED = frozenset(
    {"timeout", "cancelled", "input required", "invalid answer", "invalid result", "output schema", *ErrorKind}
)
"""The problems of calls that failed without an error of the server."""

_COMPLETE = frozenset({"tool_use", "end_turn"})
"""Stop reasons of turns whose calls are made, as in the tool loop."""


class MadeCall(NamedTuple):
    """A call, and whether mcprun sent it to the server."""

    outcome: CallOutcome
    was_sent: bool


def returned_error(call: CallOutcome) -> bool:
    """Return whether the server answered a call with an error, rather than not at all or with an invalid result."""
    return call.is_error and call.problem not in _NOT_RETURNED


def traces_calls(run: Run, events: Mapping[str, int]) -> bool:
    """Return whether the trace of a run has its calls. One with fewer than the transcripts was cut.

    `events` has the number of events by name.
    """
    counts = run.record.counts
    return bool(events) and (counts is None or events.get(CALL, 0) >= counts.calls)


def traced_call(event: JsonObject) -> MadeCall | None:
    """Return the call of an event of the trace; None if the event is damaged, or a step that made no call."""
    tool, arguments, problem = event.get("tool"), event.get("input"), event.get("problem")
    if not isinstance(tool, str) or not isinstance(arguments, dict) or event.get("skipped") is not None:
        return None
    is_error = bool(event.get("is_error"))
    outcome = CallOutcome(tool=tool, input=arguments, is_error=is_error, problem=str(problem) if problem else None)
    return MadeCall(outcome, not (is_error and problem in UNSENT))


def recorded_calls(run: Run, server: ServerRecord) -> Iterator[MadeCall]:
    """Yield the calls of the last attempts, from the transcripts. Only one that has errors is parsed as a whole."""
    api_names = _ApiNames(server)
    for outcomes, line in run.outcomes():
        if outcomes.error is None and not any(call.is_error for call in outcomes.calls):
            yield from (MadeCall(outcome, was_sent=True) for outcome in (*outcomes.calls, *_step_calls(outcomes)))
            continue
        transcript = parse_transcript(line, run.path)
        for call, outcome in zip(transcript.calls, outcomes.calls, strict=True):
            yield MadeCall(outcome, _is_sent(call))
        yield from (MadeCall(outcome, was_sent=outcome.problem not in UNSENT) for outcome in _step_calls(outcomes))
        if transcript.error:
            yield from (MadeCall(lost, was_sent=True) for lost in _unanswered(transcript, api_names.of))


def _step_calls(outcomes: TranscriptOutcomes) -> Iterator[CallOutcome]:
    """Yield the calls of a transcript's steps."""
    for step in outcomes.steps:
        if step.tool is not None:
            yield CallOutcome(tool=step.tool, input=step.input, is_error=step.is_error, problem=step.problem)


def _is_sent(call: Call) -> bool:
    """Return whether mcprun sent a call to the server. Of older runs, unsent ones are known by their text."""
    if not call.is_error:
        return True
    if call.problem is not None:
        return call.problem not in UNSENT
    denied = f"The tool {call.tool} is not allowed here."
    return all(call.content != error_result(text)["content"] for text in (denied, REFUSED))


def _unanswered(transcript: Transcript, names: Mapping[str, str]) -> Iterator[CallOutcome]:
    """Yield the calls of the last turn that the server did not answer, as failed calls.

    They are in `messages` only, under the names that the API was sent: `names` maps these to the server's. A query
    that did not end in an error has none.
    """
    if transcript.error is None or not transcript.messages or not transcript.turns:
        return
    message, last = transcript.messages[-1], len(transcript.turns) - 1
    content = message.get("content")
    if message.get("role") != "assistant" or not isinstance(content, list):
        return
    if transcript.turns[last].stop_reason not in _COMPLETE:
        return
    answered = Counter(call.tool for call in transcript.calls if call.turn == last)
    for block in content:
        if not isinstance(block, dict) or block.get("type") != "tool_use":
            continue
        tool = names.get(str(block.get("name")), str(block.get("name")))
        if answered[tool]:
            answered[tool] -= 1
        else:
            yield CallOutcome(tool=tool, input={}, is_error=True, problem=str(transcript.error.kind))


class _ApiNames:
    """The names that the API was sent for a server's tools. Mapping them takes time, and is rarely needed."""

    def __init__(self, server: ServerRecord) -> None:
        self._server = server

    @cached_property
    def of(self) -> Mapping[str, str]:
        """The server's names by those that the API was sent."""
        return ToolSet.of([*self._server.tools, *self._server.later_tools]).names
