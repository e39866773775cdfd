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


def source(data: str, declared: str = "image/png") -> tuple[str, str]:
    """The media type and the data of the block that is made."""
    block = media_block(data, declared, "image")
    assert not isinstance(block, Unsendable), block
    return block["source"]["media_type"], block["source"]["data"]


def reason(data: str, declared: str = "image/png") -> str:
    """The words in place of a block."""
    block = media_block(data, declared, "image")
    assert isinstance(block, Unsendable), block
    return block.text


@pytest.mark.parametrize("declared", ["image/png", "image/svg+xml", "", "application/pdf", "text/plain"])
@pytest.mark.parametrize("mime", PICTURES)
def test_the_bytes_decide_on_the_type(mime: str, declared: str) -> None:
    """Whatever a server declares, the block has the type that the bytes tell."""
    assert source(PICTURES[mime](), declared) == (mime, PICTURES[mime]())


@pytest.mark.parametrize("declared", ["image/jpg", "IMAGE/JPEG", "image/jpeg; charset=binary", " image/jpeg ", "jpg"])
def test_how_a_type_is_written_does_not_matter(declared: str) -> None:
    """Other spellings of a media type are the same type."""
    assert source(jpeg(), declared) == ("image/jpeg", jpeg())


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
def test_base64_is_sent_in_its_strict_form(written: str) -> None:
    """Line breaks, the URL-safe alphabet, missing padding and data URLs are what servers write."""
    mime, data = source(written)
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
def test_what_the_api_refuses_is_described(data: str, expected: str | None) -> None:
    """The words say the type, the size, and which limit is in the way; at the limit itself it is sent."""
    if expected is None:
        assert source(data)[0] == "image/png"
    else:
        assert expected in reason(data, "image/bmp")


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 bytes"), (999, "999 bytes"), (3400, "3.4 kB"), (5_200_000, "5.2 MB")]
)
def test_sizes_are_written_for_people(size: int, text: str) -> None:
    """Bytes, kilobytes and megabytes, in decimal units."""
    assert size_text(size) == text


BEGINNINGS = [base64.b64decode(make())[:length] for make in PICTURES.values() for length in (4, 12, 20, 100)]


@given(st.sampled_from(BEGINNINGS), st.binary(max_size=40), st.text(max_size=12))
def test_whatever_stands_behind_a_signature_the_api_takes_what_is_sent(
    begin: bytes, rest: bytes, declared: str
) -> None:
    """No bytes and no declared type make a block that the API refuses, or raise."""
    block = media_block(base64.b64encode(begin + rest).decode(), declared, "image")
    if not isinstance(block, Unsendable):
        body = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": [block]}]}
        assert refusal(body) is None


@given(st.text(), st.text())
def test_no_data_raises(data: str, declared: str) -> None:
    """Text that is no base64 is described, whatever it holds."""
    assert media_block(data, declared, "image")
