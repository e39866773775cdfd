"""A server with prompts, resources and resource templates for queries: `library.py [WORD]`.

WORD (default: `quiet`) is part of its texts, so that two words are two versions of the server.
"""

import base64
import os
import sys
from collections.abc import Generator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.servers.stdlib_server import Ask, Context, JsonObject, StdlibServer, assistant, encoded, user

WORD = sys.argv[1] if len(sys.argv) > 1 else "quiet"
PNG = encoded(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
        "1f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
    )
)

server = StdlibServer("library", version="1.0.0")


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
def lesson() -> list[JsonObject]:
    """Ask as a teacher and a pupil do."""
    return [
        user("What is 2 + 2?"),
        assistant("4."),
        assistant("That was easy."),
        user("Now a harder one."),
        user("What is 7 * 8?"),
    ]


@server.prompt()
def illustrated() -> list[JsonObject]:
    """Show a picture, a text and a link."""
    text = {"uri": "library://rules", "mimeType": "text/plain", "text": "No talking."}
    return [
        user({"type": "image", "data": PNG, "mimeType": "image/png"}),
        user({"type": "resource", "resource": text}),
        user({"type": "resource_link", "uri": "library://map", "name": "map"}),
    ]


@server.prompt()
def monologue() -> list[JsonObject]:
    """Let only the assistant speak."""
    return [assistant("I begin.")]


@server.prompt()
def unfinished() -> list[JsonObject]:
    """Let the assistant have the last word."""
    return [user("Hello."), assistant("Hello, what would you like?")]


@server.prompt()
def painting() -> list[JsonObject]:
    """Let the assistant show a picture, which it can't."""
    return [user("Paint."), assistant({"type": "image", "data": PNG, "mimeType": "image/png"})]


@server.prompt()
def song() -> list[JsonObject]:
    """Give a sound, which the API does not take."""
    return [user({"type": "audio", "data": PNG, "mimeType": "audio/wav"})]


@server.prompt()
def silence() -> list[JsonObject]:
    """Say nothing."""
    return [user("")]


@server.prompt()
def ticket(ctx: Context) -> Generator[Ask, JsonObject, str]:
    """Ask the user to go to a URL first, in the way of either era."""
    url = {"mode": "url", "message": "Please pay.", "url": "https://pay.example/"}
    answer = yield Ask("pay", "elicitation/create", url, elicitationId="bill-1")
    return f"The ticket: {answer['action']}."


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
