"""A server with prompts, resources and templates of resources: what a query can take from it. `library.py [WORD]`.

WORD, which is `quiet` when it is not given, stands in what it gives: two words make two versions of the server.
"""

import base64
import os
import sys

import mcp_types as types
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.prompts.base import AssistantMessage, Message, UserMessage

WORD = sys.argv[1] if len(sys.argv) > 1 else "quiet"
PNG = base64.b64encode(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
        "1f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
    )
).decode()

server = MCPServer("library", version="1.0.0")


@server.tool()
def echo(text: str) -> str:
    """Say it again."""
    return text


@server.prompt()
def brief(topic: str, tone: str = "dry") -> str:
    """Ask for a short text.

    On any topic.
    """
    return f"Write briefly about {topic}, in a {tone} tone, in a {WORD} room."


@server.prompt()
def lesson() -> list[Message]:
    """Ask as a teacher and a pupil do."""
    return [
        UserMessage("What is 2 + 2?"),
        AssistantMessage("4."),
        AssistantMessage("That was easy."),
        UserMessage("Now a harder one."),
        UserMessage("What is 7 * 8?"),
    ]


@server.prompt()
def illustrated() -> list[Message]:
    """Show a picture, a text and a link."""
    text = types.TextResourceContents(uri="library://rules", mime_type="text/plain", text="No talking.")
    return [
        UserMessage(types.ImageContent(type="image", data=PNG, mime_type="image/png")),
        UserMessage(types.EmbeddedResource(type="resource", resource=text)),
        UserMessage(types.ResourceLink(type="resource_link", uri="library://map", name="map")),
    ]


@server.prompt()
def monologue() -> list[Message]:
    """Let only the assistant speak."""
    return [AssistantMessage("I begin.")]


@server.prompt()
def unfinished() -> list[Message]:
    """Let the assistant have the last word."""
    return [UserMessage("Hello."), AssistantMessage("Hello, what would you like?")]


@server.prompt()
def painting() -> list[Message]:
    """Let the assistant show a picture, which it can't."""
    return [UserMessage("Paint."), AssistantMessage(types.ImageContent(type="image", data=PNG, mime_type="image/png"))]


@server.prompt()
def song() -> list[Message]:
    """Give a sound, which the API does not take."""
    return [UserMessage(types.AudioContent(type="audio", data=PNG, mime_type="audio/wav"))]


@server.prompt()
def silence() -> list[Message]:
    """Say nothing."""
    return [UserMessage("")]


@server.prompt()
async def ticket(ctx: Context) -> str | types.InputRequiredResult:
    """Ask the user to go to a URL first, in the way of either era."""
    message, url = "Please pay.", "https://pay.example/"
    if ctx.protocol_version != "2026-07-28":
        return f"The ticket: {(await ctx.elicit_url(message, url, 'bill-1')).action}."
    if ctx.input_responses is None:
        request = types.ElicitRequest(params=types.ElicitRequestURLParams(message=message, url=url))
        return types.InputRequiredResult(input_requests={"pay": request}, request_state="asked")
    (answer,) = ctx.input_responses.values()
    return f"The ticket: {answer.action if isinstance(answer, types.ElicitResult) else '?'}."


@server.prompt()
def deadly() -> str:
    """Take the server down."""
    print("fatal: the roof fell in", file=sys.stderr, flush=True)
    os._exit(4)


@server.resource("library://rules", mime_type="text/plain")
def rules() -> str:
    """Give the rules of the house."""
    return f"Be {WORD}."


@server.resource("library://plan", mime_type="image/png")
def plan() -> bytes:
    """Give a picture."""
    return base64.b64decode(PNG)


@server.resource("library://paper", mime_type="application/pdf")
def paper() -> bytes:
    """Give a PDF."""
    return b"%PDF-1.4 demo"


@server.resource("library://archive", mime_type="application/zip")
def archive() -> bytes:
    """Give bytes that the API has no block for."""
    return b"PK\x03\x04"


@server.resource("library://books/{number}", mime_type="text/plain")
def book(number: str) -> str:
    """Give a book by its number."""
    return f"Book {number} is {WORD}."


if __name__ == "__main__":
    server.run()
