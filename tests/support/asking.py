"""Run queries against the stand-in of the Messages API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.cli import Result, run_mcprun, write_jsonl
from tests.support.messages_api import MessagesApi

KEY = "sk-ant-test"


def ask(
    folder: Path, api: MessagesApi, server: Path, *args: str, key: str = KEY, queries: tuple[Any, ...] = ("Hello?",)
) -> Result:
    """Run queries with the API key and the stand-in's URL in the environment."""
    prompts = write_jsonl(folder / "p.jsonl", *queries)
    env = {"ANTHROPIC_API_KEY": key, "ANTHROPIC_BASE_URL": api.url}
    return run_mcprun("batch", prompts, server, *args, cwd=folder, env=env)
