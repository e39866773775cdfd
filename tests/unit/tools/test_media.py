"""Images and documents, identified by their first bytes: sent, or described in text."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun.tools.media import Unsendable, media_block, size_text
from tests.support.messages_rules import refusal
from tests.support.pictures import encoded, gif, jpeg, pdf, png, webp, webp_lossless, webp_lossy

PICTURES: dict[str, Callable[..., str]] = {
    "image/png": png, "image/jpeg": jpeg, "image/gif": gif, "image/webp": webp, "application/pdf": pdf,
}  # fmt: skip


def sent_source(data: str, declared: str = "image/png") -> tuple[str, str]:
    """Return the media type and the data of the block."""
    block = media_block(data, declared, "image")
    assert not isinstance(block, Unsendable), block
    return block["source"]["media_type"], block["source"]["data"]


def rejection_text(data: str, declared: str = "image/png") -> str:
    """Return the text that replaces the block."""
    block = media_block(data, declared, "image")
    assert isinstance(block, Unsendable), block
    return block.text


@pytest.mark.parametrize("declared", ["image/png", "image/svg+xml", "", "application/pdf", "text/plain"])
@pytest.mark.parametrize("mime", PICTURES)
def test_media_type_is_detected_from_the_bytes(mime: str, declared: str) -> None:
    """The type that the server declares is ignored."""
    assert sent_source(PICTURES[mime](), declared) == (mime, PICTURES[mime]())


@pytest.mark.parametrize("declared", ["image/jpg", "IMAGE/JPEG", "image/jpeg; charset=binary", " image/jpeg ", "jpg"])
def test_spelling_of_a_declared_type_is_ignored(declared: str) -> None:
    """Other spellings of a media type do not change the block."""
    assert sent_source(jpeg(), declared) == ("image/jpeg", jpeg())


BYTES = base64.b64decode(png(251, 62)) + b"\xfb\xef\xff"


@pytest.mark.parametrize(
    "written",
    [
        "\n".join(base64.b64encode(BYTES).decode()[at : at + 10] for at in range(0, 60, 10)),
        base64.encodebytes(BYTES).decode().replace("\n", "\r\n"),
        base64.urlsafe_b64encode(BYTES).decode(),
        base64.b64encode(BYTES).decode().rstrip("="),
        "data:image/png;base64," + base64.b64encode(BYTES).decode(),
        "data:image/png;charset=utf-8;base64," + base64.b64encode(BYTES).decode().replace("+", "%2B"),
        "DATA:;base64," + base64.b64encode(BYTES).decode(),
    ],
)
def test_base64_is_normalized(written: str) -> None:
    """Line breaks, the URL-safe alphabet, missing padding and data URLs are accepted."""
    mime, data = sent_source(written)
    assert (mime, base64.b64decode(data, validate=True)) == ("image/png", BYTES)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (png(8000, 8000), None),
        (png(8001, 1), "[image: image/png, 33 bytes, 8001x1; not shown: the API accepts at most 8000 pixels a side]"),
        (jpeg(1, 9000), "image/jpeg, 33 bytes, 1x9000;"),
        (jpeg(1, 9000, exif=60_000), "1x9000; not shown: the API accepts at most 8000 pixels a side]"),
        (gif(8001, 1), "8001x1;"),
        (webp(8001, 2), "8001x2;"),
        (webp_lossy(8001, 2), "8001x2;"),
        (webp_lossless(8001, 2), "8001x2;"),
        (png(0, 5), "0x5; not shown: it has no pixels]"),
        (gif(5, 0), "5x0; not shown: it has no pixels]"),
        (png()[:24], "image/png, 18 bytes; not shown: its header is incomplete]"),
        (jpeg()[:24], "not shown: its header is incomplete]"),
        (gif()[:8], "not shown: its header is incomplete]"),
        (webp()[:24], "not shown: its header is incomplete]"),
        (png(size=3_932_160), None),
        (png(size=3_932_161), "image/png, 3.9 MB; not shown: the API accepts at most 5 MB of base64 for an image]"),
        (
            encoded(b"BM" + b"\0" * 98),
            "[image: image/bmp, 100 bytes; not shown: the API accepts only JPEG, PNG, GIF, WebP",
        ),
        ("", "[image: image/bmp, 0 bytes; not shown: its data is empty]"),
        ("no base64!", "not shown: its data is not base64]"),
        ("é", "not shown: its data is not base64]"),
    ],
    ids=itertools.count(),
)
def test_media_that_the_api_rejects_is_described(data: str, expected: str | None) -> None:
    """The text has the type, the size and the violated limit. Media exactly at a limit is sent."""
    if expected is None:
        assert sent_source(data)[0] == "image/png"
    else:
        assert expected in rejection_text(data, "image/bmp")


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 bytes"), (999, "999 bytes"), (3400, "3.4 kB"), (5_200_000, "5.2 MB")]
)
def test_sizes_have_decimal_units(size: int, text: str) -> None:
    """Sizes are in bytes, kilobytes and megabytes."""
    assert size_text(size) == text


PREFIXES = [base64.b64decode(make())[:length] for make in PICTURES.values() for length in (4, 12, 20, 100)]


@given(st.sampled_from(PREFIXES), st.binary(max_size=40), st.text(max_size=12))
def test_api_accepts_media_with_any_bytes_after_the_signature(prefix: bytes, rest: bytes, declared: str) -> None:
    """Arbitrary bytes after a signature raise no error and produce no block that the API rejects."""
    block = media_block(base64.b64encode(prefix + rest).decode(), declared, "image")
    if not isinstance(block, Unsendable):
        body = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": [block]}]}
        assert refusal(body) is None


@given(st.text(), st.text())
def test_any_data_is_sent_or_described(data: str, declared: str) -> None:
    """Text that is not base64 is described."""
    found = media_block(data, declared, "image")
    if isinstance(found, Unsendable):
        assert found.summary
    else:
        assert base64.b64decode(found["source"]["data"], validate=True)
