"""Limits of the Messages API for images, and the type and size of an image from its header.

The API determines the type by the first bytes, regardless of the declared media type.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct

IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
MAX_IMAGE_CHARACTERS = 5 * 1024 * 1024
"""Maximum length of an image as base64. Public reports quote `N bytes > 5242880 bytes` of the encoded data."""
MAX_IMAGES, MANY_IMAGES = 100, 20
MAX_PIXELS, MAX_PIXELS_OF_MANY = 8000, 2000
"""Maximum width and height, and the maximum in a request with more than `MANY_IMAGES` images."""


def decoded(data: str) -> bytes:
    """Decode strict base64; return no bytes if it is invalid."""
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return b""


def image_type(data: bytes) -> str | None:
    """Return the media type that the first bytes indicate, or None."""
    for kind, magic in (("png", b"\x89PNG\r\n\x1a\n"), ("jpeg", b"\xff\xd8\xff"), ("gif", b"GIF8")):
        if data.startswith(magic):
            return f"image/{kind}"
    return "image/webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None


def sides(data: bytes, kind: str | None) -> tuple[int, ...] | None:
    """Return the width and height from a header, or None if it is truncated.

    For JPEG and WebP, one variant is supported.
    """
    try:
        if kind == "image/png":
            return struct.unpack(">II", data[16:24]) if data[12:16] == b"IHDR" else None
        if kind == "image/gif":
            return struct.unpack("<HH", data[6:10])
        if kind == "image/jpeg":
            frame = re.search(rb"\xff[\xc0-\xc2]..\x08(..)(..)", data, re.DOTALL)
            return tuple(int.from_bytes(side, "big") for side in frame.groups()) if frame else None
        if kind == "image/webp" and data[12:16] == b"VP8X":
            return tuple(1 + int.from_bytes(side, "little") for side in (data[24:27], data[27:30]) if len(side) == 3)
    except struct.error:
        return None
    return (1, 1) if kind else None
