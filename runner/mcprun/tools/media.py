"""Build image and document blocks that the Messages API accepts. Images are judged by their header only. Pure.

The limits are those of https://platform.claude.com/docs/en/build-with-claude/vision ("General limits"). One image
that the API refuses fails the whole request, and every later request of the conversation that repeats it.
"""

from __future__ import annotations

import base64
import re
import string
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote

from mcprun._util.json_value import JsonObject

MAX_ENCODED = 5 * 1024 * 1024
"""Maximum base64 characters of one image: the API counts its "5 MB" before decoding."""

MAX_PIXELS, MAX_PIXELS_OF_MANY = 8000, 2000
"""Maximum pixels of a side of an image, and of one among more than `MANY` in a request."""

MAX_MEDIA, MANY = 100, 20
"""Maximum images and documents in a request, and the number above which the smaller pixel limit applies."""

MAX_TOTAL = 30_000_000
"""Maximum base64 characters in one request: the API accepts 32 MB in total."""

IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
PDF = "application/pdf"

_SIGNATURES = (
    ("image/png", b"\x89PNG\r\n\x1a\n"),
    ("image/jpeg", b"\xff\xd8\xff"),
    ("image/gif", b"GIF87a"),
    ("image/gif", b"GIF89a"),
)
_PDF_SEARCH_BYTES = 1024
"""Bytes to search for a PDF's signature: readers accept some bytes before it (ISO 32000-1, annex H)."""

_MEDIA_TYPE = re.compile(r"(?:application|audio|font|image|message|model|multipart|text|video)/[a-z0-9][a-z0-9.+_-]*")
"""A media type in lower case (RFC 6838, section 4.2)."""

_DATA_URL = re.compile(r"data:([^;,]*)(?:;[^,]*)?,", re.IGNORECASE)
_URL_SAFE = str.maketrans("-_", "+/")
_SPACE = str.maketrans("", "", string.whitespace)

Rule = Literal["type", "data", "size", "dimensions", "count", "error", "role"]


@dataclass(frozen=True, slots=True)
class Unsendable:
    """Content that the API does not accept: its name, its `summary` (type and size), and the rule that it violates."""

    noun: str
    summary: str
    rule: Rule
    reason: str

    @property
    def is_picture(self) -> bool:
        """Whether it is an image or a document; those never fail a query."""
        return self.summary.startswith(("image/", PDF)) or self.noun in ("image", "document")

    @property
    def text(self) -> str:
        """The text sent to the model instead."""
        return f"[{self.noun}: {self.summary}; not shown: {self.reason}]"

    @property
    def warning(self) -> str:
        """The warning for the user."""
        return f"the model receives a description in place of content ({self.noun}: {self.summary}): {self.reason}"


def media_block(data: str, declared: str, what: str) -> JsonObject | Unsendable:
    """Return the image or document block for base64 `data`, or why the API would refuse it.

    The type is detected from the bytes, not from the media type `declared` by the server. `what` names the content in
    messages. Base64 may be wrapped, URL-safe, unpadded, or part of a data URL; the block holds it in strict form.
    """
    if url := _DATA_URL.match(data):
        declared, data = url[1] or declared, unquote(data[url.end() :])
    mime = _plain(declared)
    encoded = _strict(data)
    raw = _decoded(encoded)
    summary = f"{mime or 'unknown type'}, {size_text(len(encoded.rstrip('=')) * 3 // 4)}"
    if not raw:
        return Unsendable(what, summary, "data", "its data is empty" if not encoded else "its data is not base64")
    detected = _type_of(raw)
    if detected is None:
        return Unsendable(what, summary, "type", "the API accepts only JPEG, PNG, GIF, WebP and PDF")
    summary = f"{detected}, {size_text(len(raw))}"
    source = {"type": "base64", "media_type": detected, "data": encoded}
    if detected == PDF:
        if len(encoded) > MAX_TOTAL:
            return Unsendable(what, summary, "size", "the API accepts at most 32 MB in a request")
        return {"type": "document", "source": source}
    if len(encoded) > MAX_ENCODED:
        return Unsendable(what, summary, "size", "the API accepts at most 5 MB of base64 for an image")
    sides = _sides(raw, detected)
    if sides is None:
        return Unsendable(what, summary, "data", "its header is incomplete")
    summary = f"{summary}, {sides[0]}x{sides[1]}"
    if 0 in sides:
        return Unsendable(what, summary, "dimensions", "it has no pixels")
    if max(sides) > MAX_PIXELS:
        return Unsendable(what, summary, "dimensions", f"the API accepts at most {MAX_PIXELS} pixels a side")
    return {"type": "image", "source": source}


def size_text(size: int) -> str:
    """Format a number of bytes: `812 bytes`, `3.4 kB`, `5.2 MB`."""
    if size < 1000:
        return f"{size} bytes"
    return f"{size / 1000:.1f} kB" if size < 1_000_000 else f"{size / 1_000_000:.1f} MB"


def summary_of(block: JsonObject) -> str:
    """Return the type and size of an image or document block."""
    source = block.get("source")
    if not isinstance(source, dict) or source.get("type") != "base64":
        return f"{block.get('type')}, of unknown size"
    return f"{source['media_type']}, {size_text(len(source['data'].rstrip('=')) * 3 // 4)}"


def is_large(block: JsonObject) -> bool:
    """Return whether an accepted image is too large for a request with more than `MANY`."""
    source = block["source"]
    if block["type"] != "image" or source.get("type") != "base64":
        return False
    return max(_sides(_decoded(source["data"]), source["media_type"]) or (0,)) > MAX_PIXELS_OF_MANY


def _plain(mime: str) -> str:
    """Return a media type in lower case, without its parameters; empty if it is not one.

    Other text may hold a secret, which redaction no longer finds once it is cut or in lower case.
    """
    plain = mime.partition(";")[0].strip().lower()
    if not _MEDIA_TYPE.fullmatch(plain):
        return ""
    return "image/jpeg" if plain in ("image/jpg", "image/pjpeg") else plain


def _strict(data: str) -> str:
    """Return base64 without line breaks, in the standard alphabet (RFC 4648, section 4), and padded."""
    encoded = data.translate(_SPACE).translate(_URL_SAFE).rstrip("=")
    return encoded + "=" * (-len(encoded) % 4)


def _decoded(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except ValueError:
        return b""


def _type_of(raw: bytes) -> str | None:
    for mime, signature in _SIGNATURES:
        if raw.startswith(signature):
            return mime
    if raw[:4] == b"RIFF" and raw[8:12] == b"WEBP":
        return "image/webp"
    return PDF if b"%PDF-" in raw[:_PDF_SEARCH_BYTES] else None


def _sides(raw: bytes, mime: str) -> tuple[int, int] | None:
    """Return an image's width and height in pixels, read from its header; None if that is incomplete."""
    try:
        match mime:
            case "image/png":
                return _pair(struct.unpack_from(">II", raw, 16)) if raw[12:16] == b"IHDR" else None
            case "image/gif":
                return _pair(struct.unpack_from("<HH", raw, 6))
            case "image/webp":
                return _webp_sides(raw)
        return next(_jpeg_sides(raw), None)
    except struct.error:
        return None


def _pair(sides: tuple[int, ...]) -> tuple[int, int]:
    width, height = sides
    return width, height


def _webp_sides(raw: bytes) -> tuple[int, int] | None:
    """Read the width and height of a WebP in any of its three formats (RFC 9649, section 2)."""
    match raw[12:16]:
        case b"VP8X":
            low_width, high_width, low_height, high_height = struct.unpack_from("<HBHB", raw, 24)
            return 1 + low_width + (high_width << 16), 1 + low_height + (high_height << 16)
        case b"VP8L":
            (bits,) = struct.unpack_from("<I", raw, 21)
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        case b"VP8 ":
            width, height = struct.unpack_from("<HH", raw, 26)
            return width & 0x3FFF, height & 0x3FFF
    return None


def _jpeg_sides(raw: bytes) -> Iterator[tuple[int, int]]:
    """Yield the width and height from the first frame header (ITU-T T.81, B.1.1 and B.2.2), if there is one."""
    place = 2
    while place + 4 <= len(raw):
        if raw[place] != 0xFF:
            return
        marker = raw[place + 1]
        if marker == 0xFF:  # fill bytes may precede a marker
            place += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:  # markers without a segment
            place += 2
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", raw, place + 5)
            yield width, height
            return
        else:
            place += 2 + struct.unpack_from(">H", raw, place + 2)[0]
