"""Parse and complete the commands of a chat: `/tools`, `/save FILE`, `quit`. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mcprun._util.operating_system import IS_WINDOWS
from mcprun._util.similar_names import similar_name

HELP = {
    "/tools": "list the server's tools",
    "/tool NAME": "show a tool and its schema",
    "/save FILE": "save the conversations as a prompts file; /save! overwrites an existing file",
    "/new": "start a new conversation, which becomes a new query",
    "/run": "show the run directory",
    "/help": "show this help",
    "quit": "leave the chat, like exit and Ctrl-D; Ctrl-C stops a reply",
}
"""Each command as the user types it, and its description."""

_NAMES = ("/tools", "/tool", "/save", "/save!", "/new", "/run", "/help", "/quit", "/exit")
_QUIT = frozenset({"quit", "exit", "/quit", "/exit"})
_COMMAND = re.compile(r"(/[a-z!?]*)(?:\s+(.*))?", re.DOTALL | re.IGNORECASE)
_ARGUMENTS = {"/tool": "NAME", "/save": "FILE", "/save!": "FILE"}
_QUOTED = re.compile(r"""((?:[^\s"']*[/\\])?)(["'])((?:(?!\2).)*)\2""", re.DOTALL)
"""A quoted argument, which may follow an unquoted beginning of a path: `~/"my file"`."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command (`/save`, `quit`) and its argument. `problem` is set if it cannot be executed."""

    name: str
    argument: str = ""
    problem: str = ""


def command_of(text: str) -> Command | None:
    """Parse a stripped line. Return None for a message to the model, such as one that begins with a path (`/etc/…`)."""
    if text.lower() in _QUIT:
        return Command("quit")
    match = _COMMAND.fullmatch(text)
    if not match:
        return None
    name, rest = match[1].lower(), (match[2] or "").strip()
    if name not in _NAMES:
        close = similar_name(name, _NAMES)
        hint = f"did you mean {close}?" if close else "/help lists all commands"
        return Command(name, rest, f"unknown command {name}; {hint}")
    if (kind := _ARGUMENTS.get(name)) is None:
        return Command(name, rest, _unexpected_argument(name) if rest and name != "/help" else "")
    argument = unquoted(rest)
    if argument is None:
        return Command(name, rest, f"{name} takes one {kind}: close the quotes, and type nothing after them")
    return Command(name, argument, "" if argument else f"{name} needs a {kind.lower()}: {name} {kind}")


def unquoted(text: str) -> str | None:
    """Return an argument without its quotes. None if they are not closed or if text follows them.

    Spaces need no quotes. A backslash before a space is removed, except on Windows.
    """
    if match := _QUOTED.fullmatch(text):
        return f"{match[1]}{match[3]}"
    if text.startswith(('"', "'")):
        return None
    return text if IS_WINDOWS else text.replace("\\ ", " ")


def quoted(argument: str) -> str:
    """Return an argument as the user must type it, in quotes if it needs them."""
    if argument == argument.strip() and unquoted(argument) == argument:
        return argument
    mark = "'" if '"' in argument else '"'
    return f"{mark}{argument}{mark}"


def _unexpected_argument(name: str) -> str:
    if name in _QUIT:
        return f"{name} takes no argument; type quit to leave the chat"
    hint = {"/tools": "; /tool NAME shows one tool", "/new": "; type the first message on the next line"}
    return f"{name} takes no argument{hint.get(name, '')}"


def completions(before: str, tools: Iterable[str]) -> Iterator[tuple[str, int]]:
    """Yield completions for the word before the cursor, each with the start of that word relative to the cursor (<= 0).

    Commands are completed at the beginning of a line, names of tools after `/tool` and in messages. Files are completed
    elsewhere; see `file_of`.
    """
    head, space, word = before.rpartition(" ")
    if not space:
        yield from ((name, -len(word)) for name in (*_NAMES, "quit") if word and name.startswith(word))
    if not before.startswith("/") or head.strip() == "/tool":
        yield from ((name, -len(word)) for name in sorted(tools) if (word or head) and name.startswith(word))


def file_of(before: str) -> str | None:
    """Return the file that the user is typing after `/save`, without an opening quote. None for any other line."""
    match = re.fullmatch(r"""/save!?\s+["']?(.*)""", before, re.IGNORECASE)
    return match[1] if match else None
