"""The format of a query: one line of a prompts file. docs/prompts-file.md describes it.

`parse_query` turns a line's JSON value into a `Query`, or raises `InvalidQuery` with every problem, named by the field
as the user wrote it. Unknown keys are refused, never ignored.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from mcprun._util.json_value import JsonObject, describe_kind
from mcprun._util.surrogates import is_well_formed, surrogate_paths
from mcprun.checks.expect import Expect, ExpectedCall, ExpectedText, Part
from mcprun.limits import MAX_REPEATS, MAX_SECONDS, PROVIDERS
from mcprun.option_kinds import MAX_COUNT
from mcprun.prompts import aliases
from mcprun.prompts.aliases import Problem
from mcprun.prompts.bindings import NO_BINDINGS, Bindings
from mcprun.prompts.content_blocks import check_blocks, marks_problem
from mcprun.prompts.elicitation import ElicitAnswer
from mcprun.prompts.names import CONVERSATION, SPOKEN, begins_with_name, with_values
from mcprun.prompts.query_problems import Parts, problem_of, written_path
from mcprun.prompts.scope import QueryParts
from mcprun.prompts.script_turns import ScriptCall, ScriptTurn
from mcprun.prompts.server_input import NO_URI, ServerPrompt, Uri, from_server
from mcprun.prompts.steps import PHASES, Step, Steps

_to_sorted_json = json.JSONEncoder(sort_keys=True).encode


class InvalidQuery(ValueError):  # noqa: N818  it is a finding, listed with others, not an error of the program
    """A line that is not a valid query. `problems` holds a pair of a field and a message for each problem."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("; ".join(f"{field}: {problem}" for field, problem in problems))


def _check_prompt(value: Any) -> Any:
    """Accept text or Messages API content blocks, except empty ones, which the API refuses."""
    if isinstance(value, str):
        if not value.strip():
            raise ValueError("must not be empty")
        return value
    if not isinstance(value, list):
        raise ValueError(f"must be a string or a list of content blocks, not {describe_kind(value)}")
    if not value:
        raise ValueError("must not be an empty list")
    check_blocks(value)
    return value


def _check_id(value: Any) -> Any:
    """Accept printable text. Integers, which datasets use, become text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and (not value.strip() or not value.isprintable()):
        raise ValueError("must be printable and not empty")
    return value


def _no_keyword(value: str) -> str:
    if value == "script" or value.startswith("replay:"):
        raise ValueError("must be a model name of the API: script and replay can only be set for the whole run")
    if value.partition(":")[0] in PROVIDERS:
        raise ValueError("must be a model name without a provider: that can only be set for the whole run")
    return value


Prompt = Annotated[str | list[Any], BeforeValidator(_check_prompt)]
Seconds = Annotated[float, Field(gt=0, le=MAX_SECONDS, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=MAX_COUNT)]


class Query(Part):
    """A valid query. `timeout` is in seconds. `tools` are name patterns (`fnmatch`) of the tools that may be used.

    `elicit` answers the server's elicitation requests, and `sampling` its sampling requests under `--model script`;
    both are used in order. `before`, `after` and `cleanup` are steps around the conversation, and `vars` maps names to
    values, in which references are to steps of `before`.
    """

    id: Annotated[str, BeforeValidator(_check_id)] = ""
    prompt: Prompt | None = None
    prompts: list[Prompt] | None = Field(default=None, min_length=1)
    server_prompt: ServerPrompt | None = None
    resources: list[Uri] | None = Field(default=None, min_length=1)
    system: str | None = None
    model: Annotated[str, Field(min_length=1), AfterValidator(_no_keyword)] | None = None
    max_tokens: Count | None = None
    max_turns: Count | None = None
    timeout: Seconds | None = None
    repeat: Annotated[int, Field(ge=1, le=MAX_REPEATS)] | None = None
    tools: list[str] | None = Field(default=None, min_length=1)
    tags: list[str] = Field(default_factory=list)
    metadata: JsonObject = Field(default_factory=dict)
    script: list[ScriptTurn] | None = Field(default=None, min_length=1)
    before: Steps | None = None
    vars: JsonObject = Field(default_factory=dict)
    after: Steps | None = None
    cleanup: Steps | None = None
    elicit: list[ElicitAnswer] | None = None
    sampling: list[str] | None = None
    expect: Expect = Field(default_factory=Expect)
    _bound: tuple[Query, Bindings] | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _names_and_references_have_values(self) -> Self:
        if not self.has_names and all(call.is_literal for turn in self.script or () for call in turn.calls):
            return self  # as in most queries: the checks take longer than all of the others
        steps = {phase: getattr(self, phase) or () for phase in PHASES}
        written = self.model_dump(exclude_unset=True) if self.has_names else {}
        parts = QueryParts(steps, self.vars, self.script or (), written)
        for problem in parts.problems():
            raise ValueError(problem)
        return self

    @model_validator(mode="after")
    def _resources_are_uris(self) -> Self:
        for number, uri in enumerate(self.resources or ()):
            if begins_with_name(uri) and not self.has_names:
                raise ValueError(f"resources[{number}]: {NO_URI}")
        return self

    @model_validator(mode="after")
    def _script_is_played_whole(self) -> Self:
        """Refuse a script with turns that would never be used, and one that leaves a user message unanswered."""
        if self.script is None:
            return self
        answers = sum(not turn.calls for turn in self.script) + bool(self.script[-1].calls)
        user_count = len(self.user_messages) or 1
        if answers != user_count:
            raise ValueError(
                f"script: answers {answers} user messages, but the query has {user_count}:"
                " each turn without calls ends an answer"
            )
        return self

    @model_validator(mode="after")
    def _has_one_prompt(self) -> Self:
        if self.prompt is None and self.prompts is None and self.server_prompt is None:
            raise ValueError("prompt: is missing")
        if self.prompt is not None and self.prompts is not None:
            raise ValueError("prompts: has the same meaning as 'prompt', which is set too: keep one")
        return self

    @model_validator(mode="after")
    def _marks_fit_in_one_request(self) -> Self:
        if problem := marks_problem(self.user_messages):
            raise ValueError(f"{'prompts' if self.prompts is not None else 'prompt'}: {problem}")
        return self

    @property
    def has_names(self) -> bool:
        """Whether `{{name}}` in the query stands for a value."""
        return bool(self.vars or self.before or self.after or self.cleanup)

    @property
    def call_ids(self) -> dict[str, int]:
        """The numbers of the script's calls that have an id."""
        calls = [call for turn in self.script or () for call in turn.calls]
        return {call.id: number for number, call in enumerate(calls) if call.id is not None}

    @property
    def source(self) -> Query:
        """The query as it is in the prompts file, with its names."""
        return self._bound[0] if self._bound else self

    @property
    def bindings(self) -> Bindings:
        """What its names and references stand for; nothing in a query that does not run."""
        return self._bound[1] if self._bound else NO_BINDINGS

    def bind(self, bindings: Bindings, spoken: Mapping[str, Any]) -> Query:
        """Return the query with the names of its conversation replaced. The script keeps its own, as do steps.

        `spoken` are the values of names in what is expected of the model's text. Raises `ValidationError` if a value
        does not fit.
        """
        written = self.model_dump(exclude_unset=True, exclude={"script", "vars", *PHASES})
        replaced = with_values(with_values(written, CONVERSATION, bindings.names), SPOKEN, spoken)
        bound = Query.model_validate(replaced).model_copy(update={"script": self.script})
        bound._bound = self.source, bindings  # noqa: SLF001  of this class
        return bound

    @property
    def user_messages(self) -> list[str | list[Any]]:
        """The user messages in order; empty if the query has only a prompt of the server."""
        if self.prompts is not None:
            return self.prompts
        return [] if self.prompt is None else [self.prompt]

    @property
    def takes_from_server(self) -> bool:
        """Whether the conversation begins with a prompt or resources of the server."""
        return self.server_prompt is not None or self.resources is not None

    @property
    def steps(self) -> Iterator[tuple[str, Step]]:
        """The steps in the order in which they run, each with its place, such as `before[0]`."""
        for phase in PHASES:
            for number, step in enumerate(getattr(self, phase) or ()):
                yield f"{phase}[{number}]", step

    @property
    def lists_server(self) -> bool:
        """Whether the query uses a prompt or resource of the server, itself or in a step."""
        return self.takes_from_server or any(step.resource is not None for _, step in self.steps)

    @property
    def digest(self) -> str:
        """A hash of the whole query (16 hex digits), equal for equal queries."""
        text = _to_sorted_json(self.model_dump(exclude_defaults=True))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def expectations(self) -> JsonObject:
        """What the query expects, as JSON without defaults."""
        return self.expect.model_dump(mode="json", exclude_defaults=True)

    @property
    def prompt_value(self) -> str | list[Any]:
        """The prompt in the form of the prompts file: text, content blocks, or a list of user messages.

        If the query takes a prompt or resources from the server, it is a list that begins with them (`from_server`).
        """
        prompts = self.prompts if self.prompts is not None else (self.prompt or "")
        if not self.takes_from_server:
            return prompts
        taken = list(from_server(self.server_prompt, self.resources or ()))
        return [*taken, *(prompts if isinstance(prompts, list) else [prompts] if prompts else [])]


def parse_query(value: Any) -> Query:
    """Return the query for one line's JSON value: an object, or a bare string, which is a prompt.

    A query without an `id` gets one derived from a hash of its prompt and what it takes from the server. Raises
    `InvalidQuery` with every problem.
    """
    if isinstance(value, str):
        value = {"prompt": value}
    if isinstance(value, list):
        raise InvalidQuery([("line", "must be an object or a string, not a list: write one query per line")])
    if not isinstance(value, dict):
        raise InvalidQuery([("line", f"must be an object or a string, not {describe_kind(value)}")])
    if not is_well_formed(value):
        problem = "has a lone surrogate, which UTF-8 cannot encode"
        raise InvalidQuery([(written_path(place, {}) or "line", problem) for place in surrogate_paths(value)])
    line = aliases.Canonical(value)
    problems = list(line.problems)
    query = None
    try:
        query = Query.model_validate(line.value)
    except ValidationError as error:
        problems += [problem_of(dict(detail), line, _PARTS) for detail in error.errors(include_url=False)]
    if problems or query is None:
        raise InvalidQuery(problems)
    return query if query.id else query.model_copy(update={"id": _derived_id(query)})


def _derived_id(query: Query) -> str:
    text = json.dumps(query.prompt_value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


_PARTS: Parts = {
    (): Query,
    ("server_prompt",): ServerPrompt,
    ("script",): ScriptTurn,
    ("script", "calls"): ScriptCall,
    ("elicit",): ElicitAnswer,
    ("expect",): Expect,
    ("expect", "text"): ExpectedText,
    ("expect", "calls"): ExpectedCall,
    **{(phase, *path): part for phase in PHASES for path, part in (((), Step), (("text",), ExpectedText))},
}
