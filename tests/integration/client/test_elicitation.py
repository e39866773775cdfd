"""Default answers to forms, and scripted answers with patterns that are used once and in order."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun.client.elicitation import ScriptedAnswers, form_defaults
from mcprun.prompts.elicitation import ElicitAnswer


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"properties": {"a": {"type": "strnig", "default": 1}}}, "the schema is not valid"),
        ({"properties": {"a": {"$ref": "http://127.0.0.1:9/x", "default": 1}}}, "the schema can't be evaluated"),
        ({"properties": {"a": {"$ref": "#/nowhere", "default": 1}}}, "the schema can't be evaluated"),
        ({"properties": {"a": {"default": {"b": 1}}}}, "the default of 'a' is not a value that a form can hold"),
    ],
)
def test_invalid_schema_is_declined_with_a_reason(schema: dict[str, Any], problem: str) -> None:
    """`form_defaults` returns the reason to decline an invalid schema, and fetches no remote `$ref`."""
    content = form_defaults(schema)
    assert isinstance(content, str)
    assert problem in content


@given(st.lists(st.sampled_from([None, "a", "b"]), max_size=5), st.lists(st.sampled_from(["a", "b", "c"]), max_size=6))
def test_each_answer_is_used_once_and_in_order(patterns: list[str | None], messages: list[str]) -> None:
    """A request gets the first unused answer that matches its message.

    If there is none, it is declined with a reason.
    """
    answers = [
        ElicitAnswer.model_validate({"action": "accept", "content": {"n": number}, "match": pattern})
        for number, pattern in enumerate(patterns)
    ]
    script, unused = ScriptedAnswers(answers), list(enumerate(patterns))
    for message in messages:
        matching = [entry for entry in unused if entry[1] in (None, message)]
        request = {"message": message, "requestedSchema": {"type": "object"}}
        result, reason = asyncio.run(script.answer(request))
        if matching:
            unused.remove(matching[0])
            assert (result, reason) == ({"action": "accept", "content": {"n": matching[0][0]}}, None)
        else:
            assert (result, reason) == ({"action": "decline"}, "the query has no answer left for this request")
