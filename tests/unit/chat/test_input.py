"""Keys pressed in a chat, by prompt_toolkit's own input for tests."""

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
"""So often the loop may turn until a completion has come."""


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PipeInput]:
    """Give what is typed into; the history is written below a folder of the test, where files are looked for as well."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    with create_pipe_input() as pipe:
        yield pipe


def terminal(keys: PipeInput) -> Terminal:
    """Make a terminal of a server with two tools, in which `hush` is a secret."""
    clean = "[redacted]".join
    return Terminal(lambda: ["add", "look_up"], lambda line: clean(line.split("hush")), keys, DummyOutput())


async def completed(keys: PipeInput, typed: str, expected: str) -> str | None:
    """Type this and Tab, wait until the line is as expected, press Enter; give the line."""
    one = terminal(keys)
    waiting = asyncio.create_task(one.line())
    keys.send_text(f"{typed}\t")
    for _ in range(ROUNDS):
        if one._session.default_buffer.text == expected:
            break
        await asyncio.sleep(0)
    keys.send_text("\r")
    return await waiting


@pytest.mark.parametrize(
    ("typed", "line"),
    [("hi\r", "hi"), ("no\x03hi\r", "hi"), ("\x04", None), ("one\r", "one")],
)
async def test_keys_at_the_prompt(keys: PipeInput, typed: str, line: str | None) -> None:
    """Enter says the line, Ctrl-C clears it, Ctrl-D on an empty one is the end."""
    keys.send_text(typed)
    assert await terminal(keys).line() == line


@pytest.mark.parametrize(("typed", "answer"), [("y\r", "y"), ("\x03", None), ("\x04", None)])
async def test_keys_at_a_question(keys: PipeInput, typed: str, answer: str | None) -> None:
    """Ctrl-C and Ctrl-D are no answer; what is answered is not in the history."""
    keys.send_text(typed)
    assert await terminal(keys).answer("sure? ") == answer
    assert history_file().read_text() == ""


@pytest.mark.parametrize(
    ("typed", "line"),
    [("/he", "/help"), ("/tool lo", "/tool look_up"), ("use ad", "use add"), ("/save que", "/save queries.jsonl")],
)
async def test_tab_completes(keys: PipeInput, tmp_path: Path, typed: str, line: str) -> None:
    """Commands, names of tools, and files after `/save`."""
    (tmp_path / "queries.jsonl").touch()
    assert await completed(keys, typed, line) == line


async def test_the_history_is_kept_for_this_user_alone(keys: PipeInput) -> None:
    """The next chat finds the line with the up key; nobody else may read the file, and a secret is not in it."""
    keys.send_text("say hush now\r")
    await terminal(keys).line()
    keys.send_text("\x1b[A\r")
    assert await terminal(keys).line() == "say [redacted] now"
    assert stat.S_IMODE(history_file().stat().st_mode) == 0o600
    assert "hush" not in history_file().read_text()


async def test_a_history_that_can_not_be_written_is_no_reason_to_fail(keys: PipeInput, tmp_path: Path) -> None:
    """Where a file stands in the way of the folder, the chat has a history of its own."""
    (tmp_path / "state").write_text("")
    keys.send_text("hi\r")
    assert await terminal(keys).line() == "hi"
