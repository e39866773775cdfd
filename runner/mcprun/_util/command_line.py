"""Split command lines as a shell or as Windows does, and check whether one is a path."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from mcprun._util.operating_system import IS_WINDOWS

_WINDOWS_PATH = re.compile(r"(?:^|[\s\"'=])[A-Za-z]:\\|^[\"']?\\\\")
r"""A path with a drive, or a command line that starts with a share (`\\server\share`): its backslashes are literal."""


def split_command_line(text: str, *, is_windows: bool = IS_WINDOWS) -> list[str]:
    r"""Split a command line into words. Raises `ValueError` for an unclosed quotation.

    On Windows only double quotes quote, and a backslash is literal unless double quotes follow ("Parsing C++
    command-line arguments"). A command line that contains a Windows path is split that way on every system.
    """
    return _split_windows(text) if is_windows or _WINDOWS_PATH.search(text) else shlex.split(text)


def path_exists(path: Path) -> bool:
    """Return whether a path exists. False if the system rejects it: a command line may be too long for a path."""
    try:
        return path.exists()
    except OSError:
        return False


def _split_windows(text: str) -> list[str]:
    words: list[str] = []
    word: str | None = None
    is_quoted = False
    for match in re.finditer(r'(\\*)"|\s|[^\s"\\]+|\\+', text):
        token = match[0]
        if token.endswith('"'):
            backslashes = len(match[1])
            word = (word or "") + "\\" * (backslashes // 2) + ('"' if backslashes % 2 else "")
            is_quoted ^= backslashes % 2 == 0
        elif token.isspace() and not is_quoted:
            words += [] if word is None else [word]
            word = None
        else:
            word = (word or "") + token
    if is_quoted:
        raise ValueError("No closing quotation")
    return words if word is None else [*words, word]
