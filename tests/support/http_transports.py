"""Run tests with each HTTP transport of the API's client: `pytestmark = pytest.mark.usefixtures("each_transport")`."""

from __future__ import annotations

import pytest

from tests.support import cli


@pytest.fixture(params=["direct", "proxy"])
def each_transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Configure a proxy for the second half of the tests, so that the SDK's own transport is used.

    The proxy is that of another scheme than the API's, and never asked.
    """
    if request.param == "proxy":
        monkeypatch.setitem(cli.COMMON, "HTTPS_PROXY", "http://127.0.0.1:9")
