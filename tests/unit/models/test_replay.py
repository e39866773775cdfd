"""Replays of recordings whose variables had other values than the server returns now."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from mcprun._util.deadline import Deadline
from mcprun._util.json_value import JsonObject
from mcprun.analysis.diff.scrub import Scrubber
from mcprun.errors import QueryError
from mcprun.models.base import ModelRequest
from mcprun.models.replay import ReplayModel
from mcprun.prompts.bindings import Bindings
from mcprun.prompts.query import Query, parse_query
from mcprun.runs.events import AttemptRef
from mcprun.runs.run import Run
from mcprun.runs.transcript import Transcript
from mcprun.tools.format import ValueFormatter
from mcprun.tools.toolset import ToolSet
from tests.support import virtual_time
from tests.support.runs import call, transcript, write_run

PROMPT = "Close issue {{number}}."
WHERE = AttemptRef("close")


def bound(**names: Any) -> Query:
    """Return the query with the values of its names."""
    written = {"id": "close", "prompt": PROMPT, "vars": {"number": 0, "copy": 0}}
    return parse_query(written).bind(Bindings({"unique": "u0", **names}), {})


ModelOf = Callable[[Transcript], ReplayModel]


@pytest.fixture
def model_of(tmp_path: Path) -> Iterator[ModelOf]:
    """Return a function that returns the model that replays a run with one transcript."""
    with ExitStack() as stack:

        def make(recorded: Transcript) -> ReplayModel:
            run = stack.enter_context(closing(Run.read(str(write_run(tmp_path / "run", [recorded])))))
            return ReplayModel(run, Scrubber(), ValueFormatter(), 1)

        yield make


def close(number: int, state: str = "closed", **fields: Any) -> Any:
    """Return a call that closes an issue."""
    issue = {"id": number, "state": state, "log": [f"Issue {number} is {state}."]}
    return call("close", f"Issue {number} is {state}.", input={"id": number}, structured=issue, **fields)


def replayed(model: ReplayModel, **names: Any) -> list[JsonObject]:
    """Return the inputs of the calls of the first replayed turn, with live values of names."""
    request = ModelRequest(
        query=bound(**names), where=WHERE, turn=0, messages=[], calls=[], tools=ToolSet(), system=None, model=None,
        max_tokens=1, deadline=Deadline(10),
    )  # fmt: skip
    return [block["input"] for block in virtual_time.run(model.reply(request)).content]


def test_calls_are_sent_with_live_values(model_of: ModelOf) -> None:
    """Whole values of an input that equal a recorded value become the live one: neither text nor other types do."""
    sent = {"id": 17, "more": [{"id": 17.0}, 18, True], "note": "17", "text": "issue 17"}
    model = model_of(transcript("close", call("close", input=sent), prompt=PROMPT, vars={"number": 17}))
    replaced = {"id": 42, "more": [{"id": 42}, 18, True], "note": "17", "text": "issue 17"}
    assert replayed(model, number=42) == [replaced]
    assert replayed(model, number=17) == replayed(model) == [sent]


def test_names_of_the_recording_only_are_sent_as_recorded(model_of: ModelOf) -> None:
    """A variable that the query no longer has is not replaced. The first of two with equal recorded values is."""
    recorded = {"old": 5, "number": 17, "copy": 17}
    model = model_of(transcript("close", call("close", input={"a": 5, "b": 17}), prompt=PROMPT, vars=recorded))
    assert replayed(model, number=42, copy=43) == [{"a": 5, "b": 42}]


def test_results_that_differ_only_in_live_values_do_not_diverge(model_of: ModelOf) -> None:
    """Structured content and texts may hold live values; another value and another state diverge, and are named."""
    model = model_of(transcript("close", close(17), prompt=PROMPT, vars={"number": 17}))
    query = bound(number=42)
    assert model.divergence(query, WHERE, 0, close(42)) == ""
    assert model.divergence(query, WHERE, 0, close(17)) == ""
    assert model.divergence(query, WHERE, 0, close(43)).startswith("call 0: close{id: 43} differs from the recording: ")
    assert model.divergence(query, WHERE, 0, close(42, "open")) == (
        'call 0: close{id: 42} differs from the recording: structured.state: recorded "closed", got "open";'
        ' structured.log[0]: recorded "Issue 17 is closed.", got "Issue 42 is open."'
    )
    assert "was recorded with" in model.divergence(query, WHERE, 0, close(42, is_error=True))


def test_a_server_prompt_with_live_values_does_not_diverge(model_of: ModelOf) -> None:
    """The server's prompt may hold live values; another text diverges."""

    def opening(text: str) -> list[JsonObject]:
        return [{"role": "user", "content": [{"type": "text", "text": text}]}]

    final = {"role": "assistant", "content": [{"type": "text", "text": "Done."}]}
    messages: dict[str, Any] = {"messages": [*opening("Look at 17."), final], "given": {"messages": 1}}
    model, query = model_of(transcript("close", prompt=PROMPT, vars={"number": 17}, **messages)), bound(number=42)
    assert model.opening_divergence(query, WHERE, opening("Look at 42.")) == ""
    assert model.opening_divergence(query, WHERE, opening("Look at 17.")) == ""
    assert model.opening_divergence(query, WHERE, opening("Look at 43.")).endswith(
        "were recorded with 'Look at 17.', got 'Look at 43.'"
    )


def test_the_prompt_is_compared_with_its_names(model_of: ModelOf) -> None:
    """A query was recorded with the prompt of the prompts file, in which names stand for values."""
    model = model_of(transcript("close", prompt=PROMPT, vars={"number": 17}))
    assert model.recorded(bound(number=42), WHERE).vars == {"number": 17}
    with pytest.raises(QueryError, match="was recorded with another prompt"):
        model.recorded(parse_query({"id": "close", "prompt": "Close issue 42."}), WHERE)
