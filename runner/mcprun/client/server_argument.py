"""Parse SERVER, as the user writes it, into a target. Reads files, starts nothing.

server.py                  the Python of the active virtual environment, else of the nearest `.venv` of the file's
                           folder or project, else the one that runs mcprun
server.js .mjs .cjs        node
http://… https://…         Streamable HTTP
FILE.json FILE.json#name   a server in the configuration file of an MCP client
anything else              a command line
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from mcprun._util.command_line import path_exists, split_command_line
from mcprun._util.operating_system import IS_WINDOWS
from mcprun._util.similar_names import similar_name
from mcprun._util.url_secrets import without_secrets
from mcprun.client.config_file import read_server
from mcprun.client.python_environment import python_for
from mcprun.client.target import StdioTarget, Target, has_folder, http_target
from mcprun.errors import UsageError

_NODE = (".js", ".mjs", ".cjs")
SERVER_FILES = (".py", *_NODE)
"""File extensions of servers."""

CONFIG_FILES = (".json", ".jsonc")
"""File extensions of configuration files."""

_TYPESCRIPT = (".ts", ".mts", ".cts", ".tsx")

_NAMED_FILES = (*SERVER_FILES, *CONFIG_FILES)

_FORMS = "pass a server file, a command line, a URL or FILE.json#name"


def parse_target(
    server: str, args: Sequence[str] = (), cwd: str | None = None, *, is_windows: bool = IS_WINDOWS
) -> Target:
    """Return the target for SERVER. `args` are appended to the server's arguments.

    Paths in a command line are relative to `cwd`, the folder that the server will be started in, as in a shell. The
    path of a file is relative to the working folder of mcprun. Raises `UsageError` for a path that does not exist, a
    configuration that can't be read or has no such server, and `args` with a URL.
    """
    server = server.strip()
    if cwd is not None and not Path(cwd).is_dir():
        raise UsageError(f"the server's working directory does not exist: {cwd}")
    if not server:
        raise UsageError(f"SERVER is empty; {_FORMS}")
    if server.lower().startswith(("http://", "https://")):
        if args:
            raise UsageError(
                f"{without_secrets(server)} is a URL; arguments after -- apply only to a server that mcprun starts"
            )
        return http_target(server, without_secrets(server))
    words = _split(server, is_windows=is_windows)
    for text in (server, *words) if len(words) == 1 else (server,):
        if found := _config_file(text, is_whole=len(words) == 1):
            file, name = found
            if not path_exists(file):
                raise UsageError(f"server file not found: {file}{_nearby(file)}")
            return read_server(file, name, args)
        if text and path_exists(Path(text)):
            if Path(text).is_dir():
                raise UsageError(f"{text} is a folder; {_FORMS}")
            return _file(text, tuple(args))
    return _command_line(server, words, args, cwd)


def _config_file(text: str, *, is_whole: bool) -> tuple[Path, str] | None:
    """Return the configuration file and the server's name if SERVER is FILE.json or FILE.json#name; else None.

    The name of a file that exists may contain anything. A file that does not exist must be a single word, because the
    last of several words may be an argument that ends in `.json`.
    """
    forms = [(Path(file), name) for file, name in _splits(text) if file.lower().endswith(CONFIG_FILES)]
    existing = next((form for form in forms if path_exists(form[0])), None)
    return existing or (forms[0] if forms and is_whole else None)


def _splits(text: str) -> Iterator[tuple[str, str]]:
    """Yield FILE and NAME for each way to split a text at a `#`, starting with the whole text as FILE."""
    yield text, ""
    for match in re.finditer("#", text):
        yield text[: match.start()], text[match.end() :]


def _split(server: str, *, is_windows: bool) -> list[str]:
    """Split a command line into words. The name of a file that exists is one word, even with unbalanced quotes.

    Raises `UsageError` if the line can't be split.
    """
    try:
        return split_command_line(server, is_windows=is_windows)
    except ValueError as error:
        if any(path_exists(Path(file)) for file, _ in _splits(server)):
            return [server]
        raise UsageError(f"SERVER is not a valid command line: {str(error).lower()}") from None


def _file(server: str, args: tuple[str, ...]) -> StdioTarget:
    suffix = Path(server).suffix.lower()
    if suffix == ".py":
        return StdioTarget(server, python_for(Path(server)), (server, *args))
    if suffix in _NODE:
        return StdioTarget(server, "node", (server, *args))
    if os.access(server, os.X_OK):
        return StdioTarget(server, str(Path(server).absolute()), args)
    hint = 'a command line such as "npx tsx server.ts"' if suffix in _TYPESCRIPT else "a command line that starts it"
    raise UsageError(f"cannot run {server}; pass {hint}")


def _command_line(server: str, tokens: list[str], args: Sequence[str], cwd: str | None) -> StdioTarget:
    first = tokens[0] if tokens else ""
    if not first:
        raise UsageError(f"SERVER contains no command; {_FORMS}")
    is_file = len(tokens) == 1 and first.lower().endswith(_NAMED_FILES)
    folder = "" if is_file or cwd is None else cwd
    if re.match(r"(?:[^\s/]*@)?[\w.-]+:\d+([/?#]|$)", first):
        raise UsageError(f"SERVER looks like a URL: write {without_secrets(f'http://{first}')}")
    if found := re.match(r"(https?):/?(?!/)", first, re.IGNORECASE):
        url = f"{found[1].lower()}://{first[found.end() :]}"
        raise UsageError(f"SERVER looks like a URL: write {without_secrets(url)}, with two slashes")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", first):
        raise UsageError("SERVER looks like a URL: it must begin with http:// or https://")
    if re.match(r"[A-Za-z_]\w*=", first):
        raise UsageError("SERVER starts with a variable; pass it with --env NAME=VALUE")
    if (is_file or has_folder(first)) and not path_exists(Path(folder, first)):
        place = f" in {folder}" if folder else ""
        raise UsageError(f"server file not found: {first}{place}{_nearby(Path(folder, first))}")
    if len(tokens) > 1 and Path(first).is_file() and Path(first).suffix in SERVER_FILES:
        raise UsageError(f"pass the server's arguments after --: {first} -- ARGUMENTS")
    return StdioTarget(server, first, (*tokens[1:], *args))


def check_command(target: Target) -> None:
    """Raise `UsageError` if SERVER is one word that names neither a file nor a command of the server's `PATH`."""
    if not isinstance(target, StdioTarget) or target.args or target.label != target.command:
        return
    word = target.command
    if has_folder(word) or shutil.which(word, path=target.env.get("PATH")):
        return
    if suffix := Path(word).suffix.lower():
        is_typescript = suffix in _TYPESCRIPT
        how = f'; a TypeScript server needs a command line, such as "npx tsx {word}"' if is_typescript else ""
        raise UsageError(f"server file not found: {word}{_nearby(Path(word)) or how}")
    raise UsageError(f"no such file or command: {word}{_nearby(Path(word))}")


def _nearby(path: Path) -> str:
    folder = path.parent
    names = [file.name for file in folder.iterdir() if file.suffix in _NAMED_FILES] if folder.is_dir() else []
    close = similar_name(path.name, names)
    return f"; did you mean {folder / close}?" if close else ""
