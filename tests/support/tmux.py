"""Type into and read from a terminal in a tmux server of its own."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.cli import clean_environment

_SECONDS = 30.0
"""Timeout of each wait."""


def missing() -> bool:
    """Return whether tmux is not installed."""
    return not shutil.which("tmux")


@dataclass(frozen=True)
class Screen:
    """One window; `socket` is the socket of its tmux server."""

    socket: Path

    def type(self, text: str) -> None:
        """Type text literally."""
        self._tmux("send-keys", "-l", text)

    def press(self, *keys: str) -> None:
        """Press keys, named as in tmux: `Enter`, `Tab`, `C-c`."""
        self._tmux("send-keys", *keys)

    def enter(self, line: str) -> None:
        """Wait for the chat's prompt, and enter a line."""
        self.prompts()
        self.type(line)
        self.press("Enter")

    @property
    def text(self) -> str:
        """The text on the screen and in its scrollback."""
        return self._tmux("capture-pane", "-p", "-J", "-S", "-")

    def shows(self, words: str, times: int = 1) -> str:
        """Wait until `words` appears at least `times` times; return the whole text."""
        return self._until(lambda text: text.count(words) >= times, repr(words))

    def prompts(self) -> None:
        """Wait until the last line is an empty prompt."""
        self._until(lambda text: text.split("\n")[-1].strip() == ">", "the prompt")

    def _until(self, holds: Callable[[str], bool], what: str) -> str:
        deadline = time.monotonic() + _SECONDS
        while not holds(text := self.text.rstrip()):
            assert time.monotonic() < deadline, f"{what} did not appear within {_SECONDS} s:\n{text}"
            if sys.platform == "win32":
                raise NotImplementedError
            os.sched_yield()
        return text

    def _tmux(self, *args: str) -> str:
        done = subprocess.run(
            ["tmux", "-S", str(self.socket), *args], capture_output=True, text=True, check=True, timeout=_SECONDS
        )
        return done.stdout


@contextmanager
def screen(folder: Path, *command: str | Path, env: Mapping[str, str]) -> Iterator[Screen]:
    """Run a command in a terminal of 100 columns and 40 rows.

    When the command ends, the window stays open and shows its exit code.
    """
    socket = folder / "tmux"
    line = f'{shlex.join(map(str, command))}; echo "exit code $?"; read -r _'
    subprocess.run(
        ["tmux", "-S", str(socket), "-f", os.devnull, "new-session", "-d", "-x", "100", "-y", "40", "-c", str(folder), line],
        env=clean_environment() | dict(env), check=True, timeout=_SECONDS,
    )  # fmt: skip
    try:
        yield Screen(socket)
    finally:
        subprocess.run(["tmux", "-S", str(socket), "kill-server"], check=False, timeout=_SECONDS)
