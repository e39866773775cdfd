"""A terminal that a test types into and reads from, by tmux: a server of its own, ended with the context."""

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
"""After this long, what is waited for does not come."""


def missing() -> bool:
    """Whether this machine has no tmux."""
    return not shutil.which("tmux")


@dataclass(frozen=True)
class Screen:
    """One window; `socket` is the tmux server's own."""

    socket: Path

    def type(self, text: str) -> None:
        """Type text, as it is."""
        self._tmux("send-keys", "-l", text)

    def press(self, *keys: str) -> None:
        """Press keys by tmux's names: `Enter`, `Tab`, `C-c`."""
        self._tmux("send-keys", *keys)

    def enter(self, line: str) -> None:
        """Wait for the chat's prompt, and type a line."""
        self.prompts()
        self.type(line)
        self.press("Enter")

    @property
    def text(self) -> str:
        """What stands on the screen, and what has scrolled away."""
        return self._tmux("capture-pane", "-p", "-J", "-S", "-")

    def shows(self, words: str, times: int = 1) -> str:
        """Wait until these words stand there so often; give the whole text."""
        return self._until(lambda text: text.count(words) >= times, repr(words))

    def prompts(self) -> None:
        """Wait until the last line is an empty prompt."""
        self._until(lambda text: text.split("\n")[-1].strip() == ">", "the prompt")

    def _until(self, holds: Callable[[str], bool], what: str) -> str:
        deadline = time.monotonic() + _SECONDS
        while not holds(text := self.text.rstrip()):
            assert time.monotonic() < deadline, f"{what} never showed:\n{text}"
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
    """Run a command in a terminal of 100 by 40; the window stays when the command has ended, with its exit code."""
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
