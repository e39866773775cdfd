"""Opening messages from the server's prompts and resources."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mcprun.engine.opening_messages import merge_messages, opening, prompt_messages
from mcprun.tools.results import message_block, text_only
from tests.support.content_strategies import blocks
from tests.support.messages_rules import refusal

text_messages = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["user", "assistant"]),
        "content": st.text(max_size=5) | st.lists(st.builds(lambda word: {"type": "text", "text": word}, st.text(min_size=1)), max_size=3),
    }
)  # fmt: skip


@given(st.lists(text_messages, max_size=8))
def test_merging_messages_keeps_every_block(messages: list[dict[str, Any]]) -> None:
    """Merged roles alternate, no message is empty, and every block keeps its role and position."""

    def flatten(items: list[dict[str, Any]]) -> list[tuple[str, Any]]:
        return [
            (one["role"], block)
            for one in items
            for block in (
                one["content"]
                if isinstance(one["content"], list)
                else [{"type": "text", "text": one["content"]}] * bool(one["content"])
            )
        ]

    merged = merge_messages(messages)
    assert all(one["content"] for one in merged)
    assert all(one["role"] != other["role"] for one, other in pairwise(merged))
    assert flatten(merged) == flatten(messages)


@given(
    st.lists(st.builds(lambda role, item: {"role": role, "content": item}, st.sampled_from(["user", "assistant"]), blocks), max_size=5),
    st.none() | st.just("Go on."),
)  # fmt: skip
def test_server_prompts_are_rejected_or_accepted_by_the_api(content: list[dict[str, Any]], prompt: str | None) -> None:
    """A server's prompt is rejected, or becomes messages that the API accepts and that contain all of it in order."""
    try:
        server_messages = prompt_messages({"messages": content})
        messages = opening([], server_messages, prompt)
    except ValueError:
        return
    assert refusal({"model": "m", "max_tokens": 1, "messages": messages}) is None
    server_blocks = [(one["role"], contents) for one in content if (contents := message_block(one["content"]))]
    expected = [
        text_only(contents, rule="role") if role == "assistant" else contents for role, contents in server_blocks
    ]
    expected += [{"type": "text", "text": prompt}] if prompt else []
    assert [block for message in messages for block in message["content"]] == expected
