"""Names and references of a query that have no value are found before anything runs."""

from __future__ import annotations

from typing import Any

import pytest

from mcprun.prompts.query import InvalidQuery, parse_query

CREATE = {"id": "issue", "tool": "create", "input": {"title": "Broken {{unique}}"}}
NUMBER = {"$from": "issue", "path": "/id"}
CLOSE = {
    "before": [CREATE],
    "vars": {"number": NUMBER},
    "prompt": "Close {{number}}.",
    "script": [{"calls": [{"id": "close", "tool": "close", "input": {"id": "{{number}}"}}]}, {"text": "{{number}}"}],
    "expect": {"calls": [{"tool": "close", "input": {"id": "{{number}}"}}], "text": {"regex": "{{number}}"}},
    "after": [{"id": "get", "tool": "get", "input": {"id": NUMBER}, "result": {"id": "{{number}}"}}],
    "cleanup": [{"tool": "delete", "input": {"id": {"$from": "get", "path": "/id"}, "of": {"$from": "close"}}}],
}


def problems_of(**changed: Any) -> list[tuple[str, str]]:
    """Return the problems of a query that differs from `CLOSE`."""
    try:
        parse_query({**CLOSE, **changed})
    except InvalidQuery as error:
        return error.problems
    return []


def test_a_query_with_steps_is_valid() -> None:
    """Steps, names and references of all kinds, with calls of the script by id and of the model by number."""
    assert problems_of() == []
    assert problems_of(after=[{"tool": "get", "input": {"id": {"$from": 3}}}], cleanup=["reset"]) == []
    assert problems_of(after=[{"resource": "a://b", "is_error": True}], cleanup=["reset"]) == []
    assert problems_of(resources=["{{number}}"], after=[{"resource": "{{number}}/log"}], cleanup=["reset"]) == []
    assert problems_of(after=[{"name": "get", "arguments": {"id": 1}}], cleanup=[{"resource": "a://b"}]) == []


@pytest.mark.parametrize("part", ["vars", "metadata", "after", "script"])
def test_values_may_be_as_deep_as_in_a_query_without_steps(part: str) -> None:
    """What is too deep to be sent is an error of its step or call, not of the query."""
    value: Any = {"a": 1}
    for _ in range(150):
        value = {"a": [value]}
    step = {"tool": "get", "input": value}
    parts = {"after": [step], "script": [{"calls": [step]}, {"text": "{{number}}"}]}
    changed = {"cleanup": ["reset"], part: parts.get(part, {"number": NUMBER, **value})}
    assert problems_of(**changed) == []


@pytest.mark.parametrize(
    ("changed", "field", "problem"),
    [
        ({"prompt": "{{nubmer}}"}, "prompt", "{{nubmer}} has no value here; did you mean 'number'?"),
        ({"system": "{{x}}"}, "system", "{{x}} has no value here; defined here: {{number}}, {{unique}}"),
        ({"expect": {"text": {"contains": ["a", "{{x}}"]}}}, "expect.text.contains[1]", "{{x}} has no value here; defined here: {{number}}, {{unique}}"),
        ({"script": [{"text": "{{x}}"}]}, "script[0].text", "{{x}} has no value here; defined here: {{number}}, {{unique}}"),
        ({"before": [{"tool": "a", "input": {"b": ["{{number}}"]}}, CREATE]}, "before[0].input.b[0]", "{{number}} has no value here: it comes from 'issue', which runs later"),
        ({"before": [{"tool": "a", "input": {"b": NUMBER}}, CREATE]}, "before[0].input", "$from: 'issue' is the id of before[1], whose result is not known yet"),
        ({"before": [{"tool": "a", "input": {"b": {"$from": 0}}}, CREATE]}, "before[0].input", "$from must be the id of a step of `before` (no call has been made yet), not the number 0"),
        ({"vars": {"number": {"$from": 0}}}, "vars.number", "$from must be the id of a step of `before` (no call has been made yet), not the number 0"),
        ({"vars": {"number": {"$form": "issue", "path": "/id"}}}, "vars.number", "'$form' is not a key of a reference; did you mean '$from'?"),
        ({"prompt": "Close {{issue}}."}, "prompt", "{{issue}} has no value here; to use the result of 'issue', give it a name in vars"),
        ({"prompt": "Close {{issue.id}}."}, "prompt", "{{issue.id}} is not a name; take the part in vars, with $from and path"),
        ({"prompt": "Close {{ number/id }}."}, "prompt", "{{ number/id }} is not a name; take the part in vars, with $from and path"),
        ({"after": [{"tool": "a", "input": {"b": {"$from": "isue"}}}]}, "after[0].input", "$from: no earlier step or call has the id 'isue'; did you mean 'issue'?"),
        ({"after": [{"tool": "a", "input": {"b": {"$from": -1}}}]}, "after[0].input", "$from must be the id of a step or the number of a call, not the number -1"),
        ({"after": [{"tool": "a", "input": {"$from": "issue"}}]}, "after[0].input", "$from can replace a value in the input, not the whole input"),
        ({"vars": {"number": {"$from": "get"}}}, "vars.number", "$from: 'get' is the id of after[0], whose result is not known yet"),
        ({"vars": {"number": {"$from": "x"}}}, "vars.number", "$from: no earlier step or call has the id 'x'; their ids are 'issue'"),
        ({"vars": {"number": NUMBER, "9x": 1}}, "vars.9x", "a name has letters, digits and underscores, and begins with no digit"),
        ({"vars": {"number": NUMBER, "unique": 1}}, "vars.unique", "is reserved: {{unique}} is text that differs between queries and repeats"),
        ({"vars": {"number": NUMBER, "title": "{{number}}"}}, "vars.title", "{{number}} has no value here: vars can use only {{unique}}"),
        ({"cleanup": [{"id": "issue", "tool": "a"}]}, "cleanup[0].id", "'issue' is also the id of before[0]"),
        ({"cleanup": [{"id": "close", "tool": "a"}]}, "script[0].calls[0].id", "'close' is also the id of cleanup[0]"),
        ({"after": [{"id": "x"}]}, "after[0]", "must have either a tool, to call it, or a resource, to read it"),
        ({"after": [{"tool": "a", "resource": "a://b"}]}, "after[0]", "must have either a tool, to call it, or a resource, to read it"),
        ({"after": [{"resource": "a://b", "result": 1}]}, "after[0]", "has result, which only a step with a tool may have: use `text`"),
        ({"after": [{"tool": "a", "result": {"$regx": "x"}}]}, "after[0].result", "'$regx' is not a matcher key; the keys are $any, $regex, $oneof, $type, $approx, $equals, $optional"),
        ({"after": [{"tool": "a", "text": {"contain": "x"}}]}, "after[0].text.contain", "unknown key; did you mean 'contains'?"),
        ({"after": [{"tool": "a", "when": 1}]}, "after[0].when", "unknown key; the known keys are id, tool, input, resource, result, is_error, text"),
        ({"after": [{"tool": "a", "expect": {}}]}, "after[0].expect", "unknown key; in a step, put 'result', 'text' and 'is_error' beside 'tool'"),
        ({"after": [{"resource": "a://b", "contains": "x"}]}, "after[0].contains", "unknown key; did you mean 'text': {'contains': …}?"),
        ({"setup": [CREATE]}, "setup", "unknown key; did you mean 'before'?"),
        ({"after": [{"tool": "a", "text": {"contains": 5}}]}, "after[0].text.contains", "must be a string or a list of strings, not the number 5"),
        ({"before": []}, "before", "must not be empty"),
        ({"before": {"tool": "a"}}, "before", "must be a list, not an object"),
        ({"before": [{"tool": "a", "id": " "}]}, "before[0].id", "must be printable and not empty"),
    ],
)  # fmt: skip
def test_a_name_or_reference_without_a_value_is_a_problem(changed: dict[str, Any], field: str, problem: str) -> None:
    """The problem names the place, and what was probably meant."""
    assert (field, problem) in problems_of(**changed)


def test_braces_around_other_text_are_text() -> None:
    """Only what looks like a part of a known name or result is a problem: templates may be what a query is about."""
    assert problems_of(prompt="Render {{.Values.name}} and {{other.name}} for {{ number }}.") == []
    assert (
        problems_of(after=[{"tool": "a", "input": {"filter": {"$form": 1, "state": "open"}}}], cleanup=["reset"]) == []
    )


def test_braces_are_text_in_a_query_without_steps_and_names() -> None:
    """Only `vars`, `before`, `after` and `cleanup` make names of braces."""
    query = parse_query({"prompt": "Render {{name}}.", "script": [{"text": "{{name}}"}]})
    assert not query.has_names
    assert query.prompt == "Render {{name}}."


def test_ids_of_calls_are_unique_and_can_be_referred_to_in_later_turns() -> None:
    """A script may use the ids of its own calls instead of their numbers."""
    first, second = {"id": "a", "tool": "t"}, {"tool": "t", "input": {"x": {"$from": "a"}}}
    parse_query({"prompt": "x", "script": [{"calls": [first]}, {"calls": [second]}]})
    with pytest.raises(InvalidQuery, match=r"script: turn 0: \$from: 'a' is the id of script\[0\].calls\[0\], whose"):
        parse_query({"prompt": "x", "script": [{"calls": [first, second]}]})
    with pytest.raises(InvalidQuery, match=r"'a' is also the id of script\[0\]\.calls\[0\]"):
        parse_query({"prompt": "x", "script": [{"calls": [first, first]}]})
