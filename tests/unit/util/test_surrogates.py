"""Half of a surrogate pair becomes U+FFFD on input and output, and nothing else changes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun._util.json_io import dump_indented, encode, parse_line
from mcprun._util.surrogates import halves_in, is_well_formed, well_formed, well_formed_bytes, well_formed_json
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
def test_each_half_becomes_one_replacement_character(text: str, expected: str) -> None:
    """Two halves that belong together are the character that they stand for."""
    assert well_formed(text) == expected


@given(anything)
def test_escapes_are_replaced_as_characters_are(text: str) -> None:
    """JSON that is read after its escapes were replaced holds what replacing in the text gives."""
    escaped = json.dumps(text).encode()
    assert json.loads(well_formed_bytes(escaped)) == well_formed(json.loads(escaped))


@pytest.mark.parametrize("escaped", [rb'"\\ud800"', rb'"\\\\ud800"', rb'"\ud83d\ude00"', rb'"\uD83D\uDE00"'])
def test_escaped_backslashes_and_whole_pairs_stay(escaped: bytes) -> None:
    """An even number of backslashes stands for backslashes, and not for an escape."""
    assert well_formed_bytes(escaped) == escaped


@pytest.mark.parametrize("backslashes", range(0, 6, 2))
def test_backslashes_before_an_escaped_half_stay(backslashes: int) -> None:
    """Only the escape is replaced."""
    before = b"\\" * backslashes
    assert well_formed_bytes(b'"' + before + rb'\ud800"') == b'"' + before + rb'\ufffd"'


@given(values)
def test_values_become_well_formed(value: Any) -> None:
    """Keys and text at any depth can be written as UTF-8 afterwards, and a good value is the very same object."""
    repaired = well_formed_json(value)
    assert is_well_formed(repaired)
    json.dumps(repaired, ensure_ascii=False).encode()
    assert (repaired is value) == is_well_formed(value) == (list(halves_in(value)) == [])


@given(values)
def test_files_hold_strict_utf_8_and_json(value: Any) -> None:
    """What is written can be read by strict readers: no escaped half, and no number that JSON has none of."""
    for data in (encode(value), dump_indented(value)):
        text = data.decode()
        assert is_well_formed(json.loads(text, parse_constant=pytest.fail))


def test_older_files_are_read_as_newer_ones_are_written() -> None:
    """A recording with an escaped half does not differ from today's result of the same call."""
    assert parse_line(rb'{"text": "a\ud800b"}') == parse_line(encode({"text": "a\ud800b"})) == {"text": "a\ufffdb"}


def test_a_message_of_a_server_is_repaired_and_told_of() -> None:
    """The answer is not lost; without a half in it, nobody is told."""
    calls: list[None] = []
    for text in (rb"a\ud800b", rb"a\ud83d\ude00b", rb"a\\ud800b"):
        line = b'{"jsonrpc":"2.0","id":1,"result":{"text":"' + text + b'"}}'
        assert is_well_formed(read_message(line, 1000, lambda: calls.append(None)).model_dump(mode="json"))
    assert calls == [None]


async def body_of(parts: list[bytes]) -> tuple[bytes, int]:
    """What a reader gets of a body that comes in parts, and how often something was replaced."""

    async def stream() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    calls: list[None] = []
    read = [part async for part in WellFormed(stream(), lambda: calls.append(None))]
    return b"".join(read), len(calls)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 100])
async def test_a_body_is_repaired_however_it_is_cut(size: int) -> None:
    """Escapes that are parted by the network are known; a pair stays a pair, and text that is no UTF-8 is replaced."""
    whole = (
        rb'{"a": "\ud800", "b": "\ud83d\ude00", "c": "\\ud800", "d": "\udc00\\\\", "e": "caf'
        + b"\xc3\xa9\xff"
        + b'"}\\'
    )
    parts = [whole[at : at + size] for at in range(0, len(whole), size)]
    body, replaced = await body_of(parts)
    expected = (
        rb'{"a": "\ufffd", "b": "\ud83d\ude00", "c": "\\ud800", "d": "\ufffd\\\\", "e": "caf'
        + "é\ufffd".encode()
        + b'"}\\'
    )
    assert body == expected
    assert replaced > 0


async def test_a_body_of_backslashes_is_passed_on() -> None:
    """A run of backslashes without an end is neither kept in memory nor changed."""
    parts = [b"\\" * 60_001] * 5
    assert await body_of(parts) == (b"".join(parts), 0)


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
def test_a_query_with_half_a_pair_is_refused(line: Any, field: str) -> None:
    """The field is named, since the file is the user's own to correct."""
    with pytest.raises(InvalidQuery) as caught:
        parse_query(line)
    assert caught.value.problems == [(field, "has a lone surrogate, which UTF-8 cannot encode")]


def test_lint_reports_text_that_was_replaced() -> None:
    """A tool whose definition holds U+FFFD was not sent as its author meant it."""
    tools = [{"name": name, "description": text, "inputSchema": {"type": "object"}} for name, text in [("a", "Adds two numbers\ufffd."), ("b", "Adds two numbers.")]]  # fmt: skip
    assert [(found.tool, found.rule) for found in lint(ToolSet.of(tools))] == [("a", "replaced_text")]
