"""HTTP bodies, headers and messages, without a server."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from email.utils import formatdate
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun.client.transports.http_answers import read_error, read_message
from mcprun.client.transports.http_body import MAX_BODY_CHARS, body_text, without_id
from mcprun.client.transports.http_failure import (
    HttpFailure,
    begin_delivery,
    current_delivery,
    delivery,
    retry_after_of,
)
from mcprun.client.transports.http_reports import is_followed
from mcprun.client.transports.legacy_sse import events_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        ("text/plain", b"  out of\r\n order ", "out of order"),
        ("", b"no type", "no type"),
        ("text/html", b"<title>Oh</title><h1>Oh</h1><style>a{}</style><p>no<br>way &lt;3</p>", "Oh no way <3"),
        ("text/plain", b"<!doctype html><p>as text", "as text"),
        ("text/html", b"<p>cut off", "cut off"),
        ("text/html", b"<![bad[<p>odd", "odd"),
        ("application/json", b'{"error": {"code": 7, "message": "no"}}', "no"),
        (
            "application/json",
            b'{"error": "invalid_grant", "error_description": "it is over"}',
            "invalid_grant: it is over",
        ),
        ("application/json", b'{"detail": [{"loc": ["x"], "detail": "is missing"}]}', "is missing"),
        ("application/json", b'{"message": "twice", "error": "twice"}', "twice"),
        ("application/json", b'{"n": 1}', '{"n": 1}'),
        ("application/json", b'{"n": ', '{"n":'),
        ("text/plain", b"caf\xe9", "caf\ufffd"),
        ("image/png", b"\x89PNG", "image/png, 4 bytes"),
        ("text/plain", b"", ""),
    ],
)
def test_body_is_shown_as_one_line(kind: str, body: bytes, expected: str) -> None:
    """Markup is removed. A body without text is described by type and size."""
    assert body_text(body, kind) == expected


@given(st.binary(max_size=300), st.sampled_from(["text/html", "application/json", "text/plain", "", "image/png"]))
def test_any_body_is_shown_as_one_bounded_line(body: bytes, kind: str) -> None:
    """No body raises an error or exceeds the length limit."""
    text = body_text(body * 20, kind)
    assert (len(text) <= MAX_BODY_CHARS + 40, len(text.splitlines()) <= 1) == (True, True)
    text.encode()


def test_retry_after_is_seconds_or_a_date() -> None:
    """A `Retry-After` value that cannot be parsed is None."""
    parsed = {
        value: retry_after_of({"retry-after": value}) for value in ("7", " 0 ", "-1", "soon", "", "1.5", "\u0663")
    }
    assert parsed == {"7": 7.0, " 0 ": 0.0, "-1": None, "soon": None, "": None, "1.5": None, "\u0663": None}
    assert retry_after_of({}) is None
    assert retry_after_of({"retry-after": formatdate(0, usegmt=True)}) == 0.0
    later = retry_after_of({"retry-after": formatdate(time.time() + 1000, usegmt=True)})
    assert later is not None
    assert 900 < later < 1001


@given(JSON, st.none() | st.text() | st.just(7) | st.just("7") | st.lists(st.integers(), max_size=1))
def test_result_gets_the_id_of_its_request(value: Any, number: Any) -> None:
    """A response whose `id` is missing or not an integer is matched to the request that it arrived for."""
    body = json.dumps({"jsonrpc": "2.0", "id": number, "result": {"content": value}}).encode()
    data, message = read_message(body, 7)
    assert message.model_dump()["id"] == 7
    assert json.loads(data)["id"] == 7
    data.decode()


@given(st.binary(max_size=100) | JSON.map(lambda value: json.dumps(value).encode()))
def test_invalid_message_raises_only_value_error(body: bytes) -> None:
    """Arbitrary bytes raise no other exception."""
    with suppress(ValueError):
        read_message(body, 7)
    assert read_error(body, 7) is None


def test_response_to_another_request_is_rejected() -> None:
    """An integer `id` that differs from the request's raises `ValueError`."""
    with pytest.raises(ValueError, match="the id of another request"):
        read_message(b'{"jsonrpc": "2.0", "id": 8, "result": {}}', 7)


@pytest.mark.parametrize("number", [7, "listen-1"])
def test_request_id_is_removed(number: int | str) -> None:
    """The request's ID is removed, and other IDs are kept.

    The SDK uses integers, and strings for `subscriptions/listen`.
    """
    body = json.dumps([{"id": number, "x": 1}, {"id": 77}, {"id": number}]).encode()
    assert json.loads(without_id(body, number)) == [{"id": None, "x": 1}, {"id": 77}, {"id": None}]
    assert read_message(b'{"jsonrpc": "2.0", "id": null, "result": {}}', number)[1].model_dump()["id"] == number


def test_failure_message_does_not_repeat_the_reason() -> None:
    """The message has the status, the cause and the body. A body that only repeats the reason phrase is omitted."""
    assert HttpFailure(404, "Not Found", body_text="not found").message() == "HTTP 404 Not Found"
    assert (
        HttpFailure(401, "Unauthorized", cause="log in", body_text="who?").message()
        == "HTTP 401 Unauthorized: log in: who?"
    )
    assert HttpFailure(599).message() == "HTTP 599"
    assert [HttpFailure(status).problem for status in (500, 202, 200)] == ["http 500", "http 202", "invalid answer"]


def test_delivery_ends_with_its_context() -> None:
    """A delivery ends with its context, so that a refused request is not sent to another session."""
    with delivery() as sent:
        assert current_delivery() is sent
    assert (sent.has_ended, current_delivery() is sent) == (True, False)
    assert current_delivery() is not begin_delivery()


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/mcp/", True),
        ("http://a:80/mcp", True),
        ("https://a/mcp", True),
        ("https://a:444/mcp", False),
        ("http://b/mcp", False),
        ("http://a:81/", False),
        ("http://me:it@a/mcp", False),
    ],
)
def test_redirects_are_followed_within_one_origin(location: str, expected: bool) -> None:
    """A redirect to HTTPS on the same host is also followed, as in the SDK."""
    sent = httpx2.Request("POST", "http://a/mcp")
    response = httpx2.Response(307, request=sent)
    response.next_request = httpx2.Request("POST", sent.url.join(location))
    assert is_followed(response) is expected


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_events_do_not_depend_on_chunk_size(size: int) -> None:
    """The stream has names, comments, multi-line data, both line endings, and data above the size limit."""
    body = (
        b": hi\r\nevent: endpoint\r\ndata: /post\r\n\r\n\ndata: one\ndata:two\nid: 3\n\ndata: "
        + b"x" * 100
        + b"\n\ndata: cut"
    )

    async def chunks() -> Any:
        for start in range(0, len(body), size):
            yield body[start : start + size]

    found = [event async for event in events_of(httpx2.Response(200, content=chunks()), 50)]
    first, second, (name, long) = found
    assert (first, second) == ((b"endpoint", b"/post"), (b"message", b"one\ntwo"))
    assert (name, getattr(long, "tail", b"")[-5:], getattr(long, "length", 0) >= 100) == (b"message", b"xxxxx", True)
