"""Forms that servers send are filled with their own defaults, never with values that do not fit."""

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
