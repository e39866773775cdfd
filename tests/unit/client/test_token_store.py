"""Files of stored tokens that can't be read are named, and none of their content is repeated."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcprun.client.auth.stored_token import Key
from mcprun.client.auth.token_store import TokenStore

KEY = Key("https://api.test/mcp", "login")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "is an empty file"),
        (
            '{"url": "https://api.test/mcp", "grant": {"access_token": "s3cr3t',
            "is incomplete JSON (it ends at line 1, column 65)",
        ),
        ('{"grant" "s3cr3t"}', "is invalid JSON (expecting ':' delimiter at line 1, column 10)"),
        ("[]", "is not a file of stored tokens"),
        ('{"grant": {"access_token": ["s3cr3t"]}}', "is not a file of stored tokens"),
    ],
)
def test_a_damaged_file_of_tokens_is_described(tmp_path: Path, content: str, expected: str) -> None:
    """The message names the file and what is wrong with it, without its secrets."""
    store = TokenStore(tmp_path)
    file = store._file(KEY)
    file.write_text(content)
    assert (store.read(KEY), store.damage(KEY)) == (None, f"{file} {expected}")


def test_a_missing_file_of_tokens_is_not_damaged(tmp_path: Path) -> None:
    """Without a file there is nothing to describe."""
    assert TokenStore(tmp_path).damage(KEY) == ""
