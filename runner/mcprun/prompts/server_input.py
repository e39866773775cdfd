"""What a query takes from the server itself: one of its prompts, and resources, as the prompts file has them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import AfterValidator, Field

from mcprun._util.json_value import JsonObject
from mcprun.checks.expect import Part

FROM_SERVER = frozenset({"resource", "server_prompt"})
"""Types of the blocks by which a transcript's `prompt` tells what was taken from the server."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S")


def _check_uri(value: str) -> str:
    """Accept what has a scheme (RFC 3986); which URIs there are, only the server knows."""
    if not _SCHEME.match(value) or not value.isprintable():
        raise ValueError("must be a URI with a scheme, such as file:///notes.txt")
    return value


Uri = Annotated[str, AfterValidator(_check_uri)]


class ServerPrompt(Part):
    """A prompt of the server and its arguments, which are text (MCP, "Prompts")."""

    name: str = Field(min_length=1)
    arguments: dict[str, str] = Field(default_factory=dict)


def from_server(prompt: ServerPrompt | None, resources: Sequence[str]) -> Iterator[JsonObject]:
    """Name what is taken from the server, a block each, in the order in which it is put before what the user says."""
    yield from ({"type": "resource", "uri": uri} for uri in resources)
    if prompt:
        yield {"type": "server_prompt", "name": prompt.name, "arguments": prompt.arguments}
