"""Keep CI runners from reading text of servers, models and files as workflow commands.

The runner of GitHub Actions (actions/runner, `ActionCommand.cs`) parses both streams of a step, in lines that end
with LF, CR or both. It accepts `::name …::` at the beginning of a line, also after white space, and the older
`##[name …]` anywhere in a line. Azure Pipelines accepts `##[name]` and `##vso[name …]`, TeamCity
`##teamcity[name …]`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

_COMMAND = re.compile(r"(?:\A|[\r\n])(?:[^\S\r\n]|\x1b\[[\d;?]*[A-Za-z])*+:(?=:)|#(?=#\w{0,20}\[)")

_BLANK = re.compile(r"(?:[^\S\r\n]|\x1b\[[\d;?]*[A-Za-z])*+(?:\x1b(?:\[[\d;?]*)?|:)?")
_PARTIAL_COMMAND = re.compile(r"##?\w{0,20}\Z")
"""An unfinished line that may become a command, and the end of a line in which a command may start."""

_SHORT = 100
"""Maximum number of characters of an unfinished line that are examined again with the next piece."""


def is_on(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether this process runs in a GitHub Actions workflow."""
    return environment.get("GITHUB_ACTIONS") == "true"


def is_read(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether the CI system parses the log for commands: GitHub Actions, Azure Pipelines or TeamCity."""
    return is_on(environment) or "TF_BUILD" in environment or "TEAMCITY_VERSION" in environment


def without_commands(text: str) -> str:
    """Break up commands with a space: `: :error::…`, `# #[error]…`."""
    return _COMMAND.sub(lambda found: f"{found[0]} ", text)


def for_log(text: str) -> str:
    """Return text for a log, with commands broken up if the CI system would run them."""
    return without_commands(text) if is_read() else text


class Breaker:
    """Breaks up commands in text that is written in pieces. A command may span several pieces."""

    def __init__(self) -> None:
        self._line = ""

    def take(self, text: str) -> str:
        """Return the next piece with its commands broken up."""
        whole = self._line + text
        safe = without_commands(whole)
        piece = safe[len(self._line) :] if safe.startswith(self._line) else " " + without_commands(text)
        line = whole[max(whole.rfind("\n"), whole.rfind("\r")) + 1 :]
        if _BLANK.fullmatch(line):
            self._line = line if len(line) < _SHORT else f" {line[-1]}"
        else:
            self._line = f"x{begun[0] if (begun := _PARTIAL_COMMAND.search(line[-_SHORT:])) else ''}"
        return piece
