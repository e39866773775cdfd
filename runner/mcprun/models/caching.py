"""Where a request asks for its prompt to be cached: the conversation grows, and what was read once costs little.

The Messages API and Foundry take `cache_control` for the whole request, and put the mark themselves. Bedrock and
Vertex AI refuse it there (400, "Extra inputs are not permitted") and take it on a block
(https://platform.claude.com/docs/en/build-with-claude/prompt-caching). All take another one behind the tools, which all
queries share: only what ends at a mark is written, and no other prompt could read what ends behind this one's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from mcprun.models import Manner
from mcprun.models.clouds import Cloud
from mcprun.records import JsonObject

Caching = Literal["request", "block", "none"]

_MARK = {"cache_control": {"type": "ephemeral"}}


def caching(cloud: Cloud | None, manner: Manner) -> Caching:
    """Say where whoever is asked takes the mark."""
    if manner.bare:
        return "none"
    return "block" if cloud and cloud.kind in ("bedrock", "vertex") else "request"


def shared(tools: Sequence[JsonObject], where: Caching) -> list[JsonObject]:
    """Give the parameter `tools` of a request, which is what comes first in a prompt, with a mark on the last."""
    return [*tools[:-1], *({**tool, **_MARK} if where != "none" else tool for tool in tools[-1:])]


def marked(messages: Sequence[JsonObject], where: Caching) -> JsonObject:
    """Give the parameters `messages` and `cache_control` of a request. What is given is not changed."""
    if where == "request":
        return {"messages": list(messages), **_MARK}
    said = list(messages)
    users = [place for place, message in enumerate(said) if message["role"] == "user"]
    if where == "block" and users:
        content = said[users[-1]]["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else list(content)
        said[users[-1]] = {**said[users[-1]], "content": [*blocks[:-1], {**blocks[-1], **_MARK}]}
    return {"messages": said}
