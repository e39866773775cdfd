"""Check that each name and reference of a query stands for something when its part of the query runs. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from mcprun._util.json_value import JsonObject
from mcprun._util.similar_names import did_you_mean
from mcprun.prompts.names import (
    CONVERSATION,
    NAME,
    SCRIPT,
    SPOKEN,
    STEP,
    UNIQUE,
    Mode,
    Modes,
    names_in,
    parts_of_names_in,
)
from mcprun.prompts.references import Earlier, input_problem, references_in, value_problem
from mcprun.prompts.script_turns import ScriptTurn
from mcprun.prompts.steps import Step


@dataclass(frozen=True, slots=True)
class QueryParts:
    """The parts of a query with names and references: its `steps` by phase, and its `variables` and `script`.

    `written` is the whole query as JSON.
    """

    steps: Mapping[str, Sequence[Step]]
    variables: JsonObject
    script: Sequence[ScriptTurn]
    written: JsonObject

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with the names, ids and references, each as `FIELD: message`.

        The parts are checked in the order in which they run: `before`, `vars`, the conversation, `after`, `cleanup`.
        """
        yield from self._repeated_ids()
        scope = _Scope(variables=self.variables, places=dict(self._ids()))
        if not self.variables and not any(self.steps.values()):
            yield from scope.script(self.script)
            return
        for number, step in enumerate(self.steps["before"]):
            scope = replace(scope, names=_available(self.variables, scope.ids))
            yield from scope.step(step, f"before[{number}]")
            scope = scope.after(step)
        for name, value in self.variables.items():
            yield from scope.variable(name, value)
        scope = replace(scope, names=(*self.variables, UNIQUE))
        for modes in (CONVERSATION, SPOKEN, {"script": SCRIPT}):
            yield from scope.names_of(self.written, modes)
        yield from scope.script(self.script)
        calls = (call.id for turn in self.script for call in turn.calls if call.id is not None)
        scope = replace(scope, ids=(*scope.ids, *calls), calls=None)
        for phase in ("after", "cleanup"):
            for number, step in enumerate(self.steps[phase]):
                yield from scope.step(step, f"{phase}[{number}]")
                scope = scope.after(step)

    def _repeated_ids(self) -> Iterator[str]:
        """Yield the ids that two steps or calls have."""
        first: dict[str, str] = {}
        for name, place in self._ids():
            if (other := first.setdefault(name, place)) != place:
                yield f"{place}.id: {name!r} is also the id of {other}"

    def _ids(self) -> Iterator[tuple[str, str]]:
        """Yield the ids of steps and calls, each with the place of the step or call, such as `before[0]`."""
        steps = ((step.id, f"{phase}[{at}]") for phase, ones in self.steps.items() for at, step in enumerate(ones))
        calls = (
            (call.id, f"script[{turn}].calls[{at}]")
            for turn, one in enumerate(self.script)
            for at, call in enumerate(one.calls)
        )
        yield from ((name, place) for name, place in chain(steps, calls) if name is not None)


@dataclass(frozen=True, slots=True)
class _Scope:
    """What may be used at some point: names, ids of steps and calls, and calls by number (see `Earlier`).

    `variables` and the `places` of all ids are those of the whole query.
    """

    names: Sequence[str] = (UNIQUE,)
    ids: Sequence[str] = ()
    calls: int | None = 0
    variables: JsonObject = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)

    @property
    def earlier(self) -> Earlier:
        """What a reference in a step or variable may use."""
        return Earlier(self.ids, self.calls, self.places, of_model=self.calls is None)

    def after(self, step: Step) -> _Scope:
        """Return the scope after a step."""
        return self if step.id is None else replace(self, ids=(*self.ids, step.id))

    def step(self, step: Step, path: str) -> Iterator[str]:
        """Yield the problems of a step at `path`."""
        yield from self.names_of(step.model_dump(exclude_unset=True), STEP, path)
        if problem := input_problem(step.input, self.earlier):
            yield f"{path}.input: {problem}"

    def variable(self, name: str, value: Any) -> Iterator[str]:
        """Yield the problems of a variable."""
        path = f"vars.{name}" if name.isprintable() and name else f"vars.{name!r}"
        if not NAME.fullmatch(name):
            yield f"{path}: a name has letters, digits and underscores, and begins with no digit"
        if name == UNIQUE:
            yield f"{path}: is reserved: {{{{unique}}}} is text that differs between queries and repeats"
        yield from replace(self, names=(UNIQUE,)).names_of(value, Mode.VALUE, path)
        if problem := value_problem(value, self.earlier):
            yield f"{path}: {problem}"

    def names_of(self, value: Any, modes: Modes, path: str = "") -> Iterator[str]:
        """Yield the problems of the names in a value at `path`."""
        for name, place in names_in(value, modes, path):
            if name not in self.names:
                yield f"{place}: {{{{{name}}}}} has no value here{self._hint(name)}"
        for written, name, place in parts_of_names_in(value, modes, path):
            if name in self.variables or name in self.places:
                yield f"{place}: {written} is not a name; take the part in vars, with $from and path"

    def _hint(self, name: str) -> str:
        """Return what to do about a name without a value, to follow the message that it has none."""
        if name in self.variables:
            sources = sorted(sources_of(self.variables[name]) - {*self.ids})
            return f": it comes from {sources[0]!r}, which runs later" if sources else ": vars can use only {{unique}}"
        if name in self.places:
            return f"; to use the result of {name!r}, give it a name in vars"
        known = ", ".join(f"{{{{{one}}}}}" for one in self.names)
        return did_you_mean(name, self.names) or f"; defined here: {known}"

    def script(self, script: Sequence[ScriptTurn]) -> Iterator[str]:
        """Yield the problems of references in the script, whose turns use the calls of earlier turns."""
        earlier = Earlier(self.ids, 0, self.places)
        for number, turn in enumerate(script):
            for call in turn.calls:
                if problem := input_problem(call.input, earlier):
                    yield f"script: turn {number}: {problem}"
            ids = (call.id for call in turn.calls if call.id is not None)
            earlier = Earlier((*earlier.ids, *ids), (earlier.calls or 0) + len(turn.calls), self.places)


def sources_of(value: Any) -> set[str]:
    """Return the ids that the references in a variable's value name."""
    return {one["$from"] for one in references_in(value) if isinstance(one["$from"], str)}


def _available(variables: JsonObject, ids: Sequence[str]) -> tuple[str, ...]:
    """Return the names that have values after the steps with these ids."""
    return (UNIQUE, *(name for name, value in variables.items() if sources_of(value) <= {*ids}))
