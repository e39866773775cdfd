"""Logging in: callback parameters, refusals, and the identity of a server."""

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
def test_no_query_is_an_answer_without_the_state(query: str, state: str) -> None:
    """Whatever a stranger sends, it is passed over."""
    assert answer_of(query, state) is None


def test_what_an_answer_says() -> None:
    """A code with the state is the answer, with the issuer where it is named (RFC 9207); an error is raised."""
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
def test_the_refusal_that_the_sdk_is_shown(
    status: int | None, header: str, scope: str | None, expected: tuple[int, str | None, str | None]
) -> None:
    """Scopes that somebody asks for take the place of the server's, and are added to for a call that needs more."""
    request = httpx2.Request("POST", "http://x")
    refusal = httpx2.Response(status, headers={"www-authenticate": header}, request=request) if status else None
    shown = challenge_for("http://x", refusal, scope)
    found = [extract_field_from_www_auth(shown, name) for name in ("scope", "resource_metadata")]
    assert (shown.status_code, *found) == expected


def test_entries_of_configurations() -> None:
    """What is no client is none; what is one, but of other types, is refused."""
    assert registered_client({"url": "x"}, "f") is None
    assert registered_client({"oauth": True}, "f") is None
    assert registered_client({"oauth": {"clientId": "a"}}, "f") == OAuthClient(client_id="a")
    wrongs: tuple[dict[str, Any], ...] = (
        {"clientId": 1},
        {"clientSecret": []},
        {"callbackPort": "x"},
        {"callbackPort": 0},
    )
    for wrong in wrongs:
        with pytest.raises(UsageError, match=r"^f: "):
            registered_client({"oauth": wrong}, "f")


def test_a_server_is_the_same_however_it_is_written() -> None:
    """Case of scheme and host, a fragment and a user make no other server; a path and a query do."""
    assert Key.of("HTTP://u:p@Example.COM/MCP?a#b") == Key.of("http://example.com/MCP?a")
    assert len({Key.of(f"http://x/{path}") for path in ("", "a", "A", "a?b")}) == 4
