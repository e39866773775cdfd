"""A server's stdin: whole messages in order, and no wait for a server that does not read."""

from __future__ import annotations

import asyncio
import json
import os
from asyncio.subprocess import PIPE
from pathlib import Path

from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCNotification

from mcprun.client.transports.pipes import StdinWriter
from tests.support.cli import SERVERS, run_mcprun, write_jsonl


async def test_messages_sent_before_closing_are_written() -> None:
    """Messages sent just before the stream is closed reach the server, each on its own line."""
    methods = [f"notifications/{number}" for number in range(3)]
    process = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
    assert process.stdin
    async with StdinWriter(process.stdin, lambda: None) as outgoing:
        for method in methods:
            await outgoing.send(SessionMessage(JSONRPCNotification(jsonrpc="2.0", method=method)))
    process.stdin.close()
    written, _ = await process.communicate()
    assert [json.loads(line)["method"] for line in written.splitlines()] == methods


async def test_write_to_a_closed_stdin_is_detected_at_once() -> None:
    """The first message after the server closed its stdin calls the callback."""
    loop, (reading, writing) = asyncio.get_running_loop(), os.pipe()
    pipe = os.fdopen(writing, "wb")
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, pipe)
    closed = asyncio.Event()
    outgoing = StdinWriter(asyncio.StreamWriter(transport, protocol, None, loop), closed.set)
    os.close(reading)
    await outgoing.send(SessionMessage(JSONRPCNotification(jsonrpc="2.0", method="notifications/0")))
    await asyncio.wait_for(closed.wait(), 10)


def test_server_that_closed_its_stdin_counts_as_dead(tmp_path: Path) -> None:
    """A call to a server that closed its stdin and keeps running fails at once instead of timing out."""
    turns = [{"calls": [{"tool": "ok"}]}, {"calls": [{"tool": "ok"}]}, {"text": "Done."}]
    write_jsonl(tmp_path / "p.jsonl", {"id": "a", "prompt": "Call twice.", "script": turns})
    server = (SERVERS / "raw.py", "--restarts", "0", "--call-timeout", "20", "--", "deaf")
    done = run_mcprun("batch", "p.jsonl", *server, cwd=tmp_path)
    first, second = (event for event in done.trace if event["event"] == "tool_call")
    assert not first["is_error"]
    assert second["problem"] == "server_died"
