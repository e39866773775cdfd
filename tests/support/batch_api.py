"""Run numbered queries with `--batch-api`, for tests of message batches."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.cli import RAW, Result, clean_environment, run_mcprun, write_jsonl
from tests.support.messages_api import Answer, Body, MessagesApi, calls, prompt_of, text, turn_of

QUERIES = 5

FLAGS = ("--batch-api", "--batch-wait", "600", "--batch-poll", "0.05", "--out", "run")


def two_turns(body: Body) -> Answer:
    """Answer a query in two turns, or in three if its number is odd: tool calls, then a text that names the query."""
    number = int(prompt_of(body).removeprefix("Query "))
    if turn_of(body) <= number % 2:
        return {**calls(("ok", {"n": number})), "usage": {"cache_read_input_tokens": 300, "input_tokens": 100}}
    return {**text(f"Query {number} is done."), "usage": {"cache_creation_input_tokens": 100, "input_tokens": 0}}


def ask(folder: Path, api: MessagesApi, *args: str | Path, queries: int = QUERIES, **more: Any) -> Result:
    """Run `queries` queries, numbered from 0. With `--resume`, resume a run instead."""
    write_jsonl(folder / "p.jsonl", *({"id": f"q{n}", "prompt": f"Query {n}", **more} for n in range(queries)))
    positional = () if "--resume" in args else ("p.jsonl", RAW)
    return run_mcprun("batch", *positional, *args, cwd=folder, env=key(api))


def key(api: MessagesApi) -> dict[str, str]:
    """Return the environment variables that set the API key and the stand-in's URL."""
    return {"ANTHROPIC_API_KEY": "sk-ant-test", "ANTHROPIC_BASE_URL": api.url}


WAITING, SEARCHING = "Waiting for batch", "which may be one whose id is unknown"


def started(folder: Path, api: MessagesApi, *flags: str, output: Sequence[str] = (WAITING,)) -> subprocess.Popen[str]:
    """Start a run, and wait until its stderr has contained each string in `output`."""
    process, missing = start_run(folder, api, *flags), list(output)
    assert process.stderr
    for line in process.stderr:
        for one in missing[:]:
            if one in line:
                missing.remove(one)
                break
        if not missing:
            return process
    raise AssertionError(f"the run ended without printing {missing}")


def start_run(folder: Path, api: MessagesApi, *flags: str) -> subprocess.Popen[str]:
    """Start a run in a process of its own."""
    write_jsonl(folder / "p.jsonl", *({"id": f"q{n}", "prompt": f"Query {n}"} for n in range(QUERIES)))
    command = [sys.executable, "-m", "mcprun", "batch", "p.jsonl", str(RAW), *FLAGS, *flags]
    env = {**clean_environment(), **key(api)}
    return subprocess.Popen(command, cwd=folder, env=env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


def end_all(api: MessagesApi) -> None:
    """End pending and future batches the next time that they are polled."""
    api.batches.looks = 1
    for batch in api.batches.all:
        batch.looks = 1
