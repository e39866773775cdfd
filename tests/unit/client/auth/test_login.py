"""Logging in: callback parameters, challenges, and the identity of a server."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.client.auth import OAuthFlowError
from mcp.client.auth.utils import extract_field_from_www_auth

from mcprun.client.auth.flow import challenge_for
from mcprun.client.auth.redirect import answer_of
from mcprun.client.auth.stored_token import Key
from mcprun.client.oauth_client import OAuthClient, registered_client
from mcprun.errors import UsageError


@given(query=st.text(max_size=20), state=st.text(st.characters(min_codepoint=48, max_codepoint=122), min_size=8))
def test_callback_without_the_state_is_ignored(query: str, state: str) -> None:
    """Any query string without the expected `state` returns None."""
    assert answer_of(query, state) is None


def test_callback_returns_the_code_or_raises_the_error() -> None:
    """The answer has the code, the state and the issuer (RFC 9207). An error response raises `OAuthFlowError`."""
    answer = answer_of("code=a%2Bb&state=s&iss=https%3A%2F%2Fx", "s")
    assert answer
    assert (answer.code, answer.state, answer.iss) == ("a+b", "s", "https://x")
    with pytest.raises(OAuthFlowError, match="returned access_denied: no"):
        answer_of("error=access_denied&error_description=no&state=s", "s")


@pytest.mark.parametrize(
    ("status", "header", "scope", "expected"),
    [
        (None, "", None, (401, None, None)),
        (401, 'Bearer scope="a b", resource_metadata="http://x/y"', None, (401, "a b", "http://x/y")),
        (401, 'Bearer scope="a b", resource_metadata="http://x/y"', "c", (401, "c", "http://x/y")),
        (403, 'Bearer error="insufficient_scope", scope="a"', "c", (403, "c a", None)),
        (403, "Bearer error=insufficient_scope, scope=a", None, (403, "a", None)),
    ],
)
def test_challenge_for_the_sdk_has_the_requested_scope(
    status: int | None, header: str, scope: str | None, expected: tuple[int, str | None, str | None]
) -> None:
    """A requested scope replaces the server's scope on 401, and is extended by it on 403."""
    request = httpx2.Request("POST", "http://x")
    response = httpx2.Response(status, headers={"www-authenticate": header}, request=request) if status else None
    challenge = challenge_for("http://x", response, scope)
    found = [extract_field_from_www_auth(challenge, name) for name in ("scope", "resource_metadata")]
    assert (challenge.status_code, *found) == expected


def test_oauth_entry_is_read_and_validated() -> None:
    """An entry without a client is None. A client with values of the wrong type is an error."""
    assert registered_client({"url": "x"}, "f") is None
    assert registered_client({"oauth": True}, "f") is None
    assert registered_client({"oauth": {"clientId": "a"}}, "f") == OAuthClient(client_id="a")
    invalid_entries: tuple[dict[str, Any], ...] = (
        {"clientId": 1},
        {"clientSecret": []},
        {"callbackPort": "x"},
        {"callbackPort": 0},
    )
    for entry in invalid_entries:
        with pytest.raises(UsageError, match=r"^f: "):
            registered_client({"oauth": entry}, "f")


def test_server_key_is_normalized() -> None:
    """Case of scheme and host, a fragment and user information are ignored. Path and query are not."""
    assert Key.of("HTTP://u:p@Example.COM/MCP?a#b") == Key.of("http://example.com/MCP?a")
    assert len({Key.of(f"http://x/{path}") for path in ("", "a", "A", "a?b")}) == 4
