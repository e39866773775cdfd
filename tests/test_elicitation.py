"""Forms that servers send: filled with their own defaults, and never with what does not fit."""

from __future__ import annotations

import asyncio
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_types import ElicitResult
from pydantic import ValidationError

from mcprun.client.elicitation import ScriptedAnswers, answer_by_policy, form_defaults, form_violation
from mcprun.prompts.elicitation import ElicitAnswer
from tests.test_queries import JSON

FIELDS = st.one_of(
    st.fixed_dictionaries({"type": st.just("string")}, optional={"default": st.text(), "maxLength": st.integers(0, 3)}),
    st.fixed_dictionaries({"type": st.just("integer")}, optional={"default": st.integers(), "minimum": st.just(0)}),
    st.fixed_dictionaries({"type": st.just("boolean")}, optional={"default": st.booleans()}),
    st.fixed_dictionaries({"type": st.just("string")}, optional={"enum": st.just(["a", "b"]), "default": st.just("c")}),
    st.fixed_dictionaries({"type": st.sampled_from(["string", "array"])}, optional={"default": JSON}),
)
NAMES = st.sampled_from("abcd")
SCHEMAS = st.builds(
    lambda properties, required: {"type": "object", "properties": properties, "required": required},
    st.dictionaries(NAMES, FIELDS),
    st.lists(NAMES, unique=True),
)


@given(SCHEMAS)
def test_defaults_fill_a_form_that_they_suffice_for(schema: dict[str, Any]) -> None:
    """Either all defaults and nothing else, and that fits the schema, or there is a reason why not."""
    content = form_defaults(schema)
    defaults = {name: one["default"] for name, one in schema["properties"].items() if "default" in one}
    missing = [name for name in schema["required"] if name not in defaults]
    if isinstance(content, str):
        plain = all(can_be_sent(value) for value in defaults.values())
        assert missing or not plain or not jsonschema.Draft202012Validator(schema).is_valid(defaults)
        assert all(repr(name) in content for name in missing)
    else:
        assert (content, missing) == (defaults, [])
        assert all(can_be_sent(value) for value in content.values())
        jsonschema.Draft202012Validator(schema).validate(content)


def can_be_sent(value: Any) -> bool:
    """Ask the SDK's own type."""
    try:
        ElicitResult.model_validate({"action": "accept", "content": {"field": value}}, strict=True)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"properties": {"a": {"type": "strnig", "default": 1}}}, "the schema is not valid"),
        ({"properties": {"a": {"$ref": "http://127.0.0.1:9/x", "default": 1}}}, "the schema can't be evaluated"),
        ({"properties": {"a": {"$ref": "#/nowhere", "default": 1}}}, "the schema can't be evaluated"),
        ({"properties": {"a": {"default": {"b": 1}}}}, "the default of 'a' is not a value that a form can hold"),
    ],
)
def test_schemas_that_are_none(schema: dict[str, Any], problem: str) -> None:
    """They are a reason to decline, and no fault; nothing is fetched."""
    content = form_defaults(schema)
    assert isinstance(content, str)
    assert problem in content


@given(SCHEMAS, st.sampled_from(["decline", "defaults", "script"]), st.booleans())
def test_what_a_policy_answers(schema: dict[str, Any], policy: str, has_url: bool) -> None:
    """Only `defaults` ever accepts, and only a form; whoever accepts sends what fits, and who declines, nothing."""
    place = {"url": "https://a.example"} if has_url else {"requestedSchema": schema}
    result, reason = answer_by_policy(policy, {"message": "?", **place})
    if result["action"] == "accept":
        assert (policy, has_url, reason) == ("defaults", False, None)
        assert form_violation(result["content"], schema) is None
    else:
        assert result == {"action": "decline"}
        assert bool(reason) == (policy != "decline")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("decline", {"action": "decline"}),
        ("accept", {"action": "accept"}),
        ({"name": "Ann"}, {"action": "accept", "content": {"name": "Ann"}}),
        ({"match": "Ann"}, {"action": "accept", "content": {"match": "Ann"}}),
        ({"content": {"action": "go"}}, {"action": "accept", "content": {"action": "go"}}),
        ({"content": {"a": 1}, "match": "x"}, {"action": "accept", "content": {"a": 1}, "match": "x"}),
        ({"action": "cancel", "match": "x"}, {"action": "cancel", "match": "x"}),
    ],
)
def test_how_answers_are_written(written: Any, read: dict[str, Any]) -> None:
    """An action, a content, or both with a pattern."""
    assert ElicitAnswer.model_validate(written).model_dump(exclude_none=True) == read


@given(st.lists(st.sampled_from([None, "a", "b"]), max_size=5), st.lists(st.sampled_from(["a", "b", "c"]), max_size=6))
def test_each_answer_serves_once_and_in_order(patterns: list[str | None], messages: list[str]) -> None:
    """A request gets the first answer that is left and fits its message; where none is, it is declined with a reason."""
    answers = [
        ElicitAnswer.model_validate({"action": "accept", "content": {"n": number}, "match": pattern})
        for number, pattern in enumerate(patterns)
    ]
    script, left = ScriptedAnswers(answers), list(enumerate(patterns))
    for message in messages:
        fitting = [one for one in left if one[1] in (None, message)]
        asked = {"message": message, "requestedSchema": {"type": "object"}}
        result, reason = asyncio.run(script.answer(asked))
        if fitting:
            left.remove(fitting[0])
            assert (result, reason) == ({"action": "accept", "content": {"n": fitting[0][0]}}, None)
        else:
            assert (result, reason) == ({"action": "decline"}, "the query has no answer left for this request")
