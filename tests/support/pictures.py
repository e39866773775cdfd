"""Build images and documents as base64: a valid header of each type, with given dimensions and file size."""

from __future__ import annotations

import base64
import struct


def encoded(data: bytes, size: int = 0) -> str:
    """Encode data as base64, padded with zeros to `size` bytes."""
    return base64.b64encode(data.ljust(size, b"\0")).decode()


def png(width: int = 1, height: int = 1, *, size: int = 0) -> str:
    header = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height) + b"\x08\x06\0\0\0\0\0\0\0"
    return encoded(header, size)


def jpeg(width: int = 1, height: int = 1, *, size: int = 0, exif: int = 8) -> str:
    """Return a JPEG whose frame header follows `exif` bytes of EXIF data."""
    application = b"\xff\xe1" + struct.pack(">H", exif + 2) + b"e" * exif
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 17, 8, height, width, 3) + b"\x01\x22\0\x02\x11\x01\x03\x11\x01"
    return encoded(b"\xff\xd8" + application + frame, size)


def gif(width: int = 1, height: int = 1, *, size: int = 0) -> str:
    return encoded(b"GIF89a" + struct.pack("<HH", width, height) + b"\0\0\0;", size)


def webp(width: int = 1, height: int = 1, *, size: int = 0) -> str:
    """Return an extended WebP (VP8X), whose header contains the canvas size."""
    sides = b"".join((side - 1).to_bytes(3, "little") for side in (width, height))
    return encoded(b"RIFF\x16\0\0\0WEBPVP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + sides, size)


def webp_lossy(width: int = 1, height: int = 1) -> str:
    frame = b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height)
    return encoded(b"RIFF\x16\0\0\0WEBPVP8 " + struct.pack("<I", 10) + frame)


def webp_lossless(width: int = 1, height: int = 1) -> str:
    bits = struct.pack("<I", (width - 1) | (height - 1) << 14)
    return encoded(b"RIFF\x16\0\0\0WEBPVP8L" + struct.pack("<I", 5) + b"\x2f" + bits)


def pdf(*, size: int = 0) -> str:
    return encoded(b"%PDF-1.4\n%%EOF\n", size)
