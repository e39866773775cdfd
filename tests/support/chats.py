"""Run `mcprun chat` in a process, and answer it from the stand-in of the Messages API."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.cli import SERVERS, clean_environment
from tests.support.messages_api import Answer, Body, MessagesApi

KEY = "sk-ant-test"
SHELF = SERVERS / "shelf.py"


def answering(conversation: Mapping[str, Sequence[Answer]]) -> MessagesApi:
    """Return a stand-in of the API that answers each user message, found by its text, with a sequence of turns."""

    def answer(body: Body) -> Answer:
        texts = [(at, text) for at, message in enumerate(body["messages"]) if (text := _text(message))]
        at, text = texts[-1]
        turn = sum(message["role"] == "assistant" for message in body["messages"][at:])
        reply: Answer = conversation[text][turn]
        return reply

    return MessagesApi(answer)


def _text(message: dict[str, Any]) -> str:
    """Return the last text block of a user message.

    It has several if the assistant's message between them was empty.
    """
    if message["role"] != "user":
        return ""
    content = message["content"]
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return next((block["text"] for block in reversed(blocks) if block["type"] == "text"), "")


def environment(api: MessagesApi, state: Path) -> dict[str, str]:
    """Return the environment variables of a chat with the stand-in. The history is stored under `state`."""
    return {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": api.url, "XDG_STATE_HOME": str(state)}


@contextmanager
def started(api: MessagesApi, folder: Path, *args: str | Path) -> Iterator[subprocess.Popen[str]]:
    """Run a chat in a process with pipes for its streams; kill it when the context exits."""
    process = subprocess.Popen(
        [sys.executable, "-m", "mcprun", "chat", *map(str, args)],
        cwd=folder, env=clean_environment() | environment(api, folder / "state"), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def say(process: subprocess.Popen[str], line: str) -> None:
    """Write a line to stdin."""
    assert process.stdin
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def until(process: subprocess.Popen[str], words: str) -> str:
    """Read stdout until a line contains `words`; return everything read."""
    assert process.stdout
    read = ""
    for line in process.stdout:
        read += line
        if words in line:
            return read
    raise AssertionError(f"{words!r} was never printed:\n{read}")
