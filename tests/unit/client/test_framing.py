"""Lines of a server's stdout: splitting, size limits, and messages that cannot be read."""

from __future__ import annotations

import json
from typing import Any

import mcp_types
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun.client.transports.framing import (
    INVALID_ANSWER,
    MALFORMED_ERROR,
    LineSplitter,
    LongLine,
    Message,
    error_text,
    read_message,
)

MAX_BYTES = 2000


@given(st.lists(st.binary(max_size=12)), st.integers(1, 7))
def test_lines_do_not_depend_on_chunk_size(parts: list[bytes], size: int) -> None:
    """Chunks of any size produce the same lines, and `pending` counts the bytes of an unfinished line."""
    data = b"\n".join(parts)
    lines = LineSplitter(1_000_000)
    found = [line for at in range(0, len(data), size) for line in lines.feed(data[at : at + size])]
    *complete, rest = data.split(b"\n")
    assert found == complete
    assert lines.pending == len(rest)


@given(st.integers(MAX_BYTES + 1, 3 * MAX_BYTES), st.integers(1, 900), st.integers(0, 5))
def test_long_line_keeps_its_head_tail_and_length(length: int, size: int, next_length: int) -> None:
    """A line above the limit keeps 512 bytes of each end and its length. The next line is complete."""
    data = bytes(33 + number % 90 for number in range(length))
    stream = data + b"\n" + b"x" * next_length + b"\n"
    lines = LineSplitter(MAX_BYTES)
    first, second = (line for at in range(0, len(stream), size) for line in lines.feed(stream[at : at + size]))
    assert isinstance(first, LongLine)
    assert (first.length, second) == (length, b"x" * next_length)
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
def test_valid_response_is_read(result: dict[str, Any], number: int) -> None:
    """A valid response has the ID and the result that were sent."""
    line = json.dumps({"jsonrpc": "2.0", "id": number, "result": result}).encode()
    message = read_message(line, MAX_BYTES)
    assert isinstance(message, mcp_types.JSONRPCResponse)
    assert (message.id, message.result) == (number, result)


ANSWER = b'{"jsonrpc":"2.0","id":5,"result":{"a":"'

NESTED = b'{"jsonrpc":"2.0","id":5,"result":{"a":' + b"[" * 5000 + b"]" * 5000 + b"}}"


def long_line(head: bytes, tail: bytes) -> LongLine:
    """Return a line above the size limit."""
    return LongLine(head.ljust(512, b"x"), tail.rjust(512, b"x"), 5_000)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"jsonrpc":"2.0","id":5}', "the answer can't be read: it has neither a result nor an error"),
        (b'{"id": 5, "jsonrpc": "2.0", "result": {"n": 01}}', "the answer can't be read: Invalid JSON"),
        (b'{"result":{"n":01},"jsonrpc":"2.0","id":5}', "the answer can't be read: Invalid JSON"),
        (NESTED, "the answer can't be read: it is nested more than 200 deep"),
        (b'{"jsonrpc":"2.0","id":5,"result":', "the answer can't be read: Invalid JSON: EOF"),
        (b'{"jsonrpc":"2.0","id":5,"result":"text"}', "the answer can't be read: "),
        (long_line(ANSWER, b'"}}'), "the answer has 5,000 bytes, and --max-result-bytes allows 2,000"),
        (long_line(b'{"result": {"a": "', b'"}, "id": 5}'), "the answer has 5,000 bytes"),
        (
            long_line(b'{"jsonrpc":"2.0","error": {"message": "', b'"}, "id": 5 , "jsonrpc": "2.0"}  '),
            "the answer has 5,000",
        ),
    ],
)
def test_unreadable_response_is_an_error_for_its_request(line: bytes | LongLine, reason: str) -> None:
    """Request 5 gets an error that gives the reason."""
    message = read_message(line, MAX_BYTES)
    assert isinstance(message, mcp_types.JSONRPCError)
    assert (message.id, message.error.code) == (5, INVALID_ANSWER)
    assert message.error.message.startswith(reason)


@pytest.mark.parametrize(
    "line",
    [
        b"Server is listening!",
        b"",
        b'{"jsonrpc":"2.0","id":null}',
        b"[]",
        b'{"jsonrpc":"2.0","id":5,"method":"sampling/createMessage","params":',  # a request of the server
        b'{"jsonrpc":"2.0","method":"x","params":{"id":5,"result":',
        long_line(b'{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"', b'"},"id":5}'),
        long_line(b'{"jsonrpc":"2.0","id":5,"method":"sampling/createMessage"', b'"}}'),
        long_line(b"garbage", b"garbage"),
    ],
)
def test_line_that_is_not_a_response_is_rejected(line: bytes | LongLine) -> None:
    """A line that cannot be a response to a client request raises `ValueError`."""
    with pytest.raises(ValueError, match="message"):
        read_message(line, MAX_BYTES)


def test_invalid_text_is_replaced() -> None:
    """Invalid UTF-8 and lone surrogates become U+FFFD, and the response is kept."""
    messages: list[Message] = [
        read_message(ANSWER + b"caf\xe9" + b'"}}', MAX_BYTES),
        read_message(ANSWER + rb"\ud83d" + b'"}}', MAX_BYTES),
    ]
    assert [message.result for message in messages if isinstance(message, mcp_types.JSONRPCResponse)] == [
        {"a": "caf\ufffd"},
        {"a": "\ufffd"},
    ]


@pytest.mark.parametrize(
    ("sent", "code", "text"),
    [
        ({"code": -32603, "message": "Internal error", "data": {"id": 7}}, -32603, 'Internal error (data: {"id": 7})'),
        ({"code": 1, "message": "no", "data": "why not"}, 1, "no (data: why not)"),
        ({"code": 1, "message": "no: why not", "data": "why not"}, 1, "no: why not"),
        ({"code": 1, "message": "no", "hint": "ask"}, 1, 'no (data: {"hint": "ask"})'),
        ({"code": 1, "message": "no", "data": 0}, 1, "no (data: 0)"),
        ({"code": -32000, "message": ""}, -32000, "an error without a message (-32000)"),
        ({"code": -32000, "message": " ", "data": []}, -32000, "an error without a message (-32000) (data: [])"),
        ({"code": -32000}, -32000, "an error without a message (-32000)"),
        ({"code": "E_QUOTA", "message": "no"}, MALFORMED_ERROR, 'no (data: {"code": "E_QUOTA"})'),
        ({"code": True, "message": "no"}, MALFORMED_ERROR, 'no (data: {"code": true})'),
        ({"message": "no"}, MALFORMED_ERROR, "no"),
        ({"code": 1, "message": {"text": "no"}}, 1, 'an error without a message (1) (data: {"message": {"text": "no"}})'),
        ({}, MALFORMED_ERROR, "an error without a message"),
        ("quota exceeded", MALFORMED_ERROR, "quota exceeded"),
        (["no", 1], MALFORMED_ERROR, '["no", 1]'),
        (42, MALFORMED_ERROR, "42"),
        (True, MALFORMED_ERROR, "true"),
        (None, MALFORMED_ERROR, "an error without a message"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("envelope", [{"jsonrpc": "2.0"}, {}, {"jsonrpc": "2.0", "result": None}])
def test_error_text_keeps_message_and_data(sent: Any, code: int, text: str, envelope: dict[str, Any]) -> None:
    """An error of any form answers its request, with the server's message and data."""
    message = read_message(json.dumps({"id": 5, "error": sent, **envelope}).encode(), MAX_BYTES)
    assert isinstance(message, mcp_types.JSONRPCError)
    assert (5, code, text) == (message.id, message.error.code, error_text(message.error))


def test_error_data_is_truncated() -> None:
    """Long error data is cut and followed by its length."""
    text = error_text(mcp_types.ErrorData(code=1, message="no", data="x" * 30_000))
    assert text.startswith("no (data: xxx")
    assert text.endswith("x… (30,000 characters))")
    assert len(text) < 20_100


@pytest.mark.parametrize(
    ("sent", "expected"), [('"5"', "5"), ("5.0", 5), ("null", None), ("true", None), ("5.5", None), ("[5]", None), ("{}", None)]
)  # fmt: skip
def test_response_id_is_normalized(sent: str, expected: str | int | None) -> None:
    """An ID is read as an integer or a string. Any other ID is read as None."""
    for outcome in ('"result": {}', '"error": {"code": 1, "message": "no"}'):
        message = read_message(f'{{"jsonrpc": "2.0", "id": {sent}, {outcome}}}'.encode(), MAX_BYTES)
        assert isinstance(message, mcp_types.JSONRPCResponse | mcp_types.JSONRPCError)
        assert (type(expected), expected) == (type(message.id), message.id)


@pytest.mark.parametrize(
    "line",
    [
        b'{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"caf\xe9"}}',
        long_line(b'{"jsonrpc":"2.0","id":null,"error":{"message":"', b'"}}'),
        long_line(b'{"error": {"message": "', b'"}, "id": null}'),
        b'{"error": {"message": "cut',
    ],
)
def test_error_without_an_id_is_a_message(line: bytes | LongLine) -> None:
    """An error whose ID is null is returned, since it may answer a pending request."""
    message = read_message(line, MAX_BYTES)
    assert isinstance(message, mcp_types.JSONRPCError)
    assert message.id is None


@pytest.mark.parametrize("result", ['{"n":01}', "{", "nil"])
def test_reason_does_not_depend_on_the_request_id(result: str) -> None:
    """Otherwise the output would vary with concurrency."""
    lines = [f'{{"jsonrpc":"2.0","id":{number},"result":{result}}}'.encode() for number in (5, 12345)]
    first, second = [read_message(line, MAX_BYTES) for line in lines]
    assert isinstance(first, mcp_types.JSONRPCError)
    assert isinstance(second, mcp_types.JSONRPCError)
    assert first.error == second.error
