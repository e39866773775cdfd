"""Encode a message of the Messages API as a stream of server-sent events.

The order is the API's: `message_start`; for each block `content_block_start`, its deltas and `content_block_stop`;
`message_delta`; and `message_stop`. A `ping` follows the start of the first block.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Body = dict[str, Any]

_PIECE = 7
"""Characters of text per delta."""

_TEXT_DELTAS = {"thinking": ("thinking", "thinking_delta"), "text": ("text", "text_delta")}


@dataclass(frozen=True)
class Streamed:
    """An answer with its streaming behaviour. After `after` deltas, `wait` is called once.

    The rest of the stream follows, unless `error` is the type of an error to send instead, or `breaks` closes the
    connection.
    """

    message: Body
    after: int = 0
    wait: Callable[[], Any] | None = None
    error: str | None = None
    breaks: bool = False


def events(message: Body) -> Iterator[Body]:
    """Yield the events of a complete message."""
    usage = message["usage"]
    start = {**message, "content": [], "stop_reason": None, "stop_sequence": None}
    yield {"type": "message_start", "message": {**start, "usage": {**usage, "output_tokens": 1}}}
    for index, block in enumerate(message["content"]):
        initial, deltas = _split(block)
        yield {"type": "content_block_start", "index": index, "content_block": initial}
        if not index:
            yield {"type": "ping"}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    delta = {"stop_reason": message["stop_reason"], "stop_sequence": message["stop_sequence"]}
    yield {"type": "message_delta", "delta": delta, "usage": {"output_tokens": usage["output_tokens"]}}
    yield {"type": "message_stop"}


def wire(event: Body) -> bytes:
    """Encode an event as a server-sent event."""
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def chunks(answer: Streamed) -> Iterator[bytes]:
    """Yield the encoded events of an answer, up to its error or break."""
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


def _split(block: Body) -> tuple[Body, list[Body]]:
    """Split a block into its initial value and its deltas."""
    kind = block["type"]
    if kind in ("tool_use", "server_tool_use"):
        text = json.dumps(block["input"]) if block["input"] else ""
        pieces = ["", *_pieces(text)]  # the API sends an empty delta first
        return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    if kind not in _TEXT_DELTAS:
        return block, []
    key, delta = _TEXT_DELTAS[kind]
    deltas: list[Body] = [{"type": delta, key: piece} for piece in _pieces(block[key])]
    initial = {**block, key: ""}
    if "signature" in block:
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
        initial["signature"] = ""
    if block.get("citations"):
        deltas = [{"type": "citations_delta", "citation": one} for one in block["citations"]] + deltas
        initial["citations"] = []
    return initial, deltas


def _pieces(text: str) -> list[str]:
    return [text[at : at + _PIECE] for at in range(0, len(text), _PIECE)]
