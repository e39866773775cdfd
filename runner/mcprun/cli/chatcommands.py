"""What may be typed into a chat besides what is said: `/tools`, `/save FILE`, `quit`. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

HELP = {
    "/tools": "list the server's tools",
    "/tool NAME": "show a tool and its schema",
    "/save FILE": "write what was asked as a prompts file; /save! replaces one that is there",
    "/new": "begin a new conversation, which is a new query",
    "/run": "say where the run is written",
    "/help": "show this",
    "quit": "end, as exit and Ctrl-D do; Ctrl-C stops an answer",
}
"""Each command as it is typed, and what it does."""

_NAMES = ("/tools", "/tool", "/save", "/save!", "/new", "/run", "/help", "/quit", "/exit")
_QUIT = frozenset({"quit", "exit", "/quit", "/exit"})
_COMMAND = re.compile(r"(/[a-z!?]*)(?:\s+(.*))?", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Command:
    """A command (`/save`, `quit`) and the rest of its line; `problem` says what is wrong with it, if anything."""

    name: str
    rest: str = ""
    problem: str = ""


def command_of(text: str) -> Command | None:
    """Read a line without the spaces around it. One that is no command is said to the model, paths (`/etc/…`) too."""
    if text in _QUIT:
        return Command("quit")
    match = _COMMAND.fullmatch(text)
    if not match:
        return None
    name, rest = match[1].lower(), (match[2] or "").strip()
    if name in _QUIT:
        return Command("quit")
    if name not in _NAMES:
        close = difflib.get_close_matches(name, _NAMES, n=1)
        hint = f"did you mean {close[0]}?" if close else "/help tells what there is"
        return Command(name, rest, f"there is no {name}; {hint}")
    if name in ("/tool", "/save", "/save!") and not rest:
        return Command(name, rest, f"{name} needs a {'name' if name == '/tool' else 'file'}: /help tells how")
    return Command(name, rest)


def completions(before: str, tools: Iterable[str]) -> Iterator[tuple[str, int]]:
    """Give what may stand in place of the word before the cursor, and how many characters that replaces.

    Commands at the beginning of a line, names of tools after `/tool` and in what is said. Files are not found here.
    """
    head, space, word = before.rpartition(" ")
    if not space:
        yield from ((name, -len(word)) for name in (*_NAMES, "quit") if word and name.startswith(word))
    if not before.startswith("/") or head.strip() == "/tool":
        yield from ((name, -len(word)) for name in sorted(tools) if (word or head) and name.startswith(word))


def file_of(before: str) -> str | None:
    """Give the file that is being typed after `/save`, if it is one."""
    match = re.fullmatch(r"/save!?\s+(.*)", before)
    return match[1] if match else None
