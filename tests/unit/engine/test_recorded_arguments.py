"""The arguments that a run records of its options."""

from __future__ import annotations

import pytest

from mcprun.engine.options import Options
from mcprun.engine.recorded_arguments import option_arguments
from mcprun.limits import Limits


def test_options_of_a_program_are_recorded_as_a_command_records_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are those of the command's parameters, defaults are left out, and no value of a secret is kept."""
    monkeypatch.setenv("SHARED", "s3cret-shared")
    options = Options(
        model="script",
        env={"KEY": "s3cret-key", "SHARED": "s3cret-shared"},
        headers={"Authorization": "Bearer s3cret"},
        token="s3cret-token",
        base_url="http://user:s3cret@localhost/v1",
        redact=["s3cret-pattern"],
        server_args=["--url", "https://me:s3cret@localhost/"],
        filters=["a*"],
        roots=["."],
        env_files=["a.env"],
        limits=Limits(call_seconds=3, max_turns=4),
    )
    recorded = option_arguments(options)
    assert "s3cret" not in str(recorded)
    assert recorded == {
        "model": "script",
        "env": ["KEY=[redacted]", "SHARED"],
        "header": ["Authorization: [redacted]"],
        "token": "[redacted]",
        "base_url": "http://[redacted]@localhost/v1",
        "redact": ["[redacted]"],
        "server_args": ["--url", "https://[redacted]@localhost/"],
        "filters": ["a*"],
        "roots": ["."],
        "env_files": ["a.env"],
        "call_timeout": 3.0,
        "max_turns": 4,
    }


def test_default_options_record_nothing() -> None:
    """Only what differs from a default is recorded."""
    assert option_arguments(Options()) == {}
