"""Lines of a server's stdout: split, bounded, and read without waiting in vain."""

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
def test_lines_are_what_stands_between_line_ends(parts: list[bytes], size: int) -> None:
    """However the bytes come in, the same lines come out, and what has not ended is counted."""
    data = b"\n".join(parts)
    lines = LineSplitter(1_000_000)
    found = [line for at in range(0, len(data), size) for line in lines.feed(data[at : at + size])]
    *ended, rest = data.split(b"\n")
    assert found == ended
    assert lines.pending == len(rest)


@given(st.integers(MAX_BYTES + 1, 3 * MAX_BYTES), st.integers(1, 900), st.integers(0, 5))
def test_long_lines_keep_their_ends(length: int, size: int, short: int) -> None:
    """Of a line above the bound both ends and its length are kept, and the next line is whole."""
    data = bytes(33 + number % 90 for number in range(length))
    whole = data + b"\n" + b"x" * short + b"\n"
    lines = LineSplitter(MAX_BYTES)
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
    message = read_message(line, MAX_BYTES)
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
        (b'{"id": 5, "jsonrpc": "2.0", "result": {"n": 01}}', "the answer can't be read: Invalid JSON"),
        (b'{"result":{"n":01},"jsonrpc":"2.0","id":5}', "the answer can't be read: Invalid JSON"),
        (NESTED, "the answer can't be read: it is nested more than 200 deep"),
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
    message = read_message(line, MAX_BYTES)
    assert isinstance(message, mcp_types.JSONRPCError)
    assert (message.id, message.error.code) == (5, INVALID_ANSWER)
    assert message.error.message.startswith(why)


@pytest.mark.parametrize(
    "line",
    [
        b"Server is listening!",
        b"",
        b'{"jsonrpc":"2.0","id":null}',
        b"[]",
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
        read_message(line, MAX_BYTES)


def test_broken_text_is_kept() -> None:
    """Invalid UTF-8 and halves of surrogate pairs do not cost the answer."""
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
@pytest.mark.parametrize("more", [{"jsonrpc": "2.0"}, {}, {"jsonrpc": "2.0", "result": None}])
def test_an_error_keeps_all_that_the_server_sent(sent: Any, code: int, text: str, more: dict[str, Any]) -> None:
    """An error of any form answers its request, with the server's own words and data."""
    message = read_message(json.dumps({"id": 5, "error": sent, **more}).encode(), MAX_BYTES)
    assert isinstance(message, mcp_types.JSONRPCError)
    assert (5, code, text) == (message.id, message.error.code, error_text(message.error))


def test_the_data_of_an_error_is_bounded() -> None:
    """Of data without an end the beginning is repeated, with its length."""
    text = error_text(mcp_types.ErrorData(code=1, message="no", data="x" * 30_000))
    assert text.startswith("no (data: xxx")
    assert text.endswith("x… (30,000 characters))")
    assert len(text) < 20_100


@pytest.mark.parametrize(
    ("sent", "read"), [('"5"', "5"), ("5.0", 5), ("null", None), ("true", None), ("5.5", None), ("[5]", None), ("{}", None)]
)  # fmt: skip
def test_the_id_of_an_answer_is_read_as_a_request_may_have_it(sent: str, read: str | int | None) -> None:
    """An id that no request can have is none."""
    for what in ('"result": {}', '"error": {"code": 1, "message": "no"}'):
        message = read_message(f'{{"jsonrpc": "2.0", "id": {sent}, {what}}}'.encode(), MAX_BYTES)
        assert isinstance(message, mcp_types.JSONRPCResponse | mcp_types.JSONRPCError)
        assert (type(read), read) == (type(message.id), message.id)


@pytest.mark.parametrize(
    "line",
    [
        b'{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"caf\xe9"}}',
        long(b'{"jsonrpc":"2.0","id":null,"error":{"message":"', b'"}}'),
        long(b'{"error": {"message": "', b'"}, "id": null}'),
        b'{"error": {"message": "cut',
    ],
)
def test_an_answer_without_an_id_is_an_answer(line: bytes | LongLine) -> None:
    """Nothing is lost of it: it may be the only answer that somebody waits for."""
    message = read_message(line, MAX_BYTES)
    assert isinstance(message, mcp_types.JSONRPCError)
    assert message.id is None


@pytest.mark.parametrize("result", ['{"n":01}', "{", "nil"])
def test_why_an_answer_can_not_be_read_does_not_depend_on_its_id(result: str) -> None:
    """Else the same server would give other bytes at another concurrency."""
    answers = [f'{{"jsonrpc":"2.0","id":{number},"result":{result}}}'.encode() for number in (5, 12345)]
    short, long = [read_message(answer, MAX_BYTES) for answer in answers]
    assert isinstance(short, mcp_types.JSONRPCError)
    assert isinstance(long, mcp_types.JSONRPCError)
    assert short.error == long.error
