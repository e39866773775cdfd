"""Write large runs with a trace: `python -m tests.support.large_runs FOLDER [QUERIES]`.

One query in seventeen did not pass, for one of five causes. Twelve workers share two servers, one of which is
restarted twice.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mcprun.runs.run_record import ServerRecord
from mcprun.runs.transcript import Call, Transcript, Turn, Usage
from tests.support.runs import JsonObject, broken, call, event, failed, transcript, write_run

WORKERS = 12

_TURN_MS, _CALL_MS, _BETWEEN_MS = 900, 40, 3
"""Milliseconds of a model request, of the shortest call, and of what mcprun itself needs in between."""

_USAGE = Usage(input_tokens=1400, output_tokens=90, cache_read_input_tokens=900)

_ANSWER = "The words of a usual answer. " * 22

TOOLS: list[JsonObject] = [
    {
        "name": name,
        "description": f"Return the {name} of an order. {_ANSWER}",
        "inputSchema": {"type": "object", "properties": {"order": {"type": "integer"}}, "required": ["order"]},
    }
    for name in ("get_order", "refund", "stock", "never_called")
]


def large_transcripts(queries: int) -> Iterator[Transcript]:
    """Yield transcripts of two calls and two turns each, in file order."""
    for at in range(queries):
        yield _transcript(at)


def large_trace(queries: int) -> Iterator[JsonObject]:
    """Yield the events of `large_transcripts` in order of time: each worker runs every twelfth query."""
    yield event("run_start", 0, queries=queries, done=0, model="claude-sonnet-5-5", chosen="a test")
    length = 2 * _TURN_MS + 8 * _CALL_MS + 4 * _BETWEEN_MS
    for first in range(0, queries, WORKERS):
        begin = first // WORKERS * length
        if first // WORKERS in (3, 50):
            yield event("server_restart", begin, wait=0.5, left=1)
        events = [
            one
            for worker, at in enumerate(range(first, min(first + WORKERS, queries)))
            for one in _events(_transcript(at), at, begin, worker)
        ]
        yield from sorted(events, key=lambda one: str(one["at"]))


def write_large_run(path: Path, queries: int) -> Path:
    """Write a run of this many queries, and return its directory."""
    server = ServerRecord(name="shop", version="1.0", protocol="2026-07-28", tools=TOOLS)
    model = {"kind": "claude", "name": "claude-sonnet-5-5", "chosen": "a test"}
    return write_run(path, large_transcripts(queries), large_trace(queries), server=server, model=model)


def _transcript(at: int) -> Transcript:
    calls_made = [
        call("get_order", f'{{"order": {at}, "state": "shipped", "total": {at % 90}.5}}', input={"order": at}),
        call("stock", f"{at % 40} left of item {at}", input={"order": at, "item": f"item {at}"}),
    ]
    more: dict[str, Any] = {
        "text": f"Order {at} was shipped. {_ANSWER}",
        "prompt": f"Where is order {at}, and is there another?",
        "model": "claude-sonnet-5-5",
        "turns": [Turn(stop_reason="tool_use", usage=_USAGE), Turn(stop_reason="end_turn", usage=_USAGE)],
        "usage": _USAGE + _USAGE,
    }
    name = f"order-{at:05}"
    if at % 17 != 16:
        return transcript(name, *calls_made, **more)
    limit = f"limit exceeded (order {at}, {at % 90}.50 EUR)"
    refused = call("refund", limit, input={"order": at}, is_error=True)
    slow = call("refund", "No answer from refund within 1 s.", input={"order": at}, is_error=True, problem="timeout")
    match at // 17 % 5:
        case 0 | 1:
            return failed(name, f"call 1, refund, returned an error: {limit}", calls_made[0], refused, **more)
        case 2:
            return failed(name, f"timed out after 1 s in call 1, refund of order {at}", calls_made[0], slow, **more)
        case 3:
            return failed(name, f"text.contains: 'order {at} was refunded' was expected", *calls_made, **more)
    return broken(name, "server_died", "the server exited with code 3", *calls_made, **more)


def _events(one: Transcript, at: int, begin: int, worker: int) -> Iterator[JsonObject]:
    where = {"query": one.id, "repeat": 1}
    called = begin + _TURN_MS + _BETWEEN_MS
    longest = _CALL_MS * (1 + at % 7)
    yield event("model_call", begin + _TURN_MS, **where, turn=0, seconds=_TURN_MS / 1000, **_reply(one, "tool_use"))
    for number, made in enumerate(one.calls):
        yield event(
            "tool_call", called + longest, **where, turn=0, seconds=longest / 1000, call=number, server=1, log_offset=0,
            **_made(made),
        )  # fmt: skip
    answered = called + longest + _BETWEEN_MS + _TURN_MS
    yield event("model_call", answered, **where, turn=1, seconds=_TURN_MS / 1000, **_reply(one, "end_turn"))
    seconds = (answered - begin) / 1000
    error = {"error": f"{one.error.kind}: {one.error.message}"} if one.error else {}
    yield event("attempt_end", answered, **where, seconds=seconds, waited=0.0, stop=one.stop, **error)
    yield event("query_end", answered, **where, seconds=seconds, verdict=one.verdict, worker=worker)


def _reply(one: Transcript, stop_reason: str) -> JsonObject:
    return {"model": one.model, "stop_reason": stop_reason, "usage": _USAGE.line()}


def _made(made: Call) -> JsonObject:
    problem = {"problem": made.problem} if made.problem else {}
    return {"tool": made.tool, "input": made.input, "is_error": made.is_error, **problem}


if __name__ == "__main__":
    print(write_large_run(Path(sys.argv[1]), int(sys.argv[2]) if sys.argv[2:] else 10_000))
