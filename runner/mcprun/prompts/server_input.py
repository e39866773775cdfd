"""The server's own prompt and resources that a query uses, in the form of the prompts file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import AfterValidator, Field

from mcprun._util.json_value import JsonObject
from mcprun.checks.expect import Part
from mcprun.prompts.names import begins_with_name

FROM_SERVER = frozenset({"resource", "server_prompt"})
"""Types of the blocks in a transcript's `prompt` that name a prompt or a resource of the server."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S")


NO_URI = "must be a URI with a scheme, such as file:///notes.txt"


def _check_uri(value: str) -> str:
    """Accept any URI with a scheme (RFC 3986): only the server knows which URIs exist.

    One that begins with a name, such as `{{uri}}`, is checked once the name has a value.
    """
    if not (_SCHEME.match(value) or begins_with_name(value)) or not value.isprintable():
        raise ValueError(NO_URI)
    return value


Uri = Annotated[str, AfterValidator(_check_uri)]


class ServerPrompt(Part):
    """A prompt of the server with its arguments, which are strings (MCP, "Prompts")."""

    name: str = Field(min_length=1)
    arguments: dict[str, str] = Field(default_factory=dict)


def from_server(prompt: ServerPrompt | None, resources: Sequence[str]) -> Iterator[JsonObject]:
    """Yield a block for each resource, then for the prompt: the order in which they precede the user messages."""
    yield from ({"type": "resource", "uri": uri} for uri in resources)
    if prompt:
        yield {"type": "server_prompt", "name": prompt.name, "arguments": prompt.arguments}
