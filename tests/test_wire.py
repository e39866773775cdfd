"""Lines of a server's stdout: cut where they end, bounded, and read so that nobody waits in vain."""

from __future__ import annotations

import json
from typing import Any

import mcp_types
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun.wire import INVALID_ANSWER, Lines, LongLine, Message, read_message

MOST = 2000


@given(st.lists(st.binary(max_size=12)), st.integers(1, 7))
def test_lines_are_what_stands_between_line_ends(parts: list[bytes], size: int) -> None:
    """However the bytes come in, the same lines come out, and what has not ended is counted."""
    data = b"\n".join(parts)
    lines = Lines(1_000_000)
    found = [line for at in range(0, len(data), size) for line in lines.feed(data[at : at + size])]
    *ended, rest = data.split(b"\n")
    assert found == ended
    assert lines.pending == len(rest)


@given(st.integers(MOST + 1, 3 * MOST), st.integers(1, 900), st.integers(0, 5))
def test_long_lines_keep_their_ends(length: int, size: int, short: int) -> None:
    """Of a line above the bound both ends and its length are kept, and the next line is whole."""
    data = bytes(33 + number % 90 for number in range(length))
    whole = data + b"\n" + b"x" * short + b"\n"
    lines = Lines(MOST)
    first, second = (line for at in range(0, len(whole), size) for line in lines.feed(whole[at : at + size]))
    assert isinstance(first, LongLine)
    assert (first.length, second) == (length, b"x" * short)
    assert data.startswith(first.head)
    assert data.endswith(first.tail)
    assert len(first.head) == len(first.tail) == 512


results = st.dictionaries(
    st.text(max_size=8),
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(), lambda x: st.lists(x, max_size=3)
    ),
    max_size=4,
)


@given(results, st.integers(0, 2**31))
def test_messages_are_read(result: dict[str, Any], number: int) -> None:
    """What the SDK's own reader takes is read as it reads it; halves of surrogate pairs are replaced."""
    line = json.dumps({"jsonrpc": "2.0", "id": number, "result": result}).encode()
    message = read_message(line, MOST)
    assert isinstance(message, mcp_types.JSONRPCResponse)
    assert (message.id, message.result) == (number, result)


ANSWER = b'{"jsonrpc":"2.0","id":5,"result":{"a":"'
NESTED = b'{"jsonrpc":"2.0","id":5,"result":{"a":' + b"[" * 5000 + b"]" * 5000 + b"}}"


def long(head: bytes, tail: bytes) -> LongLine:
    """Make a line that was too long."""
    return LongLine(head.ljust(512, b"x"), tail.rjust(512, b"x"), 5_000)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'{"jsonrpc":"2.0","id":5}', "the answer can't be read: it has neither a result nor an error"),
        (
            b'{"id": 5, "jsonrpc": "2.0", "result": {"n": ' + b"9" * 5000 + b"}}",
            "the answer can't be read: Invalid JSON",
        ),
        (b'{"result":{"n":' + b"9" * 5000 + b'},"jsonrpc":"2.0","id":5}', "the answer can't be read: Invalid JSON"),
        (NESTED, "the answer can't be read: Invalid JSON: recursion limit exceeded"),
        (b'{"jsonrpc":"2.0","id":5,"result":', "the answer can't be read: Invalid JSON: EOF"),
        (b'{"jsonrpc":"2.0","id":5,"result":"text"}', "the answer can't be read: "),
        (long(ANSWER, b'"}}'), "the answer has 5,000 bytes, and --max-result-bytes allows 2,000"),
        (long(b'{"result": {"a": "', b'"}, "id": 5}'), "the answer has 5,000 bytes"),
        (
            long(b'{"jsonrpc":"2.0","error": {"message": "', b'"}, "id": 5 , "jsonrpc": "2.0"}  '),
            "the answer has 5,000",
        ),
    ],
)
def test_an_answer_that_can_not_be_taken_is_an_error_at_once(line: bytes | LongLine, why: str) -> None:
    """Whoever waits for request 5 is told, and told why."""
    message = read_message(line, MOST)
    assert isinstance(message, mcp_types.JSONRPCError)
    assert (message.id, message.error.code) == (5, INVALID_ANSWER)
    assert message.error.message.startswith(why)


@pytest.mark.parametrize(
    "line",
    [
        b"Server is listening!",
        b"",
        b'{"jsonrpc":"2.0","id":null,"result":{}}',
        b'{"jsonrpc":"2.0","id":5,"method":"sampling/createMessage","params":',  # the server's own request
        b'{"jsonrpc":"2.0","method":"x","params":{"id":5,"result":',
        long(b'{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"', b'"},"id":5}'),
        long(b'{"jsonrpc":"2.0","id":5,"method":"sampling/createMessage"', b'"}}'),
        long(b"garbage", b"garbage"),
    ],
)
def test_what_answers_nobody_is_no_message(line: bytes | LongLine) -> None:
    """No request of ours is answered by what is none of its answers."""
    with pytest.raises(ValueError, match="message"):
        read_message(line, MOST)


def test_broken_text_is_kept() -> None:
    """Invalid UTF-8 and halves of surrogate pairs do not cost the answer."""
    messages: list[Message] = [
        read_message(ANSWER + b"caf\xe9" + b'"}}', MOST),
        read_message(ANSWER + rb"\ud83d" + b'"}}', MOST),
    ]
    assert [message.result for message in messages if isinstance(message, mcp_types.JSONRPCResponse)] == [
        {"a": "caf\ufffd"},
        {"a": "\ufffd"},
    ]
