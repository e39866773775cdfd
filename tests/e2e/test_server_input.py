"""Prompts and resources of third-party servers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support import npm
from tests.support.cli import run_mcprun, write_jsonl


def query(**more: Any) -> dict[str, Any]:
    """Return a query whose script is one text turn."""
    return {"id": "q", "script": [{"text": "Done."}], **more}


def test_prompts_and_resources_of_server_everything(tmp_path: Path) -> None:
    """Prompts load without arguments, with arguments and with an embedded resource, and a resource by its template."""
    if missing := npm.missing():
        pytest.skip(f"{' and '.join(missing)} not installed: servers from npm need it")
    server = f"node {npm.node_modules()}/@modelcontextprotocol/server-everything/dist/index.js"
    embedded = {"name": "resource-prompt", "arguments": {"resourceType": "Text", "resourceId": "1"}}
    prompts = write_jsonl(
        tmp_path / "p.jsonl",
        {**query(server_prompt="simple-prompt"), "id": "simple"},
        {**query(server_prompt={"name": "args-prompt", "arguments": {"city": "Oslo"}}), "id": "arguments"},
        {**query(server_prompt=embedded), "id": "embedded"},
        {**query(resources=["demo://resource/dynamic/text/1"], prompt="x"), "id": "template"},
        {**query(server_prompt={"name": "args-prompt"}), "id": "missing"},
    )
    done = run_mcprun("batch", prompts, server, cwd=tmp_path)
    assert done.verdicts == dict.fromkeys(("simple", "arguments", "embedded", "template"), "passed") | {
        "missing": "error"
    }
    message = done.transcripts[-1]["error"]["message"]
    assert message.startswith(
        'prompt "args-prompt" could not be loaded: MCP error -32602: Invalid arguments for prompt '
    )
    assert message.endswith("; missing arguments: city")
    assert "Oslo" in done.transcripts[1]["messages"][0]["content"][0]["text"]
    assert "[resource demo://resource/dynamic/text/1]" in json.dumps(done.transcripts[3]["messages"][0])
    listed = run_mcprun("tools", server, "--all", cwd=tmp_path).stdout
    assert "args-prompt{city, state?}" in listed
    assert "demo://resource/dynamic/text/{resourceId}" in listed
