"""A message of the Messages API as a stream of events, in the form that goes over the wire (server-sent events).

The order is the API's own: `message_start`, then for each block `content_block_start`, its deltas and
`content_block_stop`, with a `ping` between, then `message_delta` and `message_stop`.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Body = dict[str, Any]

_PIECE = 7
"""Characters of a text that come with one delta."""

_SIGNED = {"thinking": ("thinking", "thinking_delta"), "text": ("text", "text_delta")}


@dataclass(frozen=True)
class Streamed:
    """An answer that is only streamed, and how: after so many deltas (`after`) `wait` is called, once.

    Then the rest comes; or in its place an `error` of this type, or the connection is closed when `breaks`.
    """

    message: Body
    after: int = 0
    wait: Callable[[], Any] | None = None
    error: str | None = None
    breaks: bool = False


def events(message: Body) -> Iterator[Body]:
    """Take a whole message apart into events."""
    usage = message["usage"]
    start = {**message, "content": [], "stop_reason": None, "stop_sequence": None}
    yield {"type": "message_start", "message": {**start, "usage": {**usage, "output_tokens": 1}}}
    for index, block in enumerate(message["content"]):
        begun, deltas = _apart(block)
        yield {"type": "content_block_start", "index": index, "content_block": begun}
        if not index:
            yield {"type": "ping"}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    delta = {"stop_reason": message["stop_reason"], "stop_sequence": message["stop_sequence"]}
    yield {"type": "message_delta", "delta": delta, "usage": {"output_tokens": usage["output_tokens"]}}
    yield {"type": "message_stop"}


def wire(event: Body) -> bytes:
    """An event as it is sent."""
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def chunks(answer: Streamed) -> Iterator[bytes]:
    """The stream of an answer, event by event, and what is to become of it on the way."""
    deltas = 0
    for event in events(answer.message):
        is_delta = event["type"] == "content_block_delta"
        if is_delta and deltas == answer.after:
            if answer.wait:
                answer.wait()
            if answer.error:
                yield wire({"type": "error", "error": {"type": answer.error, "message": "in mid-stream"}})
            if answer.error or answer.breaks:
                return
        deltas += is_delta
        yield wire(event)


def _apart(block: Body) -> tuple[Body, list[Body]]:
    """A block as it begins, and the deltas that make it whole."""
    kind = block["type"]
    if kind in ("tool_use", "server_tool_use"):
        text = json.dumps(block["input"]) if block["input"] else ""
        pieces = ["", *_pieces(text)]  # the API begins with an empty one
        return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    if kind not in _SIGNED:
        return block, []
    key, delta = _SIGNED[kind]
    deltas: list[Body] = [{"type": delta, key: piece} for piece in _pieces(block[key])]
    begun = {**block, key: ""}
    if "signature" in block:
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
        begun["signature"] = ""
    if block.get("citations"):
        deltas = [{"type": "citations_delta", "citation": one} for one in block["citations"]] + deltas
        begun["citations"] = []
    return begun, deltas


def _pieces(text: str) -> list[str]:
    return [text[at : at + _PIECE] for at in range(0, len(text), _PIECE)]
