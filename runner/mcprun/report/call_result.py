"""Show the result of one call in a terminal, and save its images and other binary content to files."""

from __future__ import annotations

import base64
import binascii
import mimetypes
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from mcprun._util.json_io import dump_indented
from mcprun._util.json_text import loads
from mcprun._util.json_value import JsonObject, json_equal
from mcprun.errors import UsageError
from mcprun.report.text import visible, visible_json
from mcprun.tools.media import size_text
from mcprun.tools.results import blocks, result_text

_EXTENSIONS = {
    "image/png": ".png", "image/jpeg": ".jpg", "image/gif": ".gif", "image/webp": ".webp", "image/svg+xml": ".svg",
    "audio/wav": ".wav", "audio/x-wav": ".wav", "audio/mpeg": ".mp3", "audio/ogg": ".ogg", "application/pdf": ".pdf",
    "application/zip": ".zip", "application/gzip": ".gz",
}  # fmt: skip
"""Extensions by media type. Of others, only those of images, audio and video get the one that the system knows."""

_MAX_STEM = 60
"""Maximum characters of a tool's name in a file name."""


@dataclass(frozen=True, slots=True)
class BinaryContent:
    """Binary content of a result: what it is (`image`, `audio` or `resource URI`), its media type and its base64."""

    noun: str
    media_type: str
    data: str


def parts_of(result: JsonObject) -> Iterator[str | BinaryContent]:
    """Yield the parts of a result in order: text to print, with control characters escaped, or binary content.

    Structured content comes last, unless the text says the same.
    """
    content = result.get("content") or []
    for item in content:
        if binary := _binary(item):
            yield binary
        elif item.get("type") == "text":
            yield visible(_readable(str(item.get("text"))))
        else:
            yield from (visible(str(block.get("text"))) for block in blocks([item]))
    structured = result.get("structuredContent")
    if structured is not None and not _is_repeated(structured, content):
        text = visible(dump_indented(structured).decode())
        yield f"structuredContent: {text}" if content else text


def save(binary: BinaryContent, tool: str, folder: Path) -> str:
    """Save binary content to a new file in a folder, named after the tool. Return what was saved, and where.

    Raises `UsageError` if the folder can't be written to.
    """
    media_type = binary.media_type.partition(";")[0].strip().lower()
    what = visible(f"{binary.noun}, {media_type or 'of unknown type'}")
    try:
        data = base64.b64decode(binary.data, validate=False)
    except (binascii.Error, ValueError):
        return f"[{what}: its data is not base64]"
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", tool).strip("-")[:_MAX_STEM] or "result"
    for number in count(1):
        path = folder / f"{stem}-{number}{_extension(media_type)}"
        try:
            with path.open("xb") as file:
                file.write(data)
        except FileExistsError:
            continue
        except OSError as error:
            raise UsageError(f"can't write {path}: {error.strerror}") from None
        break
    return f"[{what}, {size_text(len(data))}: saved to {path}]"


def _binary(item: JsonObject) -> BinaryContent | None:
    match item:
        case {"type": "image" | "audio" as kind, "data": str(data)}:
            return BinaryContent(kind, str(item.get("mimeType") or ""), data)
        case {"type": "resource", "resource": {"uri": str(uri), "blob": str(blob)} as resource}:
            media_type = str(resource.get("mimeType") or "")
            if not media_type.startswith("text/") and media_type != "application/json":
                return BinaryContent(f"resource {uri}", media_type, blob)
    return None


def _extension(media_type: str) -> str:
    if media_type in _EXTENSIONS:
        return _EXTENSIONS[media_type]
    is_media = media_type.startswith(("image/", "audio/", "video/"))
    return (mimetypes.guess_extension(media_type) if is_media else None) or ".bin"


def _readable(text: str) -> str:
    """Indent text that is a JSON object or list on one line."""
    stripped = text.strip()
    if stripped[:1] not in ("{", "[") or "\n" in stripped:
        return text
    value = _parsed(stripped)
    return dump_indented(value).decode() if isinstance(value, dict | list) and value else text


def _is_repeated(structured: Any, content: list[JsonObject]) -> bool:
    """Return whether text says the same as structured content (MCP, "Structured Content")."""
    values = [structured]
    if isinstance(structured, dict) and structured.keys() == {"result"}:
        values.append(structured["result"])
    texts = [str(item.get("text")) for item in content if item.get("type") == "text"]
    forms: list[Any] = [result_text(content), *map(_parsed, texts), [_parsed(text) for text in texts], texts]
    return bool(content) and any(json_equal(value, form) for value in values for form in forms)


def _parsed(text: str) -> Any:
    try:
        return loads(text)
    except ValueError:
        return text


def as_json(result: JsonObject) -> str:
    """Return a result as indented JSON, in which control and format characters are escaped."""
    return visible_json(dump_indented(result).decode())
