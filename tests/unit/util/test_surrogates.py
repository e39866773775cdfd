"""A lone surrogate becomes U+FFFD on input and output, and nothing else changes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun._util.json_io import dump_indented, encode, parse_line
from mcprun._util.surrogates import is_well_formed, surrogate_paths, well_formed, well_formed_bytes, well_formed_json
from mcprun.client.transports.bounded_body import WellFormed
from mcprun.client.transports.framing import read_message
from mcprun.prompts.query import InvalidQuery, parse_query
from mcprun.tools.lint import lint
from mcprun.tools.toolset import ToolSet

anything = st.text(st.characters() | st.characters(categories=["Cs"]), max_size=8)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | anything,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(anything, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\ud800b", "a\ufffdb"),
        ("\udfff", "\ufffd"),
        ("\ud83d\ude00", "\U0001f600"),
        ("\ude00\ud83d", "\ufffd\ufffd"),
        ("\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        ("caf\udce9", "caf\ufffd"),
    ],
)
def test_lone_surrogate_becomes_one_replacement_character(text: str, expected: str) -> None:
    """A surrogate pair becomes the character that it encodes."""
    assert well_formed(text) == expected


@given(anything)
def test_escaped_surrogates_are_replaced_like_characters(text: str) -> None:
    """Replacing escapes before parsing equals replacing characters afterwards."""
    escaped = json.dumps(text).encode()
    assert json.loads(well_formed_bytes(escaped)) == well_formed(json.loads(escaped))


@pytest.mark.parametrize("escaped", [rb'"\\ud800"', rb'"\\\\ud800"', rb'"\ud83d\ude00"', rb'"\uD83D\uDE00"'])
def test_escaped_backslashes_and_surrogate_pairs_are_unchanged(escaped: bytes) -> None:
    """An even number of backslashes is not the start of an escape."""
    assert well_formed_bytes(escaped) == escaped


@pytest.mark.parametrize("backslashes", range(0, 6, 2))
def test_backslashes_before_an_escaped_surrogate_are_unchanged(backslashes: int) -> None:
    """Only the escape is replaced."""
    before = b"\\" * backslashes
    assert well_formed_bytes(b'"' + before + rb'\ud800"') == b'"' + before + rb'\ufffd"'


@given(values)
def test_values_become_well_formed(value: Any) -> None:
    """Keys and text at any depth can be encoded as UTF-8. A well-formed value is returned as the same object."""
    repaired = well_formed_json(value)
    assert is_well_formed(repaired)
    json.dumps(repaired, ensure_ascii=False).encode()
    assert (repaired is value) == is_well_formed(value) == (list(surrogate_paths(value)) == [])


@given(values)
def test_written_files_are_strict_utf_8_and_json(value: Any) -> None:
    """The output has no escaped surrogate, NaN or infinity."""
    for data in (encode(value), dump_indented(value)):
        text = data.decode()
        assert is_well_formed(json.loads(text, parse_constant=pytest.fail))


def test_escaped_surrogate_in_a_recording_is_replaced() -> None:
    """A recording with an escaped surrogate equals a new recording of the same result."""
    assert parse_line(rb'{"text": "a\ud800b"}') == parse_line(encode({"text": "a\ud800b"})) == {"text": "a\ufffdb"}


def test_repaired_message_of_a_server_is_reported() -> None:
    """The message is kept. The callback runs only if a surrogate was replaced."""
    calls: list[None] = []
    for text in (rb"a\ud800b", rb"a\ud83d\ude00b", rb"a\\ud800b"):
        line = b'{"jsonrpc":"2.0","id":1,"result":{"text":"' + text + b'"}}'
        assert is_well_formed(read_message(line, 1000, lambda: calls.append(None)).model_dump(mode="json"))
    assert calls == [None]


async def read_body(chunks: list[bytes]) -> tuple[bytes, int]:
    """Read a body that arrives in chunks. Return its bytes and the number of replacements reported."""

    async def stream() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    calls: list[None] = []
    read = [chunk async for chunk in WellFormed(stream(), lambda: calls.append(None))]
    return b"".join(read), len(calls)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 100])
async def test_body_is_repaired_for_any_chunk_size(size: int) -> None:
    """Escapes split across chunks are recognized. Pairs are kept, and invalid UTF-8 is replaced."""
    data = (
        rb'{"a": "\ud800", "b": "\ud83d\ude00", "c": "\\ud800", "d": "\udc00\\\\", "e": "caf'
        + b"\xc3\xa9\xff"
        + b'"}\\'
    )
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    body, replaced = await read_body(parts)
    expected = (
        rb'{"a": "\ufffd", "b": "\ud83d\ude00", "c": "\\ud800", "d": "\ufffd\\\\", "e": "caf'
        + "é\ufffd".encode()
        + b'"}\\'
    )
    assert body == expected
    assert replaced > 0


async def test_body_of_backslashes_is_unchanged() -> None:
    """A long run of backslashes is neither buffered nor changed."""
    parts = [b"\\" * 60_001] * 5
    assert await read_body(parts) == (b"".join(parts), 0)


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("a\ud800b", "prompt"),
        ({"prompt": "a\ud800b"}, "prompt"),
        ({"prompt": [{"type": "text", "text": "\udc00"}]}, "prompt[0].text"),
        ({"prompt": "x", "system": "\ud800"}, "system"),
        ({"prompt": "x", "script": [{"text": "\ud800"}]}, "script[0].text"),
        ({"prompt": "x", "metadata": {"\ud800": 1}}, "metadata.'\\ud800'"),
    ],
)
def test_query_with_a_lone_surrogate_is_an_error(line: Any, field: str) -> None:
    """The error names the field, so that the user can correct the file."""
    with pytest.raises(InvalidQuery) as caught:
        parse_query(line)
    assert caught.value.problems == [(field, "has a lone surrogate, which UTF-8 cannot encode")]


def test_lint_reports_replacement_characters() -> None:
    """U+FFFD in a tool definition is probably not what its author wrote."""
    tools = [{"name": name, "description": text, "inputSchema": {"type": "object"}} for name, text in [("a", "Adds two numbers\ufffd."), ("b", "Adds two numbers.")]]  # fmt: skip
    assert [(found.tool, found.rule) for found in lint(ToolSet.of(tools))] == [("a", "replaced_text")]
