"""Usage errors from Python options and server arguments contain no secret."""

from __future__ import annotations

from typing import Any

import pytest

from mcprun import Options, UsageError, run_batch
from mcprun.pytest_plugin.config import split

SECRET = "s3cret-9f8e7d6c"

URL = "http://127.0.0.1:9/mcp"


@pytest.mark.parametrize(
    "options",
    [{"redact": (f"({SECRET}",)}, {"token": f"env:{SECRET}"}, {"oauth_client_secret": SECRET}, {"oauth_private_key": SECRET}],
)  # fmt: skip
async def test_run_batch_errors_contain_no_secret(options: dict[str, Any]) -> None:
    """`run_batch` raises a usage error without the secret of the invalid option."""
    with pytest.raises(UsageError) as raised:
        await run_batch(["Hello?"], URL, Options(model="script", **options))
    assert SECRET not in str(raised.value)


def test_pytest_server_argument_errors_contain_no_secret() -> None:
    """Unclosed quotes in the server's arguments are a usage error without the arguments."""
    with pytest.raises(UsageError, match="can't parse the server's arguments after --: no closing quotation") as raised:
        split(f"server.py -- --key '{SECRET}")
    assert SECRET not in str(raised.value)
