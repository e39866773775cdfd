"""Assemble a streamed reply of the Messages API into the message that a request without streaming returns. Pure.

The events are those of https://docs.claude.com/en/api/messages-streaming. Blocks and fields of unknown types are kept
as they are: blocks must go back to the API untouched, signatures of thinking included.
"""

from __future__ import annotations

from typing import Any

from mcprun._util.json_value import JsonObject
from mcprun._util.long_integers import loads

_JOINED = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}
"""Deltas that append to a text of their block, and the key of that text."""


class MessageAccumulator:
    """Accumulates the events of one reply in order.

    `body` is the message so far. `is_whole` is set after `message_stop`. An `error` event becomes the body, which is
    then the same as the body of an error response.
    """

    def __init__(self) -> None:
        self.body: JsonObject = {}
        self.is_whole = False
        self._inputs: dict[int, str] = {}

    def take(self, event: Any) -> str:
        """Process the data of one event, and return the text that it adds. Raises `ValueError` if it is malformed."""
        try:
            return self._take(event)
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise ValueError(f"malformed stream event: {error!r}") from None

    def _take(self, event: JsonObject) -> str:
        match event["type"]:
            case "message_start":
                self.body = {**event["message"], "content": []}
            case "content_block_start":
                self._blocks.append(dict(event["content_block"]))
                return str(event["content_block"].get("text", ""))
            case "content_block_delta":
                return self._delta(event["index"], event["delta"])
            case "content_block_stop":
                if text := self._inputs.pop(event["index"], ""):
                    self._blocks[event["index"]]["input"] = loads(text)
            case "message_delta":
                counted = {key: value for key, value in (event.get("usage") or {}).items() if value is not None}
                usage = {**(self.body.get("usage") or {}), **counted}  # counts are cumulative
                self.body |= {**event["delta"], "usage": usage}
            case "message_stop":
                self.is_whole = True
            case "error":
                self.body, self.is_whole = event, True
        return ""

    @property
    def _blocks(self) -> list[JsonObject]:
        blocks: list[JsonObject] = self.body["content"]
        return blocks

    def _delta(self, index: int, delta: JsonObject) -> str:
        block, kind = self._blocks[index], delta["type"]
        if key := _JOINED.get(kind):
            block[key] = block.get(key, "") + delta[key]
            return str(delta["text"]) if kind == "text_delta" else ""
        match kind:
            case "input_json_delta":
                self._inputs[index] = self._inputs.get(index, "") + delta["partial_json"]
            case "citations_delta":
                block["citations"] = [*(block.get("citations") or []), delta["citation"]]
            case _:  # an incomplete block could not go back to the API
                raise ValueError(f"unknown delta type: {kind}")
        return ""
