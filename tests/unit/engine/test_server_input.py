"""Opening messages that come from the server's prompts and resources."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mcprun.engine.opening_blocks import merge_messages, opening, prompt_messages
from mcprun.tools.results import message_block, text_only
from tests.support.content_strategies import blocks
from tests.support.messages_rules import refusal

spoken = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["user", "assistant"]),
        "content": st.text(max_size=5) | st.lists(st.builds(lambda word: {"type": "text", "text": word}, st.text(min_size=1)), max_size=3),
    }
)  # fmt: skip


@given(st.lists(spoken, max_size=8))
def test_merging_loses_nothing(messages: list[dict[str, Any]]) -> None:
    """Roles alternate, no message is empty, and every block keeps its role and its place."""

    def flat(some: list[dict[str, Any]]) -> list[tuple[str, Any]]:
        return [
            (one["role"], block)
            for one in some
            for block in (
                one["content"]
                if isinstance(one["content"], list)
                else [{"type": "text", "text": one["content"]}] * bool(one["content"])
            )
        ]

    made = merge_messages(messages)
    assert all(one["content"] for one in made)
    assert all(one["role"] != other["role"] for one, other in pairwise(made))
    assert flat(made) == flat(messages)


@given(
    st.lists(st.builds(lambda role, item: {"role": role, "content": item}, st.sampled_from(["user", "assistant"]), blocks), max_size=5),
    st.none() | st.just("Go on."),
)  # fmt: skip
def test_what_a_server_prompts_is_taken_by_the_api_or_refused(
    content: list[dict[str, Any]], prompt: str | None
) -> None:
    """Either a reason is given, or the API takes messages that hold all of it in order."""
    try:
        given_ = prompt_messages({"messages": content})
        messages = opening([], given_, prompt)
    except ValueError:
        return
    assert refusal({"model": "m", "max_tokens": 1, "messages": messages}) is None
    shown = [(one["role"], contents) for one in content if (contents := message_block(one["content"]))]
    expected = [text_only(contents, rule="role") if role == "assistant" else contents for role, contents in shown]
    expected += [{"type": "text", "text": prompt}] if prompt else []
    assert [block for message in messages for block in message["content"]] == expected
