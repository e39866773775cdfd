"""The format of a query: one line of a prompts file. docs/prompts-file.md describes it.

`parse_query` turns a line's JSON value into a `Query`, or raises `InvalidQuery` with every problem, named by the field
as the user wrote it. Unknown keys are refused, never ignored.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from mcprun._util.json_value import JsonObject
from mcprun._util.similar_names import similar_name
from mcprun._util.surrogates import is_well_formed, surrogate_paths
from mcprun.checks.expect import Expect, ExpectedCall, ExpectedText, Part
from mcprun.evaluation.patterns import compile_pattern
from mcprun.limits import MAX_REPEATS, MAX_SECONDS, PROVIDERS
from mcprun.option_kinds import MAX_COUNT
from mcprun.prompts import aliases
from mcprun.prompts.aliases import Problem
from mcprun.prompts.content_blocks import check_blocks, marks_problem
from mcprun.prompts.elicitation import ElicitAnswer
from mcprun.prompts.server_input import ServerPrompt, Uri, from_server

_to_sorted_json = json.JSONEncoder(sort_keys=True).encode

_MAX_LEVELS = 400
"""Maximum nesting of a script's input, in levels: not far above, Python's recursion limit is reached."""

REFERENCE_TYPES = ("string", "number", "integer", "boolean", "json")
"""The types to which a reference's `as` converts its value."""


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
        raise ValueError(f"must be a string or a list of content blocks, not {_kind(value)}")
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


class ScriptCall(Part):
    """A call that the script makes. A value `{"$from": N, …}` is replaced with a part of call N's result."""

    tool: str = Field(min_length=1)
    input: JsonObject = Field(default_factory=dict)


class ScriptTurn(Part):
    """One turn of the script: text, calls, or both."""

    text: str = ""
    calls: list[ScriptCall] = Field(default_factory=list)

    @model_validator(mode="after")
    def _is_not_empty(self) -> Self:
        if not self.text.strip() and not self.calls:
            raise ValueError("must have text or calls")
        return self


class Query(Part):
    """A valid query. `timeout` is in seconds. `tools` are name patterns (`fnmatch`) of the tools that may be used.

    `elicit` answers the server's elicitation requests, and `sampling` its sampling requests under `--model script`;
    both are used in order.
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
    elicit: list[ElicitAnswer] | None = None
    sampling: list[str] | None = None
    expect: Expect = Field(default_factory=Expect)

    @field_validator("script")
    @classmethod
    def _references_point_back(cls, script: list[ScriptTurn] | None) -> list[ScriptTurn] | None:
        earlier = 0
        for number, turn in enumerate(script or []):
            for call in turn.calls:
                if "$from" in call.input:
                    raise ValueError(f"turn {number}: $from can replace a value in the input, not the whole input")
                for found in _objects(call.input):
                    if "$from" in found and (problem := _reference_problem(found, earlier)):
                        raise ValueError(f"turn {number}: {problem}")
            earlier += len(turn.calls)
        return script

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
        raise InvalidQuery([("line", f"must be an object or a string, not {_kind(value)}")])
    if not is_well_formed(value):
        problem = "has a lone surrogate, which UTF-8 cannot encode"
        raise InvalidQuery([(_path(place, {}) or "line", problem) for place in surrogate_paths(value)])
    line = aliases.Canonical(value)
    problems = list(line.problems)
    query = None
    try:
        query = Query.model_validate(line.value)
    except ValidationError as error:
        problems += [_problem(dict(detail), line) for detail in error.errors(include_url=False)]
    if problems or query is None:
        raise InvalidQuery(problems)
    return query if query.id else query.model_copy(update={"id": _derived_id(query)})


def _derived_id(query: Query) -> str:
    text = json.dumps(query.prompt_value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


# Messages for problems. -------------------------------------------------------------------------------

_PARTS: dict[tuple[str, ...], type[Part]] = {
    (): Query,
    ("server_prompt",): ServerPrompt,
    ("script",): ScriptTurn,
    ("script", "calls"): ScriptCall,
    ("elicit",): ElicitAnswer,
    ("expect",): Expect,
    ("expect", "text"): ExpectedText,
    ("expect", "calls"): ExpectedCall,
}


def _problem(detail: dict[str, Any], line: aliases.Canonical) -> Problem:
    """Convert a pydantic error to a field and a message."""
    location, written = detail["loc"], line.written
    kind, message = detail["type"], detail["msg"]
    field = _path(_as_written(location, line.value), written)
    if kind == "extra_forbidden":
        return field, _unknown_key(location)
    if kind == "missing":
        return field, "is missing"
    if kind == "value_error":
        message = message.removeprefix("Value error, ")
        if not location and ": " in message:  # the whole query's own check names its field
            name, _, message = message.partition(": ")
            return written.get(name, name), message
        return field or "line", message
    if kind in ("model_type", "dict_type"):
        return field, f"must be an object, not {_kind(detail['input'])}"
    if kind.endswith("_type"):
        expected = message.removeprefix("Input should be ").replace("a valid integer", "an integer")
        return field, f"must be {expected.replace('valid ', '')}, not {_kind(detail['input'])}"
    if kind in ("too_short", "string_too_short"):
        return field, "must not be empty"
    return field, message.replace("Input should be", "must be")


def _unknown_key(location: tuple[str | int, ...]) -> str:
    *parents, key = location
    part = _PARTS[tuple(name for name in parents if isinstance(name, str))]
    known = [*part.model_fields, *(aliases.ALIASES if part is Query else ())]
    close = similar_name(str(key), known)
    if close:
        return f"unknown key; did you mean {close!r}?"
    return "unknown key; " + (
        "put keys of your own under 'metadata'" if part is Query else f"the known keys are {', '.join(known)}"
    )


def _as_written(location: tuple[str | int, ...], value: Any) -> tuple[str | int, ...]:
    """Leave out the steps of a location that a short form lacks, such as the index of a text in place of a list."""
    steps: list[str | int] = []
    for step in location:
        if isinstance(step, int) and not isinstance(value, list):
            continue
        if isinstance(step, str) and not isinstance(value, dict):
            continue
        steps.append(step)
        if isinstance(value, dict):
            value = value.get(str(step))
        elif isinstance(step, int):
            value = value[step] if step < len(value) else None
    return tuple(steps)


def _path(location: tuple[str | int, ...], written: dict[str, str]) -> str:
    """Format a path in a query as the user wrote it, with aliases: `script[0].calls`."""
    path = ""
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            path += ("." if path else "") + (step if step.isprintable() and step.strip() else repr(step))
        path = written.get(path, path)
    return path


def _kind(value: Any) -> str:
    """Describe a JSON value for a message by its type, with numbers and short strings in full."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"the number {value!r:.20}"
        case str():
            return f"the string {value!r}" if len(value) <= 40 else "a string"
        case list():
            return "a list"
        case dict():
            return "an object"
    return type(value).__name__


def _objects(value: Any, levels: int = _MAX_LEVELS) -> Iterator[JsonObject]:
    """Yield every object in a JSON value, including itself. Raises `ValueError` if it has more than `levels` levels."""
    if not isinstance(value, dict | list):
        return
    if not levels:
        raise ValueError(f"an input is nested more than {_MAX_LEVELS} deep")
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value:
        yield from _objects(item, levels - 1)


def _reference_problem(reference: JsonObject, earlier: int) -> str | None:
    """Return what is wrong with a `{"$from": N, "path": …, "match": …, "as": …}` after `earlier` calls, else None."""
    if unknown := set(reference) - {"$from", "path", "match", "as"}:
        return f"$from accepts only path, match and as, not {', '.join(sorted(unknown))}"
    number, path, match = reference["$from"], reference.get("path", ""), reference.get("match", "")
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < earlier:
        numbers = {0: "no call is made in an earlier turn", 1: "the only one is 0"}.get(earlier, f"0 to {earlier - 1}")
        return f"$from must be the number of a call in an earlier turn ({numbers}), not {_kind(number)}"
    if not isinstance(path, str) or (path and not path.startswith("/")):
        return f"path must be a JSON Pointer such as /structuredContent/id, not {_kind(path)}"
    if "as" in reference and reference["as"] not in REFERENCE_TYPES:
        return f"as must be one of {', '.join(REFERENCE_TYPES)}, not {_kind(reference['as'])}"
    if not isinstance(match, str):
        return "match must be a regular expression"
    try:
        compile_pattern(match)
    except ValueError as error:
        return f"match: {error}"
    return None
