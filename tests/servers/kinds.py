"""A server whose tools return every type of MCP content, fail, or never respond."""

import sys
from collections.abc import Generator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.servers.stdlib_server import Ask, JsonObject, StdlibServer, encoded

PNG = encoded(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
        "1f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
    )
)

server = StdlibServer("kinds", version="2.0.0")


def resource(uri: str, mime_type: str, **body: str) -> list[JsonObject]:
    return [{"type": "resource", "resource": {"uri": uri, "mimeType": mime_type, **body}}]


@server.tool()
def echo(text: str) -> str:
    """Say it again."""
    return text


@server.tool()
def image() -> list[JsonObject]:
    """Give a PNG."""
    return [{"type": "image", "data": PNG, "mimeType": "image/png"}]


@server.tool()
def drawing() -> list[JsonObject]:
    """Give an image of a type that the API does not take."""
    drawn = encoded(b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    return [{"type": "image", "data": drawn, "mimeType": "image/svg+xml"}]


@server.tool()
def audio() -> list[JsonObject]:
    """Give a sound."""
    return [{"type": "audio", "data": PNG, "mimeType": "audio/wav"}]


@server.tool()
def link() -> list[JsonObject]:
    """Give a link to a resource."""
    return [{"type": "resource_link", "uri": "demo://readme", "name": "readme", "mimeType": "text/markdown"}]


@server.tool()
def embedded_text() -> list[JsonObject]:
    """Give a text resource."""
    return resource("demo://readme", "text/markdown", text="# Read me")


@server.tool()
def embedded_pdf() -> list[JsonObject]:
    """Give a PDF as a blob."""
    return resource("demo://paper", "application/pdf", blob=encoded(b"%PDF-1.4 demo"))


@server.tool()
def embedded_blob() -> list[JsonObject]:
    """Give bytes that nobody can show."""
    return resource("demo://bytes", "application/x-thing", blob=encoded(b"\0\1"))


@server.tool()
def structured(name: str) -> dict[str, str]:
    """Give structured content beside its text."""
    return {"greeting": f"Hello, {name}"}


@server.tool()
def empty() -> list[JsonObject]:
    """Give no content at all."""
    return []


@server.tool()
def fails(why: str) -> str:
    """Fail, as a tool does."""
    raise ValueError(why)


@server.tool()
def hangs() -> Generator[Ask | None, object, str]:
    """Never answer."""
    while True:
        yield None


if __name__ == "__main__":
    server.run()
