"""The result of one call, as text for a terminal and as files."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from mcprun.report.call_result import BinaryContent, as_json, parts_of, save


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


PNG = {"type": "image", "data": "aGk=", "mimeType": "image/png"}
BLOB = {"type": "resource", "resource": {"uri": "a:\x1bb", "blob": "aGk=", "mimeType": "x/y"}}
PLAIN = {"type": "resource", "resource": {"uri": "a:b", "blob": "aGk=", "mimeType": "text/plain"}}


@pytest.mark.parametrize(
    ("result", "parts"),
    [
        ({"content": [text("a\x1b[31m\n\tb\x9b\u202e")]}, ["a\\x1b[31m\n\tb\\x9b\\u202e"]),
        ({"content": [text('{"a": [1]}')]}, ['{\n  "a": [\n    1\n  ]\n}']),
        ({"content": [text('{"a":\n1}'), text("[x")]}, ['{"a":\n1}', "[x"]),
        ({"content": [text("3")], "structuredContent": {"result": 3}}, ["3"]),
        ({"content": [text("hi")], "structuredContent": {"result": "hi"}}, ["hi"]),
        ({"content": [text("a"), text("b")], "structuredContent": {"result": ["a", "b"]}}, ["a", "b"]),
        ({"content": [text('{"b": 1.0}')], "structuredContent": {"b": 1}}, ['{\n  "b": 1.0\n}']),
        ({"content": [text("done")], "structuredContent": {"b": "\x9b"}}, ["done", 'structuredContent: {\n  "b": "\\x9b"\n}']),
        ({"content": [], "structuredContent": {"b": 1}}, ['{\n  "b": 1\n}']),
        ({"content": []}, []),
        ({"content": [PNG]}, [BinaryContent("image", "image/png", "aGk=")]),
        ({"content": [BLOB]}, [BinaryContent("resource a:\x1bb", "x/y", "aGk=")]),
        ({"content": [PLAIN]}, ["[resource a:b]\nhi"]),
        ({"content": [{"type": "resource_link", "uri": "a:b", "name": "n\x07"}]}, ["[resource link a:b: n\\x07]"]),
    ],
)  # fmt: skip
def test_a_result_is_laid_out_in_order(result: dict[str, Any], parts: list[Any]) -> None:
    """Control characters are visible, JSON is indented, and structured content is not repeated."""
    assert list(parts_of(result)) == parts


@pytest.mark.parametrize(
    ("media_type", "tool", "name"),
    [
        ("image/png", "draw", "draw-1.png"),
        ("IMAGE/JPEG; x=y", "draw", "draw-1.jpg"),
        ("audio/wav", "../../etc/x", "etc-x-1.wav"),
        ("application/x-sh", "a\x1bb", "a-b-1.bin"),
        ("text/x/../y", "", "result-1.bin"),
        ("", "x" * 500, f"{'x' * 60}-1.bin"),
    ],
)
def test_binary_content_is_saved_under_a_safe_name(tmp_path: Path, media_type: str, tool: str, name: str) -> None:
    """The name is made of the tool's, and neither it nor the media type can leave the folder."""
    said = save(BinaryContent("image", media_type, base64.b64encode(b"hi").decode()), tool, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == b"hi"
    assert said.endswith(f", 2 bytes: saved to {tmp_path / name}]")


def test_files_are_never_replaced(tmp_path: Path) -> None:
    """A second image gets the next number, and a link of that name is not followed."""
    (tmp_path / "draw-1.png").symlink_to(tmp_path / "elsewhere")
    save(BinaryContent("image", "image/png", "aGk="), "draw", tmp_path)
    assert not (tmp_path / "elsewhere").exists()
    assert (tmp_path / "draw-2.png").read_bytes() == b"hi"


def test_data_that_is_not_base64_is_reported(tmp_path: Path) -> None:
    """Content that can't be decoded is named in place of a file."""
    assert (
        save(BinaryContent("image", "image/\x1b", "a"), "t", tmp_path) == "[image, image/\\x1b: its data is not base64]"
    )
    assert not list(tmp_path.iterdir())


def test_json_escapes_what_is_not_printable() -> None:
    """The JSON of a result is the result, without raw control characters."""
    result = {"content": [text("é\x1b\x9b\u202e\ud800")]}
    shown = as_json(result)
    assert shown.replace("\n", "").isprintable()
    assert json.loads(shown) == {"content": [text("é\x1b\x9b\u202e\ufffd")]}
    assert '"é"' in as_json({"a": "é"})
