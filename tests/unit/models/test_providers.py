"""Requests to cloud providers: cache marks and model names."""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mcprun.limits import PROVIDERS
from mcprun.models import prompt_caching
from mcprun.models.providers import split

BLOCKS = st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": st.text(min_size=1)}), min_size=1)

MESSAGES = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": BLOCKS | st.text(min_size=1)})
)


@given(MESSAGES)
def test_the_last_user_block_has_the_cache_mark(messages: list[Any]) -> None:
    """Only the last block of the last user message is marked. The messages passed in are not modified."""
    before = json.dumps(messages)
    sent = prompt_caching.cached(messages, (), "block")
    text = json.dumps(sent["messages"])
    assert json.dumps(messages) == before
    assert text.count("cache_control") - before.count("cache_control") == any(one["role"] == "user" for one in messages)
    assert set(sent) == {"messages"}
    assert [one["role"] for one in sent["messages"]] == [one["role"] for one in messages]
    assert prompt_caching.cached(messages, (), "none") == {"messages": messages}


@given(st.sampled_from(PROVIDERS), st.text())
def test_provider_and_model_are_split_at_the_first_colon(kind: str, name: str) -> None:
    """The first colon separates the provider from the model, whose name may contain more of them."""
    assert split(f"{kind}:{name}") == (kind, name)
    assert split(f"x{kind}:{name}") == (None, f"x{kind}:{name}")
    assert re.match(kind, f"{kind}:{name}")
