"""`mcprun chat` in a tmux terminal: keys are typed and the screen is read. A stub API stands in for the model."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from tests.support import tmux
from tests.support.chats import SHELF, answering, environment
from tests.support.cli import read_jsonl, run_mcprun
from tests.support.messages_api import Answer, calls, text
from tests.support.messages_stream import Streamed

pytestmark = [
    pytest.mark.skipif(tmux.missing(), reason="tmux is not installed"),
]


def test_a_chat_at_a_terminal(tmp_path: Path) -> None:
    """A chat streams text, shows calls and asks before a destructive one.

    Ctrl-C stops an answer or clears the input, Tab completes commands, and the file that `/save` writes runs.
    """
    send_rest = threading.Event()
    answers: dict[str, list[Answer]] = {
        "Look around.": [Streamed(calls(("look", {"book": "a"}), text="Let me see what is there."), 2, send_rest.wait), text("Books.")],
        "Burn it.": [calls(("burn", {"book": "a"})), text("It is gone.")],
        "Wait.": [calls(("wait", {}))],
        "Thanks.": [text("You are welcome.")],
    }  # fmt: skip
    with answering(answers) as api:
        command = (sys.executable, "-m", "mcprun", "chat", SHELF, "--", tmp_path / "calls")
        with tmux.screen(tmp_path, *command, env=environment(api, tmp_path / "state")) as screen:
            screen.shows("shelf 1.0: 5 tools")
            screen.enter("Look around.")
            screen.shows("Let me see wha")  # the first two chunks; the API has not sent the rest yet
            assert "what is there" not in screen.text
            send_rest.set()
            screen.shows('call 0  look{book: "a"}')
            screen.shows("Books.")

            screen.enter("Burn it.")
            screen.shows("send call 1? [y]es, [n]o, [a]lways:")
            assert (tmp_path / "calls").read_text() == "look a\n"
            screen.type("y")
            screen.press("Enter")
            screen.shows("It is gone.")

            screen.enter("Wait.")
            screen.shows("call 2  wait{}")
            screen.press("C-c")
            screen.shows("Stopped. You can continue the conversation.")

            screen.prompts()
            screen.type("never said")
            screen.shows("> never said")
            screen.press("C-c")
            screen.prompts()
            screen.type("/too")
            screen.press("Tab")
            screen.shows("> /tool")
            screen.type("s")
            screen.press("Enter")
            screen.shows("need approval: burn")

            screen.prompts()
            screen.press("Up", "Up")  # past the command, to the previous message
            screen.shows("> Wait.", times=2)
            screen.press("C-c")
            screen.enter("Thanks.")
            screen.shows("You are welcome.")
            screen.enter("/save saved.jsonl")
            screen.shows("saved 1 query to saved.jsonl")
            screen.enter("quit")
            shown = screen.shows("exit code 0")
    assert "outputs/" in shown
    assert "never said" not in str([request.body for request in api.requests])
    assert run_mcprun("validate", "saved.jsonl", cwd=tmp_path).code == 0
    replay = run_mcprun("batch", "saved.jsonl", SHELF, "--model", "script", "--", "again", cwd=tmp_path)
    assert (replay.code, (tmp_path / "again").read_text()) == (0, "look a\nburn a\n")
    (query,) = read_jsonl(tmp_path / "saved.jsonl")
    assert query["prompts"] == ["Look around.", "Burn it.", "Wait.", "Thanks."]


def test_ctrl_c_at_an_approval_question_sends_no_call(tmp_path: Path) -> None:
    """Ctrl-C at an approval question sends no call and returns to the prompt. Ctrl-D ends the chat."""
    answers = {"Burn it.": [calls(("burn", {}))], "Hi": [text("Hello.")]}
    with answering(answers) as api:
        command = (sys.executable, "-m", "mcprun", "chat", SHELF, "--", tmp_path / "calls")
        with tmux.screen(tmp_path, *command, env=environment(api, tmp_path / "state")) as screen:
            screen.shows("shelf 1.0: 5 tools")
            screen.enter("Burn it.")
            screen.shows("send call 0?")
            screen.press("C-c")
            screen.shows("Stopped. You can continue the conversation.")
            screen.enter("Hi")
            screen.shows("Hello.")
            screen.prompts()
            screen.press("C-d")
            screen.shows("exit code 0")
    assert (tmp_path / "calls").read_text() == ""
