"""A killed chat keeps every completed answer."""

from __future__ import annotations

import threading
from pathlib import Path

from tests.support.chats import answering, say, started
from tests.support.cli import (
    RAW,
    run_mcprun,
)
from tests.support.messages_api import Answer, text
from tests.support.messages_stream import Streamed


def test_a_killed_chat_keeps_completed_answers(tmp_path: Path) -> None:
    """After `kill -9` during an answer, `show` prints the earlier answers and a replay reproduces them."""
    request_arrived = threading.Event()

    def wait_for_close() -> None:
        request_arrived.set()
        api.closed.wait(60)

    answers: dict[str, list[Answer]] = {
        "Hi": [text("Hello.")],
        "Ho": [text("Yes?")],
        "Slow.": [Streamed(text("never"), wait=wait_for_close)],
    }
    with answering(answers) as api, started(api, tmp_path, RAW) as process:
        for line in answers:
            say(process, line)
        assert request_arrived.wait(60)
        process.kill()
        process.wait()
    shown = run_mcprun("show", "latest", "chat-1", cwd=tmp_path)
    assert (shown.code, "Yes?" in shown.stdout) == (0, True)
    prompts = tmp_path / "outputs" / "latest" / "prompts.jsonl"
    replay = run_mcprun("batch", prompts, RAW, "--model", "replay:latest", cwd=tmp_path)
    assert (replay.code, replay.transcripts[0]["prompt"]) == (0, ["Hi", "Ho"])
