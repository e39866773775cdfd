"""Usage errors that Python and servers' arguments raise hold no secret."""

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
async def test_nor_is_one_that_python_gives(options: dict[str, Any]) -> None:
    """`run_batch` raises an error without it."""
    with pytest.raises(UsageError) as raised:
        await run_batch(["Hello?"], URL, Options(model="script", **options))
    assert SECRET not in str(raised.value)


def test_nor_is_one_of_the_servers_arguments_in_pytest() -> None:
    """Quotes that are not closed are an error of usage there, too."""
    with pytest.raises(UsageError, match="can't parse the server's arguments after --: no closing quotation") as raised:
        split(f"server.py -- --key '{SECRET}")
    assert SECRET not in str(raised.value)
