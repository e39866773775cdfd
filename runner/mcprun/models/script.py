"""The model `script`, which returns the turns written in the query: no key, no network, always the same."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from mcprun._util.json_text import index_of
from mcprun._util.json_value import JsonObject
from mcprun.errors import ErrorKind, QueryError
from mcprun.evaluation.evaluator import evaluated, search
from mcprun.models.base import ModelReply, ModelRequest
from mcprun.runs.transcript import Call
from mcprun.tools.results import result_text


class ScriptModel:
    """A model that returns the query's own `script`, one turn per request, and empty turns after its end."""

    name = "script"

    async def reply(self, request: ModelRequest) -> ModelReply:
        """Return the script's next turn.

        Raises `QueryError`: `script_error` for a `$from` that can't be resolved, `match_timeout` for a slow `match`.
        """
        script = request.query.script or []
        if request.turn >= len(script):
            return ModelReply(content=[], stop_reason="end_turn", model=self.name)
        turn = script[request.turn]
        content: list[JsonObject] = [{"type": "text", "text": turn.text}] if turn.text.strip() else []
        for number, call in enumerate(turn.calls, len(request.calls)):
            try:
                arguments = await evaluated(partial(resolve, call.input, request.calls))
            except LookupError as error:
                message = f"script, turn {request.turn}, call of {call.tool}: {error.args[0]}"
                raise QueryError(ErrorKind.SCRIPT_ERROR, message) from None
            tool, arguments = request.tools.to_api(call.tool, arguments)
            content.append({"type": "tool_use", "id": f"call_{number}", "name": tool, "input": arguments})
        stop_reason = "tool_use" if turn.calls else "end_turn"
        return request.stream_whole(ModelReply(content=content, stop_reason=stop_reason, model=self.name))


def resolve(value: Any, calls: Sequence[Call]) -> Any:
    """Replace every `{"$from": N, "path": …, "match": …}` in a JSON value by that part of an earlier result.

    `path` is a JSON Pointer (RFC 6901) into call N's MCP result; without it, use the result's text. `match` is a
    regular expression on that text: use its first group, or else the whole match. Raises `LookupError`,
    `EvaluationError`.
    """
    if isinstance(value, list):
        return [resolve(item, calls) for item in value]
    if not isinstance(value, dict):
        return value
    if "$from" in value:
        return _resolve_reference(value, calls[value["$from"]])
    return {key: resolve(item, calls) for key, item in value.items()}


def _resolve_reference(reference: JsonObject, call: Call) -> Any:
    where = f"$from {reference['$from']}"
    if "path" in reference:
        result = {"content": call.content, "structuredContent": call.structured, "isError": call.is_error}
        found = resolve_pointer(result, reference["path"], f"{where} {reference['path']}")
    else:
        found = result_text(call.content)
    if "match" not in reference:
        return found
    if not isinstance(found, str):
        raise LookupError(f"{where}: match needs text, not {type(found).__name__}")
    match = search(reference["match"], found)
    if match is None:
        raise LookupError(f"{where}: {reference['match']!r} does not match the result's text")
    return match[1]


def resolve_pointer(value: Any, pointer: str, where: str) -> Any:
    """Return the value at a JSON Pointer (RFC 6901). Raises `LookupError`, whose message begins with `where`."""
    for token in pointer.split("/")[1:]:
        step = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and (index := index_of(step, value)) is not None:
            value = value[index]
        else:
            raise LookupError(f"{where}: there is no {step!r} in {_shape(value)}")
    return value


def _shape(value: Any) -> str:
    """Describe a JSON value by its keys, length or type, without its values."""
    if isinstance(value, dict):
        return f"an object with {', '.join(map(repr, value)) or 'no keys'}"
    return f"a list of length {len(value)}" if isinstance(value, list) else "a value that is neither object nor list"
