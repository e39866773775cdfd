"""Which HTTP transport is used."""

from __future__ import annotations

import pytest

from mcprun.models.clients import direct_transport

PROXY = "http://proxy:3128"


@pytest.mark.parametrize(
    ("variables", "is_direct"),
    [
        ({}, True),
        ({"NO_PROXY": "localhost"}, True),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "localhost, *"}, True),
        ({"HTTP_PROXY": ""}, True),
        ({"HTTP_PROXY": PROXY}, False),
        ({"https_proxy": PROXY}, False),
        ({"ALL_PROXY": "socks5://proxy:1080", "NO_PROXY": "localhost"}, False),
    ],
)
def test_sdks_transport_is_used_if_any_proxy_is_configured(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], is_direct: bool
) -> None:
    """A redirect may lead to another host, so the whole environment counts, not just what applies to the API's URL."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert (direct_transport() is not None) == is_direct
