"""Queries: the format, its aliases, and messages for invalid lines."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun.checks.expect import Expect
from mcprun.prompts.query import InvalidQuery, Query, parse_query
from tests.support.json_strategies import JSON

KEYS = st.sampled_from([*Query.model_fields, "messages", "params", "query", "expected_tool_calls", "target", "typo"])


def problems_of(value: Any) -> list[tuple[str, str]]:
    """Return the problems of a line, or an empty list."""
    try:
        parse_query(value)
    except InvalidQuery as error:
        return error.problems
    return []


@given(JSON | st.dictionaries(KEYS, JSON, max_size=6))
def test_any_json_value_is_a_query_or_has_problems(value: Any) -> None:
    """Any JSON value is parsed or rejected with reasons. No other exception is raised."""
    for field, problem in problems_of(value):
        assert field
        assert problem


@given(st.text(min_size=1).filter(str.strip), st.dictionaries(st.text(), JSON, max_size=2))
def test_a_generated_id_depends_only_on_the_prompt(prompt: str, metadata: dict[str, Any]) -> None:
    """Other keys of the line do not change the generated id."""
    other_keys = {"metadata": metadata, "system": "Be kind.", "script": [{"text": "hi"}]}
    assert parse_query(prompt).id == parse_query({"prompt": prompt, **other_keys}).id


def test_generated_ids_differ_between_prompts() -> None:
    """Different prompts, server prompts and resources have different generated ids."""
    queries: list[Any] = [
        "a",
        "b",
        {"server_prompt": "a"},
        {"server_prompt": "b"},
        {"server_prompt": {"name": "a", "arguments": {"c": "d"}}},
        {"server_prompt": "a", "resources": ["a:b"]},
        {"prompt": "a", "resources": ["a:b"]},
        {"prompt": "a", "resources": ["a:c"]},
    ]
    assert len({parse_query(query).id for query in queries}) == len(queries)


@pytest.mark.parametrize(
    "line",
    [
        {"server_prompt": "a", "resources": "b:c"},
        {"server_prompt": {"name": "a", "args": {}}, "resources": [{"uri": "b:c"}]},
    ],
)
def test_short_forms_are_equivalent(line: dict[str, Any]) -> None:
    """A bare prompt name, a single URI and resource objects are parsed like their long forms."""
    query = parse_query(line)
    assert query == parse_query({"server_prompt": {"name": "a", "arguments": {}}, "resources": ["b:c"]})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, [("line", "must be an object or a string, not the number 3")]),
        (None, [("line", "must be an object or a string, not null")]),
        ([1], [("line", "must be an object or a string, not a list: write one query per line")]),
        ({}, [("prompt", "is missing")]),
        ("  ", [("prompt", "must not be empty")]),
        ({"prompt": []}, [("prompt", "must not be an empty list")]),
        ({"prompt": 7}, [("prompt", "must be a string or a list of content blocks, not the number 7")]),
        (
            {"prompt": [{"type": "sound"}]},
            [("prompt", "block 0 must be an object whose type is one of text, image, document")],
        ),
        ({"prompt": [{"type": "text", "text": ""}]}, [("prompt", "block 0 has no text")]),
        ({"prompt": "x", "prompts": ["y"]}, [("prompts", "has the same meaning as 'prompt', which is set too: keep one")]),
        ({"prompts": ["x", ""]}, [("prompts[1]", "must not be empty")]),
        ({"prompt": "x", "id": ""}, [("id", "must be printable and not empty")]),
        ({"prompt": "x", "id": "a\nb"}, [("id", "must be printable and not empty")]),
        ({"prompt": "x", "id": []}, [("id", "must be a string, not a list")]),
        ({"prompt": "x", "id": True}, [("id", "must be a string, not true")]),
        (
            {"messages": [{"role": "user", "content": "a"}, {"role": "system", "content": "b"}]},
            [("messages[1]", "the role 'system' is not supported here: the model writes its own messages")],
        ),
        (
            {"prompt": "x", "script": [{"calls": [{"tool": "a", "name": "b"}]}]},
            [("script[0].calls[0].name", "unknown key; the known keys are id, tool, input")],
        ),
        ({"prompt": "x", "scrip": []}, [("scrip", "unknown key; did you mean 'script'?")]),
        ({"prompt": "x", "zzz": 1}, [("zzz", "unknown key; put keys of your own under 'metadata'")]),
        ({"prompt": "x", "repeat": 0}, [("repeat", "must be greater than or equal to 1")]),
        ({"resources": ["a:b"]}, [("prompt", "is missing")]),
        ({"prompt": "x", "resources": []}, [("resources", "must not be empty")]),
        ({"prompt": "x", "resources": ["a:b", "notes.txt"]}, [("resources[1]", "must be a URI with a scheme, such as file:///notes.txt")]),
        ({"prompt": "x", "resources": [{"uri": "a:b", "name": "c"}]}, [("resources[0]", "must be a string, not an object")]),
        ({"server_prompt": {"arguments": {}}}, [("server_prompt.name", "is missing")]),
        ({"server_prompt": {"name": "a", "arguments": {"n": 3}}}, [("server_prompt.arguments.n", "must be a string, not the number 3")]),
        ({"server_prompt": {"name": "a", "argument": {}}}, [("server_prompt.argument", "unknown key; did you mean 'arguments'?")]),
        ({"server_prompt": 3}, [("server_prompt", "must be an object, not the number 3")]),
        ({"server_prompt": "a", "script": [{"text": "b"}, {"text": "c"}]}, [("script", "answers 2 user messages, but the query has 1: each turn without calls ends an answer")]),
        ({"prompt": "x", "elicit": {}}, [("elicit", "must be a list, not an object")]),
        ({"prompt": "x", "elicit": ["yes"]}, [("elicit[0]", "must be 'accept', 'decline' or 'cancel'")]),
        ({"prompt": "x", "elicit": [{"action": "decline", "content": {}}]}, [("elicit[0]", "has content, which is allowed only with action accept, not decline")]),
        ({"prompt": "x", "elicit": [{"a": {"b": 1}}]}, [("elicit[0]", "content.a must be a string, a number, true, false, null or a list of strings")]),
        ({"prompt": "x", "elicit": [{"action": "cancel", "match": "("}]}, [("elicit[0]", "match: '(' is not a valid regular expression: missing ), unterminated subpattern at position 0")]),
        ({"prompt": "x", "elicit": [{"action": "accept", "contents": {}}]}, [("elicit[0].contents", "unknown key; did you mean 'content'?")]),
        ({"prompt": "x", "sampling": "a"}, [("sampling", "must be a list, not the string 'a'")]),
        ({"prompt": "x", "expect": {"judge": ""}}, [("expect.judge", "must not be empty")]),
        ({"prompt": "x", "expect": {"text": {"regex": "("}}}, [("expect.text.regex", "'(' is not a valid regular expression: missing ), unterminated subpattern at position 0")]),
        ({"prompt": "x", "expect": {"text": {"regex": ["a", "["]}}}, [("expect.text.regex[1]", "'[' is not a valid regular expression: unterminated character set at position 0")]),
        ({"prompt": "x", "expect": {"text": {"regex": "a" * 200 + "("}}}, [("expect.text.regex", f"'{'a' * 100}…' is not a valid regular expression: missing ), unterminated subpattern at position 200")]),
        ({"prompt": "x", "expect": {"calls": [{"tool": "a", "input": {"b": {"$regex": "["}}}]}}, [("expect.calls[0].input", "$regex: '[' is not a valid regular expression: unterminated character set at position 0")]),
        ({"prompt": "x", "expect": {"text": {"json_schema": {"pattern": "["}}}}, [("expect.text.json_schema", "is not a valid JSON Schema: pattern '[' is not a valid regular expression: unterminated character set at position 0")]),
        ({"prompt": "x", "expect": {"text": {"contains": "", "not_contains": ["b", ""]}, "never": ""}}, [("expect.text.contains", "must not be empty"), ("expect.text.not_contains[1]", "must not be empty"), ("expect.never", "must not be empty")]),
        ({"prompt": "x", "target": ""}, [("target", "must not be empty")]),
        ({"prompt": "x", "resources": ["a:b", "{{uri}}"]}, [("resources[1]", "must be a URI with a scheme, such as file:///notes.txt")]),
        ({"prompt": "x", "resources": "notes.txt"}, [("resources", "must be a URI with a scheme, such as file:///notes.txt")]),
        ({"server_prompt": ""}, [("server_prompt", "must not be empty")]),
        ({"prompt": "x", "expect": {"text": {}}}, [("expect.text", "must have at least one of contains, not_contains, equals, regex, json_schema")]),
        ({"prompt": "x", "expect": {"text": {"json_schema": {"type": "strnig"}}}}, [("expect.text.json_schema", "is not a valid JSON Schema: at $.type: 'strnig' is not valid under any of the given schemas")]),
        *(
            ({"prompt": "x", "expect": {key: None}}, [(f"expect.{key}", "must not be null: give a value, or leave the key out")])
            for key in Expect.model_fields
        ),
        *(
            ({"prompt": "x", "expect": {"text": {"contains": "a", key: None}}}, [(f"expect.text.{key}", "must not be null: give a value, or leave the key out")])
            for key in ("not_contains", "equals", "regex", "json_schema")
        ),
        *(
            ({"prompt": "x", "expect": {"calls": [{"tool": "a", key: None}]}}, [(f"expect.calls[0].{key}", "must not be null: give a value, or leave the key out")])
            for key in ("input", "is_error", "exact_input")
        ),
        ({"prompt": "x", "expect": {"match": "exact"}}, [("expect", "has match, which needs calls")]),
        ({"prompt": "x", "expect": {"max_calls": -1}}, [("expect.max_calls", "must be greater than or equal to 0")]),
        ({"prompt": "x", "expect": {"call": []}}, [("expect.call", "unknown key; did you mean 'calls'?")]),
        ({"prompt": "x", "expect": {"text": "5"}}, [("expect.text", "must be an object, not the string '5'")]),
        (
            {"prompt": "x", "expect": {"calls": [{"tool": "a", "input": {"b": [{"$regx": "a"}]}}]}},
            [("expect.calls[0].input", "'$regx' is not a matcher key; the keys are $any, $regex, $oneof, $type, $approx, $equals, $optional")],
        ),
        ({"prompt": "x", "max_tokens": "5"}, [("max_tokens", "must be an integer, not the string '5'")]),
        ({"prompt": "x", "max_turns": 0}, [("max_turns", "must be greater than or equal to 1")]),
        ({"prompt": "x", "timeout": True}, [("timeout", "must be a number, not true")]),
        ({"prompt": "x", "tools": "add"}, [("tools", "must be a list, not the string 'add'")]),
        ({"prompt": "x", "script": [{}]}, [("script[0]", "must have text or calls")]),
        (
            {"prompt": "x", "script": [{"calls": [{"tol": "a"}]}]},
            [("script[0].calls[0].tool", "is missing"), ("script[0].calls[0].tol", "unknown key; did you mean 'tool'?")],
        ),
        (
            {"prompt": "x", "model": "script"},
            [("model", "must be a model name of the API: script and replay can only be set for the whole run")],
        ),
        ({"query": "a", "prompt": "b"}, [("query", "has the same meaning as 'prompt', which is set too: keep one")]),
        ({"question": ""}, [("question", "must not be empty")]),
        ({"messages": "hi"}, [("messages", 'must be a list of {"role": …, "content": …}'), ("prompt", "is missing")]),
        (
            {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
            [("messages[1]", "the role 'assistant' is not supported here: the model writes its own messages")],
        ),
        (
            {"prompt": "x", "params": {"temperature": 0}},
            [("params.temperature", "not supported; the supported params are messages, model, max_tokens, system")],
        ),
    ],
)  # fmt: skip
def test_problems_name_the_field_and_the_reason(value: Any, expected: list[tuple[str, str]]) -> None:
    """Every problem of a line is reported, with the field's name as in the file."""
    assert sorted(problems_of(value)) == sorted(expected)


@pytest.mark.parametrize(
    ("reference", "problem"),
    [
        ({"$from": 1, "path": "/a"}, "$from must be the number of a call in an earlier turn (the only one is 0), not the number 1"),
        ({"$from": "0"}, "$from must be the number of a call in an earlier turn (the only one is 0), not the string '0'"),
        ({"$from": 0, "path": "a"}, "path must be a JSON Pointer such as /structuredContent/id, not the string 'a'"),
        ({"$from": 0, "match": "("}, "match: '(' is not a valid regular expression: missing ), unterminated subpattern at position 0"),
        ({"$from": 0, "as": "int"}, "as must be one of string, number, integer, boolean, json, not the string 'int'"),
        ({"$from": 0, "paht": "/a"}, "$from accepts only path, match and as, not paht"),
    ],
)  # fmt: skip
def test_invalid_references_are_rejected_when_parsed(reference: dict[str, Any], problem: str) -> None:
    """A `$from` that cannot resolve makes the line invalid, before any query runs."""
    script = [{"calls": [{"tool": "a"}]}, {"calls": [{"tool": "b", "input": {"deep": [reference]}}]}]
    assert problems_of({"prompt": "x", "script": script}) == [("script", f"turn 1: {problem}")]


@pytest.mark.parametrize(
    ("prompts", "script", "fits"),
    [
        (1, ["calls", "text"], True),
        (1, ["calls"], True),  # no text after the last calls
        (1, ["text"], True),
        (2, ["text", "calls", "text"], True),
        (2, ["calls", "text", "calls"], True),
        (1, ["text", "calls"], False),  # the calls would never be sent
        (1, ["text", "text"], False),
        (2, ["text"], False),  # the second message would never be answered
        (3, ["calls", "text", "calls"], False),
    ],
)
def test_a_script_must_use_every_turn_and_answer_every_message(prompts: int, script: list[str], fits: bool) -> None:
    """A script with a turn that would never be used, or without an answer to a message, makes the line invalid."""
    turns = {"calls": {"calls": [{"tool": "a"}]}, "text": {"text": "hi"}}
    value = {"prompts": ["x"] * prompts, "script": [turns[turn] for turn in script]}
    found = problems_of(value)
    assert [field for field, _ in found] == ([] if fits else ["script"])


def test_a_reference_cannot_replace_a_whole_input() -> None:
    """`$from` cannot replace a whole input, which must be an object."""
    script = [{"calls": [{"tool": "a"}]}, {"calls": [{"tool": "b", "input": {"$from": 0}}]}]
    message = "turn 1: $from can replace a value in the input, not the whole input"
    assert problems_of({"prompt": "x", "script": script}) == [("script", message)]


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({"prompt": "x", "target": 5}, "target"),
        ({"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "a"}, {"role": "user", "content": ""}]}, "messages[2].content"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages[0].content"),
        ({"prompt": "x", "expected_tool_calls": [{"name": 5}]}, "expected_tool_calls[0].tool"),
        ({"prompt": "x", "params": 5}, "params"),
        ({"prompt": "x", "expect": 5, "target": "y"}, "expect"),
        ({"messages": [{"role": "user", "content": "x", "name": "n"}]}, "messages[0].name"),
        ({"prompt": "x", "script": [{"calls": [{"tool": "a", "arguments": {}, "args": {}}]}]}, "script[0].calls[0].args"),
    ],
)  # fmt: skip
def test_problems_name_aliases_as_in_the_file(value: Any, field: str) -> None:
    """A problem of an aliased field names the alias, with the index in the file."""
    assert field in [name for name, _ in problems_of(value)]


def test_a_reference_may_use_any_call_of_an_earlier_turn() -> None:
    """`$from` counts calls over all turns, and accepts those of earlier turns only."""
    calls_a_and_b = {"calls": [{"tool": "a"}, {"tool": "b"}]}
    reference = {"calls": [{"tool": "c", "input": {"x": {"$from": 1}}}]}
    assert problems_of({"prompt": "x", "script": [calls_a_and_b, reference]}) == []
    assert problems_of({"prompt": "x", "script": [reference, calls_a_and_b]}) != []


EMPTY: list[Any] = [None, False, 0, "", [], {}]


@pytest.mark.parametrize(
    ("path", "values"),
    [
        (("expect", "calls", 0, "result"), [*EMPTY, [None], {"a": None}]),
        (("expect", "calls", 0, "input", "k"), EMPTY),
        (("expect", "calls", 0, "is_error"), [False, True]),
        (("expect", "calls", 0, "exact_input"), [True]),
        (("expect", "calls"), [[], [{"tool": "other"}], ["t", "t"]]),
        (("expect", "text"), [{"equals": ""}, {"equals": " "}, {"json_schema": {}}, {"json_schema": {"const": None}}]),
        (("expect", "max_calls"), [0, 1]),
        (("expect", "max_output_tokens"), [0, 1]),
        (("expect", "match"), ["exact", "any_order"]),
        (("script", 0, "calls", 0, "input", "k"), EMPTY),
        (("metadata", "k"), EMPTY),
        (("elicit",), [[], ["decline"], [{}], [{"k": None}], [{"k": False}], [{"k": 0}], [{"k": ""}]]),
        (("sampling",), [[], [""]]),
        (("system",), ["", " "]),
        (("repeat",), [1, 2]),
        (("expect", "pass_rate"), [1, 0.5]),
    ],
)
def test_adding_or_changing_an_empty_value_changes_the_digest(path: tuple[Any, ...], values: list[Any]) -> None:
    """A key with null, false, 0 or an empty value gives another digest than no such key."""
    lines: list[dict[str, Any]] = [LINE, *(set_value(LINE, path, value) for value in values)]
    assert len({parse_query(line).digest for line in lines}) == len(lines)


LINE: dict[str, Any] = {
    "id": "q",
    "prompt": "p",
    "script": [{"calls": [{"tool": "t", "input": {}}]}, {"text": "x"}],
    "metadata": {},
    "expect": {"calls": [{"tool": "t", "input": {}}]},
}


def set_value(line: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Return a copy of a line with a value at a path."""
    if not path:
        return value
    if isinstance(line, list):
        return [set_value(item, path[1:], value) if at == path[0] else item for at, item in enumerate(line)]
    return {**line, path[0]: set_value(line.get(path[0], {}), path[1:], value)}
