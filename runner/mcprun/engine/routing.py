"""Ask the model for its first turn only, and grade the calls that it asks for. No call is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import ValidationError

from mcprun._util.json_value import JsonObject
from mcprun.client.session import ServerSession
from mcprun.engine.conversation import Attempt
from mcprun.engine.tool_loop import ToolLoop
from mcprun.errors import ErrorKind, QueryError
from mcprun.prompts.bindings import Bindings
from mcprun.prompts.names import UNIQUE, Mode, unique_text, with_values
from mcprun.prompts.query import Query
from mcprun.runs.transcript import RoutedCall
from mcprun.tools.decoys import renamed_decoys, with_decoys


@dataclass(frozen=True, slots=True)
class Router:
    """Asks a model for the first turn of queries. `decoys` are other servers' tools, in wire form."""

    loop: ToolLoop
    decoys: Sequence[JsonObject] = ()

    async def ask(self, attempt: Attempt, server: ServerSession) -> Attempt:
        """Ask the model once, and store the calls that it asks for in the conversation. Return the attempt asked about.

        Only the first of several user messages is sent. Raises `QueryError` and `RunError` as `ToolLoop.converse` does.
        """
        attempt = replace(attempt, query=_bound(attempt))
        attempt.conversation.vars = {
            name: value for name, value in attempt.query.bindings.names.items() if name != UNIQUE
        }
        tools = self.loop.tools_for(attempt.query, server)
        decoys = renamed_decoys(self.decoys, tools)
        offered = with_decoys(tools, decoys) if decoys else tools
        names = {tool["name"] for tool in decoys}
        content = await self.loop.ask_once(attempt, server, offered)
        uses = (block for block in content if block.get("type") == "tool_use")
        requested = (offered.from_api(use["name"], use.get("input") or {}) for use in uses)
        attempt.conversation.routed = [
            RoutedCall(tool=tool, input=arguments, decoy=tool in names) for tool, arguments in requested
        ]
        return attempt


def _bound(attempt: Attempt) -> Query:
    """Return the query with its names replaced. None of them depends on a step (`ungraded_reason`)."""
    query, where = attempt.query, attempt.where
    if not query.has_names:
        return query
    unique = {UNIQUE: unique_text(where.query, where.repeat)}
    names = {**unique, **{name: with_values(value, Mode.VALUE, unique) for name, value in query.vars.items()}}
    try:
        return query.bind(Bindings(names), names)
    except ValidationError as error:
        message = error.errors(include_url=False)[0]["msg"]
        raise QueryError(ErrorKind.SETUP, f"the query can't be asked with these values: {message}") from None
