"""The server of `asking.py`, built on the SDK.

With an argument, it serves Streamable HTTP on a free port that it prints on stdout.
"""

import asyncio
import socket
import sys
import warnings
from collections import Counter
from typing import Annotated

import mcp_types as types
import uvicorn
from mcp.server import MCPServer
from mcp.server.elicitation import AcceptedElicitation, CancelledElicitation, DeclinedElicitation
from mcp.server.mcpserver import Context, Elicit, ListRoots, Resolve, Sample
from pydantic import BaseModel, Field

warnings.simplefilter("ignore")  # logging is deprecated but still in use

server = MCPServer("asking", version="1.0.0")


class Guest(BaseModel):
    """One field has a default, the other has none."""

    name: str
    nights: int = Field(default=1, ge=1)


class Wishes(BaseModel):
    """All fields have defaults."""

    breakfast: bool = True
    floor: int = 2


Booked = AcceptedElicitation[Guest] | DeclinedElicitation | CancelledElicitation


def describe(booked: Booked) -> str:
    if isinstance(booked, AcceptedElicitation):
        return f"{booked.data.name}, {booked.data.nights} nights"
    return f"nobody: {booked.action}"


async def guest(room: str) -> Elicit[Guest]:
    return Elicit(f"Who sleeps in {room}?", Guest)


@server.tool()
async def book(room: str, guest: Annotated[Booked, Resolve(guest)]) -> str:
    """Book a room for whoever the user names."""
    return describe(guest)


@server.tool()
async def book_two(room: str, guest: Annotated[Booked, Resolve(guest)], ctx: Context) -> str:
    """Book a room, and the one beside it; in the old way alone, since the new one asks by its resolvers."""
    return f"{describe(guest)}; {describe(await ctx.elicit('Who sleeps beside?', Guest))}"


async def wishes() -> Elicit[Wishes]:
    return Elicit("Any wishes?", Wishes)


@server.tool()
async def wish(wishes: Annotated[Wishes, Resolve(wishes)]) -> str:
    """Ask for wishes, all of which have defaults."""
    return f"breakfast: {wishes.breakfast}, floor: {wishes.floor}"


@server.tool()
async def pay(ctx: Context) -> str | types.InputRequiredResult:
    """Send the user to a URL."""
    message, url = "Please pay.", "https://pay.example/\x1b[2J?bill=1"
    if ctx.protocol_version != "2026-07-28":
        return (await ctx.elicit_url(message, url, "bill-1")).action
    if ctx.input_responses is None:
        request = types.ElicitRequest(params=types.ElicitRequestURLParams(message=message, url=url))
        return types.InputRequiredResult(input_requests={"pay": request}, request_state="asked")
    (answer,) = ctx.input_responses.values()
    return answer.action if isinstance(answer, types.ElicitResult) else "?"


@server.tool()
async def nag(ctx: Context) -> str | types.InputRequiredResult:
    """Ask again and again, whatever the answer is; in the new way alone."""
    request = types.ElicitRequest(params=types.ElicitRequestURLParams(message="Again!", url="https://a.example"))
    return types.InputRequiredResult(input_requests={"again": request}, request_state="again")


async def later(ctx: Context) -> str | types.InputRequiredResult:
    """Ask for nothing but another try, three times; in the new way alone."""
    tries = int(ctx.request_state or 0)
    return f"after {tries} tries" if tries == 3 else types.InputRequiredResult(request_state=str(tries + 1))


server.add_tool(later)


async def thought(question: str) -> Sample:
    message = types.SamplingMessage(role="user", content=types.TextContent(type="text", text=question))
    return Sample([message], max_tokens=50, system_prompt="Be short.")


@server.tool()
async def ponder(question: str, thought: Annotated[types.CreateMessageResult, Resolve(thought)]) -> str:
    """Ask the model."""
    assert isinstance(thought.content, types.TextContent)
    return f"{thought.model}: {thought.content.text} ({thought.stop_reason})"


async def places() -> ListRoots:
    return ListRoots()


@server.tool()
async def where(places: Annotated[types.ListRootsResult, Resolve(places)]) -> str:
    """Ask for the roots."""
    return ", ".join(f"{root.name} {root.uri}" for root in places.roots)


@server.tool()
async def count(to: int, ctx: Context) -> str:
    """Tell of progress, and write to the log."""
    for number in range(1, to + 1):
        await ctx.report_progress(number, to, f"step {number}")
    await ctx.warning({"counted": to}, logger_name="counter")
    await ctx.debug("done")
    return str(to)


@server.tool()
async def grow(name: str, ctx: Context) -> str:
    """Add a tool, and tell everybody."""
    server.add_tool(lambda: "grown", name=name, description="Grown.")
    if ctx.protocol_version == "2026-07-28":
        await ctx.notify_tools_changed()
    else:
        await ctx.session.send_tool_list_changed()
    return name


@server.tool()
async def stall() -> str:
    """Never answer; tell on stderr when nobody wants an answer any more."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        print("stall was cancelled", file=sys.stderr, flush=True)
        raise
    return "never"


_MET: Counter[str] = Counter()
_MEETING = asyncio.Event()


async def met(name: str) -> Elicit[Guest]:
    """Wait until calls with two different names have arrived, then send the form."""
    _MET[name] += 1
    if len(_MET) > 1:
        _MEETING.set()
    await _MEETING.wait()
    return Elicit("Who is there?", Guest)


@server.tool()
async def meet(name: str, guest: Annotated[Booked, Resolve(met)]) -> str:
    """Wait until two calls with different names are there, and ask for both at the same time."""
    return f"{name}: {describe(guest)}"


@server.tool()
async def drop_in(name: str, ctx: Context) -> str:
    """Do the same in the old way, by a request that names no call."""
    await met(name)
    answer = await ctx.session.elicit_form("Who is there?", Guest.model_json_schema())
    return f"{name}: {(answer.content or {}).get('name', answer.action)}"


async def main() -> None:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()  # before printing the port, so that early connections are queued
    print(listener.getsockname()[1], flush=True)
    app = server.streamable_http_app()
    await uvicorn.Server(uvicorn.Config(app, log_level="warning")).serve(sockets=[listener])


if len(sys.argv) > 1:
    asyncio.run(main())
else:
    server.run()
