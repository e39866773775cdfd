"""SERVER, as the user writes it, to what must be done to connect. Reads files, starts nothing.

server.py                the active virtual environment's Python, else the one mcprun runs on
server.js .mjs .cjs      node
http://… https://…       Streamable HTTP
FILE.json FILE.json#name one of the servers of a client's configuration (`mcpServers`, or VS Code's `servers`)
anything else            a command line, split as a shell splits words
"""

from __future__ import annotations

import difflib
import os
import re
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from mcprun.credentials import header_secrets, url_secrets, without_secrets
from mcprun.errors import UsageError
from mcprun.jsontext import AmbiguousError, loads
from mcprun.oauthclient import OAuthClient, registered
from mcprun.records import JsonObject

_NODE = (".js", ".mjs", ".cjs")
SERVER_FILES = (".py", *_NODE)
"""How the names of servers' files end."""

_SCRIPTS = (*SERVER_FILES, ".json")
_VARIABLE = re.compile(r"\$\{(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


@dataclass(frozen=True, slots=True)
class StdioTarget:
    """A command to start; the server speaks on its stdin and stdout. `env` comes on top of a bare environment.

    `label` is what the user called it: what a configuration puts into it may be secret. A relative `command` is seen
    from `cwd`, and that from here.
    """

    label: str
    command: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None

    def __str__(self) -> str:
        return self.label


@dataclass(frozen=True, slots=True)
class HttpTarget:
    """A server that runs already.

    `client` gets tokens for it with nobody there; `registered` is the client that a person logs in by, where its
    configuration names one.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    transport: Literal["http", "sse"] = "http"
    client: OAuthClient | None = None
    registered: OAuthClient | None = None

    def __str__(self) -> str:
        """Give the URL without what may be secret in it."""
        return without_secrets(self.url)


@dataclass(frozen=True, slots=True)
class InProcessTarget:
    """A server in this process: an `MCPServer` of the SDK, or its low-level `Server`. Nothing is started for it."""

    server: Any

    def __str__(self) -> str:
        """Give the server's own name."""
        return f"{self.server.name} (in this process)"


Target = StdioTarget | HttpTarget | InProcessTarget


def secrets_of(target: Target) -> list[str]:
    """Give what must not be seen of a target: the values of its environment, or of its headers and its URL."""
    if isinstance(target, InProcessTarget):
        return []
    if isinstance(target, StdioTarget):
        return list(target.env.values())
    found = [part for name, value in target.headers.items() for part in header_secrets(name, value)]
    found += url_secrets(target.url)
    found += [secret for client in (target.client, target.registered) if client for secret in client.secrets]
    return [value for value in found if value]


def brings_authorization(target: HttpTarget) -> bool:
    """Tell whether a target shows the server something by itself: a header, or a user and password in its URL."""
    return "authorization" in {name.lower() for name in target.headers} or "@" in urlsplit(target.url).netloc


def authorized(target: Target, *, token: str | None, client: OAuthClient | None) -> Target:
    """Have a server at a URL shown a token, or one that a client gets.

    Raises `UsageError` for a server that is started, and where both are given, or a header besides.
    """
    if token is None and client is None:
        return target
    if not isinstance(target, HttpTarget):
        raise UsageError(f"--token and --oauth options go with a URL, and {target} is started: give it --env")
    if (token and client) or brings_authorization(target):
        raise UsageError("choose one: --token, --oauth-client-id, or an Authorization header")
    if token:
        return replace(target, headers={**target.headers, "Authorization": f"Bearer {token}"})
    return replace(target, client=client)


def parse_target(server: str, args: Sequence[str] = (), cwd: str | None = None) -> Target:
    """Read SERVER; `args` are handed on to the server that is started.

    A command line is seen from `cwd`, the folder that it is to be started in, as a shell there would see it; a file
    is seen from here. Raises `UsageError` for a path that is not there, a configuration that can't be read or holds
    no such server, and for `args` with a URL.
    """
    server = server.strip()
    if cwd is not None and not Path(cwd).is_dir():
        raise UsageError(f"there is no folder {cwd} for the server to be started in")
    if not server:
        raise UsageError("SERVER is empty; give a server file, a command line, a URL or FILE.json#name")
    if server.lower().startswith(("http://", "https://")):
        if args:
            raise UsageError(
                f"{without_secrets(server)} runs already: it can't be given arguments ({shlex.join(args)})"
            )
        return _http(server, without_secrets(server))
    file, _, name = server.partition("#")
    if file.endswith(".json"):
        return _configured(Path(file), name, args)
    path = Path(server)
    if path.is_dir():
        raise UsageError(f"{server} is a folder; give a server file, a command line, a URL or FILE.json#name")
    if path.is_file():
        return _file(server, tuple(args))
    return _command_line(server, args, cwd)


def started_otherwise(target: Target, *, python: str | None, cwd: str | None) -> Target:
    """Have a server started by another Python, or in another folder; its own file is seen from here all the same.

    So is the Python. Raises `UsageError` where the one or the other means nothing, or there is no such Python.
    """
    if python is None and cwd is None:
        return target
    if not isinstance(target, StdioTarget):
        raise UsageError(f"--python and --cwd go with a server that is started, and {target} runs already")
    is_file = target.args[:1] == (target.label,)
    if python is not None:
        if not is_file or not target.label.lower().endswith(".py"):
            raise UsageError(f"--python goes with a .py file, and {target} is none: give a command line")
        if shutil.which(python) is None:
            raise UsageError(f"there is no Python {python}")
        target = replace(target, command=_from_here(python))
    if cwd is not None:
        file = (str(Path(target.label).absolute()),) if is_file else target.args[:1]
        target = replace(target, args=(*file, *target.args[1:]), cwd=cwd)
    return target


def variables_of(file: str) -> dict[str, str]:
    """Read a file of variables, as `.env` is written. Raises `UsageError` for one that can't be read."""
    from dotenv import dotenv_values

    try:
        with Path(file).open(encoding="utf-8") as stream:
            found = dotenv_values(stream=stream)
    except OSError as error:
        raise UsageError(f"can't read {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"can't read {file}: it is not UTF-8") from None
    return {name: value for name, value in found.items() if value is not None}


def with_more(target: Target, *, env: Mapping[str, str], headers: Mapping[str, str]) -> Target:
    """Give a target more variables in its environment, or more headers; they come before its own.

    Raises `UsageError` where the one or the other means nothing.
    """
    if isinstance(target, InProcessTarget):
        if env or headers:
            raise UsageError(f"{target} shares this process: it takes neither variables nor headers")
        return target
    if isinstance(target, StdioTarget):
        if headers:
            raise UsageError(f"--header goes with a URL, and {target} is started: give it --env")
        return replace(target, env={**target.env, **env})
    if env:
        raise UsageError(f"--env goes with a server that is started, and {target} runs already: give it --header")
    return replace(target, headers={**target.headers, **headers})


def _http(url: str, where: str, headers: Mapping[str, str] | None = None, *, sse: bool = False) -> HttpTarget:
    try:
        whole = urlsplit(url).hostname is not None
    except ValueError:
        whole = False
    if not whole or not url.lower().startswith(("http://", "https://")):
        raise UsageError(f"{where} is no whole http or https URL")
    return HttpTarget(url, headers or {}, "sse" if sse else "http")


def _file(server: str, args: tuple[str, ...]) -> StdioTarget:
    suffix = Path(server).suffix.lower()
    if suffix == ".py":
        return StdioTarget(server, _python(), (server, *args))
    if suffix in _NODE:
        return StdioTarget(server, "node", (server, *args))
    if os.access(server, os.X_OK):
        return StdioTarget(server, str(Path(server).absolute()), args)
    hint = (
        'a command line such as "npx tsx server.ts"' if suffix in (".ts", ".mts") else "a command line that starts it"
    )
    raise UsageError(f"don't know how to run {server}: give {hint}")


def _python() -> str:
    """Name the active virtual environment's Python, else the one this runs on."""
    active = os.environ.get("VIRTUAL_ENV")
    if active:
        for python in (Path(active, "bin", "python"), Path(active, "Scripts", "python.exe")):
            if os.access(python, os.X_OK):
                return _from_here(str(python))
    return sys.executable


def _from_here(command: str) -> str:
    """Give a command so that it is the same one in every folder; one without a folder is looked for in PATH."""
    return str(Path(command).absolute()) if os.sep in command else command


def _command_line(server: str, args: Sequence[str], cwd: str | None) -> StdioTarget:
    try:
        words = shlex.split(server)
    except ValueError as error:
        raise UsageError(f"can't read the command line {server!r}: {error}") from None
    first = words[0]
    is_file = len(words) == 1 and first.lower().endswith(_SCRIPTS)
    folder = "" if is_file or cwd is None else cwd
    if re.match(r"[\w.-]+:\d+(/|$)", first):
        raise UsageError(f"{first} looks like a URL: write http://{first}")
    if (is_file or os.sep in first) and not Path(folder, first).exists():
        place = f" in {folder}" if folder else ""
        raise UsageError(f"there is no server file {first}{place}{_nearby(Path(folder, first))}")
    if len(words) > 1 and Path(first).is_file() and Path(first).suffix in SERVER_FILES:
        raise UsageError(f"give the server's arguments behind --: {first} … -- {shlex.join(words[1:])}")
    return StdioTarget(server, first, (*words[1:], *args))


def _nearby(path: Path) -> str:
    folder = path.parent
    names = [file.name for file in folder.iterdir() if file.suffix in _SCRIPTS] if folder.is_dir() else []
    close = difflib.get_close_matches(path.name, names, n=1)
    return f"; did you mean {folder / close[0]}?" if close else ""


def _configured(file: Path, name: str, args: Sequence[str]) -> Target:
    """Take one server of a client's configuration file."""
    servers = _servers(file)
    if not name and len(servers) > 1:
        raise UsageError(f"{file} has {len(servers)} servers: choose one, such as {file}#{next(iter(servers))}")
    name = name or next(iter(servers))
    if name not in servers:
        raise UsageError(f"{file} has no server {name!r}; it has {', '.join(servers)}")
    where = f"{file}#{name}"
    entry = _expanded(servers[name], where)
    if not isinstance(entry, dict):
        raise UsageError(f"{where} must be an object")
    if isinstance(entry.get("url"), str):
        if args:
            raise UsageError(f"{where} runs already: it can't be given arguments ({shlex.join(args)})")
        headers = _strings(entry.get("headers", {}), f"{where}: headers")
        target = _http(entry["url"], f"{where}: url", headers, sse=entry.get("type") == "sse")
        return replace(target, registered=registered(entry, where))
    command, own = entry.get("command"), entry.get("args", [])
    if not isinstance(command, str) or not command:
        raise UsageError(f"{where} has neither a command nor a url")
    if not isinstance(own, list) or not all(isinstance(arg, str) for arg in own):
        raise UsageError(f"{where}: args must be a list of strings")
    cwd = entry.get("cwd")
    if cwd is not None and not isinstance(cwd, str):
        raise UsageError(f"{where}: cwd must be a string")
    env_file = entry.get("envFile")
    if env_file is not None and not isinstance(env_file, str):
        raise UsageError(f"{where}: envFile must be a string")
    env = {**(variables_of(env_file) if env_file else {}), **_strings(entry.get("env", {}), f"{where}: env")}
    return StdioTarget(where, command, (*own, *args), env, cwd)


def _servers(file: Path) -> JsonObject:
    try:
        config = loads(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise UsageError(f"there is no server file {file}{_nearby(file)}") from None
    except OSError as error:
        raise UsageError(f"can't read {file}: {error.strerror}") from None
    except AmbiguousError as error:
        raise UsageError(f"{file}: {error}") from None
    except ValueError as error:
        raise UsageError(f"{file} is not JSON: {error}; comments and trailing commas are not read") from None
    for key in ("mcpServers", "servers"):
        if isinstance(config, dict) and isinstance(config.get(key), dict) and config[key]:
            return dict(config[key])
    raise UsageError(f"{file} has no servers: expected an object under 'mcpServers' (or 'servers', as VS Code has it)")


def _expanded(value: Any, where: str) -> Any:
    """Put environment variables in place of `${NAME}`, `${env:NAME}` and `${NAME:-default}`; and VS Code's folders."""

    def lookup(match: re.Match[str]) -> str:
        name, default = match.groups()
        folders = {"workspaceFolder": str(Path.cwd()), "userHome": str(Path.home())}
        found = folders.get(name) or os.environ.get(name, default)
        if found is None:
            raise UsageError(f"{where} needs the environment variable {name}, which is not set")
        return found

    if isinstance(value, str):
        if "${input:" in value:
            raise UsageError(f"{where} asks for an input ({value}), and nobody is there to answer: put ${{env:NAME}}")
        return _VARIABLE.sub(lookup, value)
    if isinstance(value, list):
        return [_expanded(item, where) for item in value]
    if isinstance(value, dict):
        return {key: _expanded(item, where) for key, item in value.items()}
    return value


def _strings(value: Any, where: str) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise UsageError(f"{where} must be an object of strings")
    return value
