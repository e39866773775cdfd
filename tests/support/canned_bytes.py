"""Run mcprun against a server that sends given bytes, over stdio or HTTP, with either era of the protocol."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.cli import SERVERS, Result, run_mcprun, write_jsonl
from tests.support.loopback import end

SERVER = SERVERS / "canned_bytes.py"
COMPLETE = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
TOOL = {"name": "t", "description": "Give what is asked for.", "inputSchema": {"type": "object"}}
ERAS = ("legacy", "2026-07-28")
TRANSPORTS = ("stdio", "http")


def text_of(result: Any, era: str) -> str:
    """Return a result as JSON. A string is returned unchanged, so that it may be invalid JSON."""
    if isinstance(result, str):
        return result
    return json.dumps({**COMPLETE, **result} if era != "legacy" and isinstance(result, dict) else result)


def server_args(
    folder: Path,
    era: str,
    results: Mapping[str, Any] = {},
    pages: Mapping[str, Sequence[Any]] = {},
    later: Mapping[str, Sequence[Any]] = {},
) -> Path:
    """Write the server's results to a file and return its path. Without pages of `tools/list`, the server has the tool `t`."""

    def encode(pages: Mapping[str, Sequence[Any]]) -> dict[str, list[str]]:
        all_pages = {"tools/list": [{"tools": [TOOL]}], **pages}
        return {method: [text_of(page, era) for page in listing] for method, listing in all_pages.items()}

    file = folder / "responses.json"
    file.write_text(
        json.dumps({
            "modern": era != "legacy",
            "pages": encode(pages),
            "later": encode(later),
            "results": {key: text_of(result, era) for key, result in results.items()},
        })
    )  # fmt: skip
    return file


@contextmanager
def serving(file: Path, transport: str) -> Iterator[tuple[str, ...]]:
    """Yield the command-line arguments that name the server. Over HTTP, run it."""
    if transport == "stdio":
        yield (str(SERVER), "--", str(file))
        return
    command = [sys.executable, str(SERVER), str(file), "http"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        try:
            yield (f"http://127.0.0.1:{int(process.stdout.readline())}/mcp",)
        finally:
            end(process)


def played(folder: Path, file: Path, transport: str, *queries: Mapping[str, Any], flags: Sequence[str] = ()) -> Result:
    """Run queries against the server that `file` describes."""
    prompts = write_jsonl(folder / "p.jsonl", *queries)
    with serving(file, transport) as (server, *more):
        bounds = ("--call-timeout", "20", "--connect-timeout", "40")
        return run_mcprun("batch", prompts, server, *bounds, *flags, *more, cwd=folder)


def calling(key: str, **more: Any) -> dict[str, Any]:
    """Return a query that calls the tool `t` for the result `key`."""
    turns = [{"calls": [{"tool": "t", "input": {"key": key}}]}, {"text": "Done."}]
    return {"id": key, "prompt": "Do it.", "script": turns, **more}
