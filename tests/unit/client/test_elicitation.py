"""Elicitation forms are filled with their own defaults, and never with values that do not fit."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_types import ElicitResult
from pydantic import ValidationError

from mcprun.client.elicitation import answer_by_policy, form_defaults, form_violation
from mcprun.prompts.elicitation import ElicitAnswer
from tests.support.json_strategies import JSON

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
def test_form_defaults_are_complete_and_valid_or_an_error(schema: dict[str, Any]) -> None:
    """The result is either all defaults, which match the schema, or a reason that names the missing fields."""
    content = form_defaults(schema)
    defaults = {name: field["default"] for name, field in schema["properties"].items() if "default" in field}
    missing = [name for name in schema["required"] if name not in defaults]
    if isinstance(content, str):
        sendable = all(is_sendable(value) for value in defaults.values())
        assert missing or not sendable or not jsonschema.Draft202012Validator(schema).is_valid(defaults)
        assert all(repr(name) in content for name in missing)
    else:
        assert (content, missing) == (defaults, [])
        assert all(is_sendable(value) for value in content.values())
        jsonschema.Draft202012Validator(schema).validate(content)


def is_sendable(value: Any) -> bool:
    """Return whether the SDK's `ElicitResult` accepts the value."""
    try:
        ElicitResult.model_validate({"action": "accept", "content": {"field": value}}, strict=True)
    except ValidationError:
        return False
    return True


@given(SCHEMAS, st.sampled_from(["decline", "defaults", "script"]), st.booleans())
def test_policy_accepts_only_valid_forms(schema: dict[str, Any], policy: str, has_url: bool) -> None:
    """Only `defaults` accepts, and only a form with valid content. Every other answer is a bare decline."""
    target = {"url": "https://a.example"} if has_url else {"requestedSchema": schema}
    result, reason = answer_by_policy(policy, {"message": "?", **target})
    if result["action"] == "accept":
        assert (policy, has_url, reason) == ("defaults", False, None)
        assert form_violation(result["content"], schema) is None
    else:
        assert result == {"action": "decline"}
        assert bool(reason) == (policy != "decline")


@pytest.mark.parametrize(
    ("written", "expected"),
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
def test_answer_shorthand_is_expanded(written: Any, expected: dict[str, Any]) -> None:
    """An answer is written as an action, as content, or as either with a pattern."""
    assert ElicitAnswer.model_validate(written).model_dump(exclude_none=True) == expected
