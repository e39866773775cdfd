"""What the names and references of a query stand for while it runs. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mcprun._util.json_value import JsonObject
from mcprun.runs.transcript import Call, StepCall

Source = int | str
"""What a `$from` names: the number of a call, or the id of a step or call."""


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a step or call: `wire` is that of MCP, and `call` the same as a call. `label` names it."""

    label: str
    call: Call
    wire: JsonObject

    @classmethod
    def of_call(cls, call: Call, source: Source) -> Result:
        """Return the result of the model's call that `source` names."""
        label = f"call {source}" if isinstance(source, int) else f"call {source!r}"
        wire = {"content": call.content, "structuredContent": call.structured, "isError": call.is_error}
        return cls(label, call, wire)

    @classmethod
    def of_step(cls, step: StepCall) -> Result:
        """Return the result of a step. A read has `contents` (MCP, "Resources")."""
        call = as_call(step)
        wire: JsonObject = {"content": call.content, "structuredContent": step.structured, "isError": step.is_error}
        return cls(f"step {step.id!r}", call, wire if step.resource is None else {"contents": step.content})


@dataclass(frozen=True, slots=True)
class Bindings:
    """The values of a query's `names`, and the `results` of its steps and calls so far."""

    names: Mapping[str, Any] = field(default_factory=dict)
    results: Mapping[Source, Result] = field(default_factory=dict)

    def with_step(self, step: StepCall) -> Bindings:
        """Return the bindings after a step. One without an id can't be referred to."""
        if step.id is None:
            return self
        return replace(self, results={**self.results, step.id: Result.of_step(step)})

    def with_calls(self, calls: Sequence[Call], ids: Mapping[str, int]) -> Bindings:
        """Return the bindings after calls of the model. `ids` are the numbers of the calls that have an id."""
        numbered: dict[Source, Result] = {number: Result.of_call(call, number) for number, call in enumerate(calls)}
        named: dict[Source, Result] = {
            name: Result.of_call(calls[number], name) for name, number in ids.items() if number < len(calls)
        }
        return replace(self, results={**self.results, **numbered, **named})

    def with_names(self, names: Mapping[str, Any]) -> Bindings:
        """Return the bindings with the values of further names."""
        return replace(self, names={**self.names, **names})


NO_BINDINGS = Bindings()
"""The bindings of a query that does not run."""


def as_call(step: StepCall) -> Call:
    """Return a step as a call, to compare and describe its result as one. The texts of a read are its content."""
    content = step.content
    if step.resource is not None and not step.is_error:
        content = [{"type": "text", "text": one["text"]} for one in step.content if isinstance(one.get("text"), str)]
    return Call(
        turn=0,
        tool=step.tool or step.resource or "",
        input=step.input,
        is_error=step.is_error,
        content=content,
        structured=step.structured,
        problem=step.problem,
    )
