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
    ("kind", "body", "words"),
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
def test_words_of_a_body(kind: str, body: bytes, words: str) -> None:
    """One line, without markup; what has no words is named by type and size."""
    assert body_text(body, kind) == words


@given(st.binary(max_size=300), st.sampled_from(["text/html", "application/json", "text/plain", "", "image/png"]))
def test_words_of_any_body_are_one_bounded_line(body: bytes, kind: str) -> None:
    """Nothing that a server sends raises, or is longer than what is shown."""
    words = body_text(body * 20, kind)
    assert (len(words) <= MAX_BODY_CHARS + 40, len(words.splitlines()) <= 1) == (True, True)
    words.encode()


def test_retry_after_is_seconds_or_a_date() -> None:
    """What cannot be read is no wish to be asked again."""
    read = {value: retry_after_of({"retry-after": value}) for value in ("7", " 0 ", "-1", "soon", "", "1.5", "\u0663")}
    assert read == {"7": 7.0, " 0 ": 0.0, "-1": None, "soon": None, "": None, "1.5": None, "\u0663": None}
    assert retry_after_of({}) is None
    assert retry_after_of({"retry-after": formatdate(0, usegmt=True)}) == 0.0
    later = retry_after_of({"retry-after": formatdate(time.time() + 1000, usegmt=True)})
    assert later is not None
    assert 900 < later < 1001


@given(JSON, st.none() | st.text() | st.just(7) | st.just("7") | st.lists(st.integers(), max_size=1))
def test_a_result_is_read_whatever_it_holds(value: Any, number: Any) -> None:
    """With an `id` of any other type than a number, or with none, it answers the request that it came for."""
    body = json.dumps({"jsonrpc": "2.0", "id": number, "result": {"content": value}}).encode()
    data, message = read_message(body, 7)
    assert message.model_dump()["id"] == 7
    assert json.loads(data)["id"] == 7
    data.decode()


@given(st.binary(max_size=100) | JSON.map(lambda value: json.dumps(value).encode()))
def test_what_is_no_message_is_a_value_error(body: bytes) -> None:
    """Any bytes at all."""
    with suppress(ValueError):
        read_message(body, 7)
    assert read_error(body, 7) is None


def test_the_answer_to_another_request_is_not_taken() -> None:
    """Its `id` is a number, and not the request's."""
    with pytest.raises(ValueError, match="the id of another request"):
        read_message(b'{"jsonrpc": "2.0", "id": 8, "result": {}}', 7)


@pytest.mark.parametrize("number", [7, "listen-1"])
def test_the_id_of_a_request_is_not_shown(number: int | str) -> None:
    """The SDK gives numbers to most requests, and text to those that listen; the ids of others stay."""
    body = json.dumps([{"id": number, "x": 1}, {"id": 77}, {"id": number}]).encode()
    assert json.loads(without_id(body, number)) == [{"id": None, "x": 1}, {"id": 77}, {"id": None}]
    assert read_message(b'{"jsonrpc": "2.0", "id": null, "result": {}}', number)[1].model_dump()["id"] == number


def test_a_failure_names_the_status_the_cause_and_the_words_once() -> None:
    """Words that only repeat the reason are left out."""
    assert HttpFailure(404, "Not Found", body_text="not found").message() == "HTTP 404 Not Found"
    assert (
        HttpFailure(401, "Unauthorized", cause="log in", body_text="who?").message()
        == "HTTP 401 Unauthorized: log in: who?"
    )
    assert HttpFailure(599).message() == "HTTP 599"
    assert [HttpFailure(status).problem for status in (500, 202, 200)] == ["http 500", "http 202", "invalid answer"]


def test_a_delivery_is_over_with_its_context() -> None:
    """Then a request that was refused is sent to no other session."""
    with delivery() as sent:
        assert current_delivery() is sent
    assert (sent.has_ended, current_delivery() is sent) == (True, False)
    assert current_delivery() is not begin_delivery()


@pytest.mark.parametrize(
    ("to", "is_so"),
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
def test_redirects_are_followed_at_one_origin(to: str, is_so: bool) -> None:
    """Or to HTTPS there, as in the SDK."""
    sent = httpx2.Request("POST", "http://a/mcp")
    response = httpx2.Response(307, request=sent)
    response.next_request = httpx2.Request("POST", sent.url.join(to))
    assert is_followed(response) is is_so


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_events_are_read_in_pieces_of_any_size(size: int) -> None:
    """Names, comments, several lines of data, both ends of lines, and data that is too long."""
    body = (
        b": hi\r\nevent: endpoint\r\ndata: /post\r\n\r\n\ndata: one\ndata:two\nid: 3\n\ndata: "
        + b"x" * 100
        + b"\n\ndata: cut"
    )

    async def parts() -> Any:
        for start in range(0, len(body), size):
            yield body[start : start + size]

    found = [event async for event in events_of(httpx2.Response(200, content=parts()), 50)]
    first, second, (name, long) = found
    assert (first, second) == ((b"endpoint", b"/post"), (b"message", b"one\ntwo"))
    assert (name, getattr(long, "tail", b"")[-5:], getattr(long, "length", 0) >= 100) == (b"message", b"xxxxx", True)
