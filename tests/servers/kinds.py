"""A server whose tools answer with every kind of MCP content, and with every kind of trouble."""

import asyncio
import base64

import mcp_types as types
from mcp.server import MCPServer

PNG = base64.b64encode(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
        "1f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
    )
).decode()

server = MCPServer("kinds", version="2.0.0")


@server.tool()
def echo(text: str) -> str:
    """Say it again."""
    return text


@server.tool()
def image() -> types.ImageContent:
    """Give a PNG."""
    return types.ImageContent(type="image", data=PNG, mime_type="image/png")


@server.tool()
def drawing() -> types.ImageContent:
    """Give an image of a type that the API does not take."""
    drawn = base64.b64encode(b"<svg xmlns='http://www.w3.org/2000/svg'/>").decode()
    return types.ImageContent(type="image", data=drawn, mime_type="image/svg+xml")


@server.tool()
def audio() -> types.AudioContent:
    """Give a sound."""
    return types.AudioContent(type="audio", data=PNG, mime_type="audio/wav")


@server.tool()
def link() -> types.ResourceLink:
    """Give a link to a resource."""
    return types.ResourceLink(type="resource_link", uri="demo://readme", name="readme", mime_type="text/markdown")


@server.tool()
def embedded_text() -> types.EmbeddedResource:
    """Give a text resource."""
    contents = types.TextResourceContents(uri="demo://readme", mime_type="text/markdown", text="# Read me")
    return types.EmbeddedResource(type="resource", resource=contents)


@server.tool()
def embedded_pdf() -> types.EmbeddedResource:
    """Give a PDF as a blob."""
    contents = types.BlobResourceContents(
        uri="demo://paper", mime_type="application/pdf", blob=base64.b64encode(b"%PDF-1.4 demo").decode()
    )
    return types.EmbeddedResource(type="resource", resource=contents)


@server.tool()
def embedded_blob() -> types.EmbeddedResource:
    """Give bytes that nobody can show."""
    contents = types.BlobResourceContents(
        uri="demo://bytes", mime_type="application/x-thing", blob=base64.b64encode(b"\0\1").decode()
    )
    return types.EmbeddedResource(type="resource", resource=contents)


@server.tool()
def structured(name: str) -> dict[str, str]:
    """Give structured content beside its text."""
    return {"greeting": f"Hello, {name}"}


@server.tool()
def empty() -> types.CallToolResult:
    """Give no content at all."""
    return types.CallToolResult(content=[])


@server.tool()
def fails(why: str) -> str:
    """Fail, as a tool does."""
    raise ValueError(why)


@server.tool()
async def hangs() -> str:
    """Never answer."""
    await asyncio.Event().wait()
    return "never"


if __name__ == "__main__":
    server.run()
