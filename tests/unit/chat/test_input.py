"""Keys typed in a chat, through prompt_toolkit's pipe input."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput

from mcprun.chat.terminal.input import Terminal, history_file

ROUNDS = 10_000
"""Maximum number of event loop iterations to wait for a completion."""


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PipeInput]:
    """Return an input to send keys to.

    The history is stored below, and files are completed in, a folder of the test.
    """
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    with create_pipe_input() as pipe:
        yield pipe


def make_terminal(keys: PipeInput) -> Terminal:
    """Return a terminal for a server with two tools, with `hush` as a secret."""
    clean = "[redacted]".join
    return Terminal(lambda: ["add", "look_up"], lambda line: clean(line.split("hush")), keys, DummyOutput())


async def complete(keys: PipeInput, typed: str, expected: str) -> str | None:
    """Type the text and Tab, wait for the expected line, press Enter, and return the line."""
    terminal = make_terminal(keys)
    reading = asyncio.create_task(terminal.line())
    keys.send_text(f"{typed}\t")
    for _ in range(ROUNDS):
        if terminal._session.default_buffer.text == expected:
            break
        await asyncio.sleep(0)
    keys.send_text("\r")
    return await reading


@pytest.mark.parametrize(
    ("typed", "line"),
    [("hi\r", "hi"), ("no\x03hi\r", "hi"), ("\x04", None), ("one\r", "one")],
)
async def test_keys_at_the_prompt(keys: PipeInput, typed: str, line: str | None) -> None:
    """Enter returns the line, Ctrl-C clears it, and Ctrl-D on an empty line ends the input."""
    keys.send_text(typed)
    assert await make_terminal(keys).line() == line


@pytest.mark.parametrize(("typed", "answer"), [("y\r", "y"), ("\x03", None), ("\x04", None)])
async def test_keys_at_a_question(keys: PipeInput, typed: str, answer: str | None) -> None:
    """Ctrl-C and Ctrl-D answer a question with None, and no answer is stored in the history."""
    keys.send_text(typed)
    assert await make_terminal(keys).answer("sure? ") == answer
    assert history_file().read_text() == ""


@pytest.mark.parametrize(
    ("typed", "line"),
    [("/he", "/help"), ("/tool lo", "/tool look_up"), ("use ad", "use add"), ("/save que", "/save queries.jsonl")],
)
async def test_tab_completes_commands_tools_and_files(keys: PipeInput, tmp_path: Path, typed: str, line: str) -> None:
    """Tab completes commands, tool names, and file names after `/save`."""
    (tmp_path / "queries.jsonl").touch()
    assert await complete(keys, typed, line) == line


async def test_the_history_is_private_and_redacted(keys: PipeInput) -> None:
    """The next chat recalls the line with the up key.

    The history file has mode 0600, and secrets in it are redacted.
    """
    keys.send_text("say hush now\r")
    await make_terminal(keys).line()
    keys.send_text("\x1b[A\r")
    assert await make_terminal(keys).line() == "say [redacted] now"
    assert stat.S_IMODE(history_file().stat().st_mode) == 0o600
    assert "hush" not in history_file().read_text()


async def test_an_unwritable_history_does_not_fail_the_chat(keys: PipeInput, tmp_path: Path) -> None:
    """If a file has the name of the history's folder, the chat keeps its history in memory."""
    (tmp_path / "state").write_text("")
    keys.send_text("hi\r")
    assert await make_terminal(keys).line() == "hi"
