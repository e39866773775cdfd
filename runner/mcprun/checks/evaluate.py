"""Evaluate the `expect` of a query. Each check is a small pure function from a conversation to a `Check`.

Its message contains the expected and the actual value, and where they differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cache

from mcprun._util.json_text import AmbiguousError, loads
from mcprun._util.json_value import JsonObject
from mcprun._util.name_patterns import fits
from mcprun._util.plural import plural
from mcprun.checks import calls as call_checks
from mcprun.checks.expect import Expect, ExpectedText
from mcprun.evaluation import evaluator
from mcprun.runs.transcript import Call, Check
from mcprun.tools.format import ValueFormatter, line_of_difference

COMPLETE_STOP_REASONS = frozenset({"end_turn", "stop_sequence"})
"""Stop reasons with which a model ends its turn by itself."""

_STOPPED = {
    "max_tokens": "stopped at the limit of tokens per reply (`--max-tokens`)",
    "diverged": "stopped at the first call that diverged (`--on-divergence stop`)",
    "refusal": "the model refused to answer (stop reason `refusal`)",
}
"""Why a conversation did not end, by its stop reason."""

_MAX_PROBLEM_CHARS = 500
"""Characters of a message after which no further violation of a schema is added."""

_ALIGN = {"exact": call_checks.exact, "in_order": call_checks.in_order, "any_order": call_checks.any_order}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The outcome of a conversation: how it stopped, its calls, the model's final text, and its cost.

    `limit` is the limit that stopped it, such as ``25 turns (`--max-turns`)``, and empty if none did. `timeouts` maps
    the number of each call that was not answered in time to its time limit, such as `2 s`. `elapsed` does not include
    waiting for a rate limit or a server. `output_tokens` is `None` if they were not counted. `unlisted` are
    the numbers of the calls of tools that the server does not list, `denied` those of tools that may not be used.
    `unknown_tools` maps the name of each unlisted tool that was called or is expected to the most similar name
    of a tool, or to an empty string.
    """

    stop_reason: str
    limit: str = ""
    timeouts: Mapping[int, str] = field(default_factory=dict)
    calls: Sequence[Call]
    text: str
    turns: int = 0
    elapsed: float = 0.0
    output_tokens: int | None = None
    unlisted: Set[int] = frozenset()
    denied: Set[int] = frozenset()
    unknown_tools: Mapping[str, str] = field(default_factory=dict)


def check_all(
    expect: Expect, outcome: Outcome, formatter: ValueFormatter, *, allow_tool_errors: bool = False
) -> list[Check]:
    """Return the checks of a conversation. Without any `expect`, it must end, and no call may fail.

    Raises `EvaluationError` if a pattern or a schema runs out of time.
    """
    return list(_checks(expect, outcome, formatter, allow_tool_errors or expect.tool_errors == "allow"))


def _checks(expect: Expect, outcome: Outcome, formatter: ValueFormatter, allow_tool_errors: bool) -> Iterator[Check]:
    calls = outcome.calls
    yield check_stop_reason(outcome.stop_reason, outcome.limit)
    matches: call_checks.Matches = {}
    problem = ""
    if expect.calls is not None:
        align = _ALIGN["exact"] if not expect.calls else _ALIGN[expect.match]
        matches, problem = align(expect.calls, calls, formatter)
    wanted = {matches[number] for number, call in enumerate(expect.calls or ()) if call.is_error and number in matches}
    if not allow_tool_errors:
        yield check_tool_errors(outcome, wanted, formatter)
    elif unusable := _unusable(outcome, wanted):
        yield check_usable(outcome, unusable, formatter)
    if expect.calls is not None:
        unknown = dict.fromkeys(call.tool for call in expect.calls if call.tool in outcome.unknown_tools)
        problem += "".join(unknown_tool(tool, outcome.unknown_tools, formatter) for tool in unknown) if problem else ""
        yield _check("calls", not problem, problem)
    if expect.never is not None:
        yield check_never(expect.never, calls, formatter)
    if expect.text is not None:
        yield from check_text(expect.text, outcome.text, formatter)
    yield from check_limits(expect, outcome)


def check_stop_reason(stop_reason: str, limit: str = "") -> Check:
    """Check that the model ended its turn and was not cut short, by a `limit` or for another reason."""
    message = _STOPPED.get(stop_reason, f"expected the model to end its turn, got {stop_reason}")
    if limit:
        message = f"stopped at the limit of {limit}"
    return _check("ended", stop_reason in COMPLETE_STOP_REASONS, message)


def check_tool_errors(outcome: Outcome, wanted: set[int], formatter: ValueFormatter) -> Check:
    """Check that no call returned an error, except those whose numbers are in `wanted`."""
    wrong = [(number, call) for number, call in enumerate(outcome.calls) if call.is_error and number not in wanted]
    return _check("tool_errors", not wrong, "; ".join(_tool_error(outcome, *one, formatter) for one in wrong))


def _tool_error(outcome: Outcome, number: int, call: Call, formatter: ValueFormatter) -> str:
    if limit := outcome.timeouts.get(number):
        return f"timed out after {limit} in call {number}, `{formatter.name(call.tool)}`"
    message = f"call {number}: {formatter.call(call)} returned an error: {formatter.result(call)}"
    return message + unknown_tool(call.tool, outcome.unknown_tools, formatter)


def _unusable(outcome: Outcome, wanted: Set[int]) -> Mapping[int, str]:
    """Map each call of an unusable tool, except those `wanted` to fail, to what its tool should have been."""
    denied, unlisted = outcome.denied - wanted, outcome.unlisted - wanted
    return dict.fromkeys(denied, "may be used") | dict.fromkeys(unlisted, "the server lists")


def check_usable(outcome: Outcome, unusable: Mapping[int, str], formatter: ValueFormatter) -> Check:
    """Check that no call failed because its tool can't be used: `tool_errors: allow` covers only errors of tools.

    `unusable` maps the number of a call to what its tool should have been: `may be used`, `the server lists`.
    """
    wrong = [(number, call) for number, call in enumerate(outcome.calls) if call.is_error and number in unusable]
    message = "; ".join(
        f"call {number}: expected a tool that {unusable[number]}, got {formatter.call(call)}: {formatter.result(call)}"
        f"{unknown_tool(call.tool, outcome.unknown_tools, formatter)}"
        for number, call in wrong
    )
    return _check("tool_errors", not wrong, message)


def unknown_tool(name: str, unknown_tools: Mapping[str, str], formatter: ValueFormatter) -> str:
    """Return that the server has no tool of this name, with the most similar one; empty if it lists the tool."""
    if name not in unknown_tools:
        return ""
    similar = unknown_tools[name]
    suggestion = f"; did you mean {formatter.text(similar)}?" if similar else ""
    return f" (the server has no tool {formatter.text(name)}{suggestion})"


def check_never(patterns: Sequence[str], calls: Sequence[Call], formatter: ValueFormatter) -> Check:
    """Check that no tool was called whose name matches one of the patterns."""
    for number, call in enumerate(calls):
        if pattern := next((pattern for pattern in patterns if fits(call.tool, (pattern,))), None):
            return _check("never", False, f"call {number}: expected no call to {pattern}, got {formatter.call(call)}")
    return _check("never", True)


def check_text(expected: ExpectedText, text: str, formatter: ValueFormatter) -> Iterator[Check]:
    """Check the model's final text; yield a check for each part of `expected`."""
    got = f"got {formatter.text(text)}"
    for part in expected.contains or ():
        wanted, other = (formatter.text(part), "") if part in text else formatter.part(part, text)
        yield _check("text.contains", part in text, f"expected text with {wanted}, got {other}")
    for part in expected.not_contains or ():
        yield _check("text.not_contains", part not in text, f"expected text without {formatter.text(part)}, {got}")
    if expected.equals is not None:
        wanted, other = formatter.texts(expected.equals, text)
        line = line_of_difference(expected.equals, text)
        message = f"{f'line {line:,}: ' if line else ''}expected text {wanted}, got {other}"
        yield _check("text.equals", text == expected.equals, message)
    for pattern in expected.regex or ():
        fits = evaluator.search(pattern, text) is not None
        wanted, other = (formatter.pattern(pattern), "") if fits else _unmatched(pattern, text, formatter)
        yield _check("text.regex", fits, f"expected text matching {wanted}, got {other}")
    if expected.json_schema is not None:
        problem = _schema_problem(expected.json_schema, text, got)
        yield _check("text.json_schema", not problem, f"expected JSON that matches the schema{problem}")


def _unmatched(pattern: str, text: str, formatter: ValueFormatter) -> tuple[str, str]:
    """Format a pattern as it was written, unless it looks like a part of the text, and the text."""
    wanted, other = formatter.part(pattern, text)
    return formatter.pattern(pattern) if wanted == formatter.text(pattern) else wanted, other


def check_limits(expect: Expect, outcome: Outcome) -> Iterator[Check]:
    """Check the maximum calls, turns, seconds and output tokens."""
    yield from _within_limit("max_calls", expect.max_calls, len(outcome.calls), ("made", "call"))
    yield from _within_limit("max_turns", expect.max_turns, outcome.turns, ("took", "turn"))
    if (limit := expect.max_seconds) is not None:
        seconds = round(outcome.elapsed, 3)
        yield _check("max_seconds", seconds <= limit, f"took {seconds:,g} s, at most {limit:,g} s allowed")
    if expect.max_output_tokens is not None and outcome.output_tokens is None:
        message = f"the model reported no output tokens, at most {expect.max_output_tokens:,} allowed"
        yield _check("max_output_tokens", False, message)
    else:
        used = outcome.output_tokens or 0
        yield from _within_limit("max_output_tokens", expect.max_output_tokens, used, ("used", "output token"))


def _within_limit(name: str, limit: int | None, got: int, words: tuple[str, str]) -> Iterator[Check]:
    """Check a count; `words` are the verb and the noun of the message: `took 2 turns, at most 1 allowed`."""
    verb, noun = words
    if limit is not None:
        yield _check(name, got <= limit, f"{verb} {plural(got, noun)}, at most {limit:,} allowed")


def _schema_problem(schema: JsonObject, text: str, got: str) -> str:
    """Return why text is not JSON that a schema allows; empty if it is. `got` describes the text."""
    try:
        value = loads(text)
    except AmbiguousError as error:
        return f", {got}: {error}"
    except ValueError as error:
        return f", {got}: it is not JSON: {error}"
    try:
        outcome = evaluator.Schema(schema, "python").outcome(value)
    except evaluator.EvaluationError as error:
        if error.is_timeout:
            raise
        return f", {got}: {error}"
    if outcome.problem:
        problems: list[str] = []
        for problem in outcome.first:
            if sum(map(len, problems)) < _MAX_PROBLEM_CHARS:
                problems.append(str(problem))
        left = outcome.count - len(problems)
        return f": {'; '.join(problems)}{f'; and {left:,} more' if left > 0 else ''}"
    return f", {got}: {'; '.join(outcome.notes)}" if outcome.notes else ""


def _check(name: str, passed: bool, message: str = "") -> Check:
    return _passed(name) if passed else Check(check=name, passed=False, message=message)


@cache
def _passed(name: str) -> Check:
    """Return the check of an expectation that holds, which is the same in all conversations."""
    return Check(check=name, passed=True)
