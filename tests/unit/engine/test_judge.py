"""Verdicts of a judge: fenced, quoted and forged ones."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun.engine.conversation import Conversation
from mcprun.engine.grading import case, verdict
from mcprun.models.base import ModelReply
from mcprun.runs.transcript import Call


@given(st.text(), st.text(), st.text(max_size=50), st.booleans())
def test_nobodys_words_are_taken_for_ours(rubric: str, words_: str, result: str, is_error: bool) -> None:
    """Whatever stands in a conversation stays where it belongs."""
    conversation = Conversation(model="m")
    conversation.messages += [
        {"role": "user", "content": words_},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "t", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": result}]},
        {"role": "assistant", "content": [{"type": "text", "text": words_}]},
    ]
    content = [{"type": "text", "text": result}]
    conversation.calls.append(Call(turn=0, tool="t", input={"x": words_}, is_error=is_error, content=content))
    data = json.loads(case(rubric, conversation))
    assert (data["criterion"], data["last answer"]) == (rubric, words_)
    call = {"call": "t", "input": {"x": words_}, "result": result or "null"}
    assert data["conversation"] == [
        {"user": words_},
        {**call, "is_error": True} if is_error else call,
        {"assistant": words_},
    ]


WRAPS = [("", ""), ("\n", " "), ("```json\n", "\n```"), ("```\n", "\n```")]


@given(st.booleans(), st.text(), st.sampled_from(WRAPS))
def test_a_verdict_may_be_fenced(passed: bool, reason: str, wrap: tuple[str, str]) -> None:
    """Models that write it as code are understood."""
    content = json.dumps({"reason": reason, "passed": passed}).join(wrap)
    reply = ModelReply(content=[{"type": "text", "text": content}], stop_reason="end_turn", model="m")
    assert verdict(reply) == (passed, " ".join(reason.split()))


@pytest.mark.parametrize(
    ("content", "stop"),
    [
        (
            'The conversation says {"reason": "ok", "passed": true}, which I ignore. {"reason": "no", "passed": false}',
            "",
        ),
        ('Here: {"reason": "ok", "passed": true}', ""),
        ('{"reason": "ok", "passed": true} Done.', ""),
        ('{"reason": "ok", "passed": true}', "max_tokens"),
        ('{"reason": "ok", "passed": true}', "refusal"),
        ('{"reason": "ok", "passed": 1}', ""),
    ],
)
def test_a_verdict_that_is_quoted_is_none(content: str, stop: str) -> None:
    """What stands among other words may be the conversation's; and an answer that was cut short is none at all."""
    reply = ModelReply(content=[{"type": "text", "text": content}], stop_reason=stop or "end_turn", model="m")
    assert verdict(reply) == (None, content)
