"""Build requests to the Messages API, and a client of its stand-in."""

from __future__ import annotations

from typing import Any

import anthropic
from anthropic import AsyncAnthropic

from tests.support.messages_api import MessagesApi

Body = dict[str, Any]

KEY = "sk-ant-test"


def request(*without: str, **changes: Any) -> Body:
    """A request that the API takes, changed."""
    whole = {"model": "claude-sonnet-5-5", "max_tokens": 100, "messages": [user("What is 2 + 3?")], **changes}
    return {key: value for key, value in whole.items() if key not in without}


def user(*content: Any) -> Body:
    """A user's message: one text, or blocks."""
    return {"role": "user", "content": content[0] if isinstance(content[0], str) else list(content)}


def assistant(*content: Any) -> Body:
    return {**user(*content), "role": "assistant"}


def client_of(api: MessagesApi, key: str = KEY) -> AsyncAnthropic:
    """The real SDK; loading certificates, which plain HTTP does not need, would take a tenth of a second."""
    plain = anthropic.DefaultAsyncHttpxClient(verify=False)
    return AsyncAnthropic(base_url=api.url, api_key=key, max_retries=0, http_client=plain)
