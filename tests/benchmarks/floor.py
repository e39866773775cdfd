"""A bare loop over the SDKs: the same requests and calls at the same concurrency, and nothing else.

`python -m tests.benchmarks.floor talk URL QUERIES CONCURRENCY` holds conversations with a Messages API and calls tools.
`python -m tests.benchmarks.floor call CALLS CONCURRENCY [SERVER]` only calls tools of a server written in Python.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from mcp import Client, StdioServerParameters

from tests.benchmarks import SERVER


async def talk(url: str, queries: int, concurrency: int) -> None:
    """Run `queries` conversations, and execute the tool calls in them."""
    from anthropic import AsyncAnthropic

    async with AsyncAnthropic(api_key="none", base_url=url, max_retries=0) as api, _client() as client:
        tools: list[Any] = [
            {"name": tool.name, "description": tool.description, "input_schema": tool.input_schema}
            for tool in (await client.list_tools()).tools
        ]

        async def converse(number: int) -> None:
            messages: list[Any] = [{"role": "user", "content": f"What is {number} + 3?"}]
            while True:
                reply = await api.messages.create(
                    model="claude-sonnet-5-5",
                    max_tokens=16_000,
                    messages=messages,
                    tools=tools,
                    cache_control={"type": "ephemeral"},
                )
                messages.append({"role": "assistant", "content": reply.content})
                uses = [block for block in reply.content if block.type == "tool_use"]
                if not uses:
                    return
                results = await asyncio.gather(*(client.call_tool(use.name, use.input) for use in uses))
                lines = [
                    {
                        "type": "tool_result",
                        "tool_use_id": use.id,
                        "content": [{"type": "text", "text": one.text} for one in result.content if one.type == "text"],
                    }
                    for use, result in zip(uses, results, strict=True)
                ]
                messages.append({"role": "user", "content": lines})

        await _each(queries, concurrency, converse)


async def call(calls: int, concurrency: int, server: str = str(SERVER)) -> None:
    """Make `calls` tool calls."""
    async with _client(server) as client:
        await client.list_tools()

        async def one(number: int) -> None:
            await client.call_tool("add", {"a": number, "b": 3})

        await _each(calls, concurrency, one)


async def _each(count: int, concurrency: int, work: Callable[[int], Awaitable[None]]) -> None:
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            await work(number)

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(worker())


def _client(server: str = str(SERVER)) -> Client:
    return Client(StdioServerParameters(command=sys.executable, args=[server]))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["talk", url, queries, concurrency]:
            asyncio.run(talk(url, int(queries), int(concurrency)))
        case ["call", calls, concurrency, *server]:
            asyncio.run(call(int(calls), int(concurrency), *server))
