"""The model `script`, which returns the turns written in the query: no key, no network, always the same."""

from __future__ import annotations

from functools import partial

from mcprun._util.json_value import JsonObject
from mcprun.errors import ErrorKind, QueryError
from mcprun.evaluation.evaluator import evaluated
from mcprun.models.base import ModelReply, ModelRequest
from mcprun.models.references import UnresolvedReferenceError, holds_reference, resolve
from mcprun.prompts.names import Mode, with_values
from mcprun.tools.format import ValueFormatter


class ScriptModel:
    """A model that returns the query's own `script`, one turn per request, and empty turns after its end."""

    name = "script"

    def __init__(self, formatter: ValueFormatter | None = None) -> None:
        """Create the model. `formatter` formats values in messages, and redacts secrets in them."""
        self._formatter = formatter

    async def reply(self, request: ModelRequest) -> ModelReply:
        """Return the script's next turn.

        Raises `QueryError`: `script_error` for a `$from` that can't be resolved, `match_timeout` for a slow `match`.
        """
        query = request.query
        script, names = query.script or [], query.bindings.names
        if request.turn >= len(script):
            return ModelReply(content=[], stop_reason="end_turn", model=self.name)
        turn = script[request.turn]
        text = with_values(turn.text, Mode.TEXT, names) if names else turn.text
        content: list[JsonObject] = [{"type": "text", "text": text}] if text.strip() else []
        for number, call in enumerate(turn.calls, len(request.calls)):
            arguments = call.input
            try:
                if names or holds_reference(arguments):
                    bindings = query.bindings.with_calls(request.calls, query.call_ids)
                    arguments = await evaluated(partial(resolve, call.input, bindings, self._formatter))
            except UnresolvedReferenceError as error:
                message = f"script, turn {request.turn}, call of {call.tool}: {error}"
                raise QueryError(ErrorKind.SCRIPT_ERROR, message) from None
            tool, arguments = request.tools.to_api(call.tool, arguments)
            content.append({"type": "tool_use", "id": f"call_{number}", "name": tool, "input": arguments})
        stop_reason = "tool_use" if turn.calls else "end_turn"
        return request.stream_whole(ModelReply(content=content, stop_reason=stop_reason, model=self.name))
