"""Build requests to the Messages API, and a client of its stand-in, for the tests of the stand-in itself."""

from __future__ import annotations

from typing import Any

import anthropic
from anthropic import AsyncAnthropic

from tests.support.messages_api import MessagesApi

Body = dict[str, Any]

KEY = "sk-ant-test"


def request(*without: str, **changes: Any) -> Body:
    """Return a valid request, without the keys `without` and with these changes."""
    body = {"model": "claude-sonnet-5-5", "max_tokens": 100, "messages": [user("What is 2 + 3?")], **changes}
    return {key: value for key, value in body.items() if key not in without}


def user(*content: Any) -> Body:
    """Return a user message of one text, or of blocks."""
    return {"role": "user", "content": content[0] if isinstance(content[0], str) else list(content)}


def assistant(*content: Any) -> Body:
    return {**user(*content), "role": "assistant"}


def client_of(api: MessagesApi, key: str = KEY) -> AsyncAnthropic:
    """Return a client of the SDK for the stand-in.

    It does not load certificates, which takes 0.1 s and which plain HTTP does not need.
    """
    plain = anthropic.DefaultAsyncHttpxClient(verify=False)
    return AsyncAnthropic(base_url=api.url, api_key=key, max_retries=0, http_client=plain)
