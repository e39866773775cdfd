"""Expand the `${…}` placeholders in the configuration files of MCP clients. Pure.

${NAME} ${NAME:-default}              an environment variable (Claude Code, Gemini CLI)
${env:NAME} ${env:NAME:-default}      the same (VS Code, Cursor, Windsurf, Roo Code)
${workspaceFolder} ${userHome} ${/} … folders and separators (VS Code, Cursor)

Nothing else is expanded. An unknown placeholder is never passed on: it is an error that names it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

from mcprun.errors import UsageError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_OPENCODE = re.compile(r"(?<!\$)\{(env:[^{}]*|file:[^{}]*)\}")

_NAME_LENGTH = 60
"""Maximum characters of a placeholder quoted in a message."""

_EDITOR = frozenset(
    {
        "columnNumber", "defaultBuildTask", "execInstallFolder", "execPath", "extensionInstallFolder", "file",
        "fileBasename", "fileBasenameNoExtension", "fileDirname", "fileDirnameBasename", "fileExtname",
        "fileWorkspaceFolder", "fileWorkspaceFolderBasename", "lineNumber", "relativeFile", "relativeFileDirname",
        "selectedText",
    }
)  # fmt: skip
"""Placeholders that stand for the state of an editor (VS Code, "Variables reference")."""

_HINTS = {
    "input": "mcprun never prompts; write ${env:NAME}, and set that variable",
    "config": "mcprun does not read an editor's settings; write the value, or ${env:NAME}",
    "command": "mcprun runs no commands of an editor; write the value, or ${env:NAME}",
    "file": "mcprun does not read values from files; write ${env:NAME}, and set that variable",
}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The values of placeholders: environment variables, the workspace folder and the home folder."""

    variables: Mapping[str, str]
    folder: PurePath
    home: PurePath
    separator: str = os.sep

    @classmethod
    def current(cls) -> Surroundings:
        """Return the values for this process, with its working folder as the workspace folder."""
        return cls(os.environ, Path.cwd(), Path.home())


def expand(text: str, surroundings: Surroundings) -> str:
    """Return a string with every `${…}` replaced. Raises `UsageError` for one that is unknown, unclosed or not set."""
    parts: list[str] = []
    at = 0
    while (start := text.find("${", at)) >= 0:
        end = _closing(text, start + 2)
        if end < 0:
            raise UsageError(f"unclosed placeholder: ${{{_head(text[start + 2 :])}")
        parts += text[at:start], _value(text[start + 2 : end], surroundings)
        at = end + 1
    return "".join((*parts, text[at:]))


def expand_opencode(text: str, surroundings: Surroundings) -> str:
    """Return a string with every `${…}` and opencode's `{env:NAME}` replaced.

    Raises `UsageError` as `expand` does, and for `{file:…}`.
    """
    parts = _OPENCODE.split(text)  # text and placeholders alternate
    texts = [expand(part, surroundings) for part in parts[::2]]
    values = [_value(body, surroundings, "{%s}") for body in parts[1::2]]
    return "".join(part for pair in zip(texts, [*values, ""], strict=True) for part in pair)


def _closing(text: str, start: int) -> int:
    """Return the index of the brace that closes a placeholder, whose default may hold braces; -1 if none does."""
    depth = 1
    for at in range(start, len(text)):
        depth += (text[at] == "{") - (text[at] == "}")
        if not depth:
            return at
    return -1


def _value(body: str, surroundings: Surroundings, form: str = "${%s}") -> str:
    shown = form % _head(body)
    folders = {
        "workspaceFolder": str(surroundings.folder),
        "workspaceRoot": str(surroundings.folder),
        "workspaceFolderBasename": surroundings.folder.name,
        "cwd": str(surroundings.folder),
        "userHome": str(surroundings.home),
        "pathSeparator": surroundings.separator,
        "/": surroundings.separator,
    }
    if body in folders:
        return folders[body]
    if body in _EDITOR:
        raise UsageError(f"{shown} is available only in an editor; write the value or ${{env:NAME}}")
    scope, colon, rest = body.partition(":")
    if colon and scope in folders and not rest.startswith("-"):
        if rest == surroundings.folder.name:
            return folders[scope]
        raise UsageError(
            f"{shown} names a workspace folder, but mcprun knows only {surroundings.folder}; write the path"
        )
    if colon and scope in _HINTS and not rest.startswith("-"):
        raise UsageError(f"{shown} can't be resolved: {_HINTS[scope]}")
    is_scoped = scope == "env" and bool(colon) and not rest.startswith("-")
    name, has_default, default = (rest if is_scoped else body).partition(":-")
    if not (name if is_scoped else _NAME.fullmatch(name)):
        raise UsageError(f"{shown} is an unknown placeholder; write the value or ${{env:NAME}}")
    if name in surroundings.variables:
        return surroundings.variables[name]
    if has_default:
        return expand(default, surroundings)
    raise UsageError(f"{shown} needs the environment variable {name}, which is not set")


def _head(body: str) -> str:
    """Return a placeholder for a message, shortened, and without its default, which may be secret."""
    head, default, _ = body.partition(":-")
    return f"{head[:_NAME_LENGTH]}{'…' if head[_NAME_LENGTH:] else ''}{':-…' if default else ''}"
