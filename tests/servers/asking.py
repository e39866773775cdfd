"""A server that sends elicitation, sampling and roots requests, progress, logs and tool list changes, in both eras.

It has the same tools as `asking_sdk.py` and starts faster.
"""

import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.servers.stdlib_server import Ask, Context, JsonObject, ProtocolError, RetryError, StdlibServer, ToolError

Asking = Generator[Ask | None, JsonObject, str]

server = StdlibServer("asking", version="1.0.0")

GUEST: JsonObject = {
    "type": "object",
    "properties": {
        "name": {"title": "Name", "type": "string"},
        "nights": {"default": 1, "minimum": 1, "title": "Nights", "type": "integer"},
    },
    "required": ["name"],
}
WISHES: JsonObject = {
    "type": "object",
    "properties": {
        "breakfast": {"default": True, "title": "Breakfast", "type": "boolean"},
        "floor": {"default": 2, "title": "Floor", "type": "integer"},
    },
}
TITLES = {
    "Guest": {"title": "Guest", "description": "One field has a default, the other has none."},
    "Wishes": {"title": "Wishes", "description": "All fields have defaults."},
}


def form(key: str, message: str, schema: JsonObject, name: str) -> Ask:
    """Return a form request. Only in the legacy era does the SDK add the title and description of the form's class."""
    params = {"mode": "form", "message": message, "requestedSchema": schema}
    return Ask(f"__main__:{key}", "elicitation/create", params, requestedSchema={**schema, **TITLES[name]})


def required(ctx: Context, resolver: str, capability: str, words: str = "", **part: Any) -> None:
    """Raise `ProtocolError` if the client lacks a capability."""
    if capability not in ctx.capabilities:
        message = (
            f"Client did not declare the {words or capability} capability required by resolver '__main__:{resolver}'"
        )
        raise ProtocolError(-32021, message, requiredCapabilities={capability: part})


def describe(answer: JsonObject) -> str:
    if answer["action"] == "accept":
        return f"{answer['content']['name']}, {answer['content'].get('nights', 1)} nights"
    return f"nobody: {answer['action']}"


def guest(ctx: Context, message: str, key: str = "guest") -> Asking:
    required(ctx, key, "elicitation", "form elicitation", form={})
    return describe((yield form(key, message, GUEST, "Guest")))


@server.tool()
def book(room: str, ctx: Context) -> Asking:
    """Book a room for whoever the user names."""
    return (yield from guest(ctx, f"Who sleeps in {room}?"))


@server.tool()
def book_two(room: str, ctx: Context) -> Asking:
    """Book a room, and the one beside it; in the old way alone, since the new one asks by its resolvers."""
    first = yield from guest(ctx, f"Who sleeps in {room}?")
    return f"{first}; {(yield from guest(ctx, 'Who sleeps beside?', 'beside'))}"


@server.tool()
def wish(ctx: Context) -> Asking:
    """Ask for wishes, all of which have defaults."""
    required(ctx, "wishes", "elicitation", "form elicitation", form={})
    answer = yield form("wishes", "Any wishes?", WISHES, "Wishes")
    if answer["action"] != "accept":
        raise ToolError(f"Resolver for parameter 'wishes' could not resolve: elicitation was {answer['action']}")
    content = {"breakfast": True, "floor": 2, **answer["content"]}
    return f"breakfast: {content['breakfast']}, floor: {content['floor']}"


@server.tool()
def pay() -> Asking:
    """Send the user to a URL."""
    url = {"mode": "url", "message": "Please pay.", "url": "https://pay.example/\x1b[2J?bill=1"}
    answer = yield Ask("pay", "elicitation/create", url, elicitationId="bill-1")
    return str(answer["action"])


@server.tool()
def nag(ctx: Context) -> Asking:
    """Ask again and again, whatever the answer is; in the new way alone."""
    ctx.answers.clear()
    yield Ask("again", "elicitation/create", {"mode": "url", "message": "Again!", "url": "https://a.example"})
    return "never"


@server.tool()
def later(ctx: Context) -> str:
    """Ask for nothing but another try, three times; in the new way alone."""
    if not ctx.is_modern:
        raise ProtocolError(-32603, "Handler returned an invalid result")
    tries = int(ctx.state or 0)
    if tries < 3:
        raise RetryError(tries + 1)
    return f"after {tries} tries"


@server.tool()
def ponder(question: str, ctx: Context) -> Asking:
    """Ask the model."""
    required(ctx, "thought", "sampling")
    asked = {"messages": [{"role": "user", "content": {"type": "text", "text": question}}], "maxTokens": 50}
    answer = yield Ask("__main__:thought", "sampling/createMessage", {**asked, "systemPrompt": "Be short."})
    return f"{answer['model']}: {answer['content']['text']} ({answer['stopReason']})"


@server.tool()
def where(ctx: Context) -> Asking:
    """Ask for the roots."""
    required(ctx, "places", "roots")
    answer = yield Ask("__main__:places", "roots/list")
    return ", ".join(f"{root['name']} {root['uri']}" for root in answer["roots"])


@server.tool()
def count(to: int, ctx: Context) -> str:
    """Tell of progress, and write to the log."""
    for number in range(1, to + 1):
        ctx.progress(number, to, f"step {number}")
    ctx.log("warning", {"counted": to}, logger="counter")
    ctx.log("debug", "done")
    return str(to)


@server.tool()
def grow(name: str, ctx: Context) -> str:
    """Add a tool, and tell everybody."""
    server.add_tool(lambda: "grown", name=name, description="Grown.")
    ctx.tools_changed()
    return name


@server.tool()
def stall() -> Asking:
    """Never answer; tell on stderr when nobody wants an answer any more."""
    try:
        while True:
            yield None
    except GeneratorExit:
        print("stall was cancelled", file=sys.stderr, flush=True)
        raise


MET: set[str] = set()


def met(name: str) -> Generator[Ask | None, JsonObject, None]:
    """Wait until calls with two different names have arrived."""
    MET.add(name)
    while len(MET) < 2:
        yield None


@server.tool()
def meet(name: str, ctx: Context) -> Asking:
    """Wait until two calls with different names are there, and ask for both at the same time."""
    yield from met(name)
    return f"{name}: {(yield from guest(ctx, 'Who is there?', 'met'))}"


@server.tool()
def drop_in(name: str) -> Asking:
    """Do the same in the old way, by a request that names no call."""
    yield from met(name)
    answer = yield form("met", "Who is there?", GUEST, "Guest")
    return f"{name}: {(answer.get('content') or {}).get('name', answer['action'])}"


if __name__ == "__main__":
    server.run()
