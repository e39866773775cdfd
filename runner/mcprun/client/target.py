"""What a run connects to: a command to start, a URL, or a server in this process. Starts nothing."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from mcprun._util.special_files import read_text
from mcprun._util.url_secrets import header_secrets, url_secrets, without_secrets
from mcprun.client.oauth_client import OAuthClient
from mcprun.errors import UsageError


@dataclass(frozen=True, slots=True)
class StdioTarget:
    """A command to start; the server speaks on its stdin and stdout. `env` comes on top of a bare environment.

    `label` is what the user called it: what a configuration puts into it may be secret. A relative `command` is seen
    from `cwd`, and that from here. `warnings` name what a configuration asks for and does not get.
    """

    label: str
    command: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.label


@dataclass(frozen=True, slots=True)
class HttpTarget:
    """A server at a URL, which mcprun does not start.

    `client` gets tokens for it without a person; `registered` is the client that a person logs in by, if its
    configuration names one. `warnings` are as in `StdioTarget`.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    transport: Literal["http", "sse"] = "http"
    client: OAuthClient | None = None
    registered: OAuthClient | None = None
    warnings: tuple[str, ...] = ()

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


def warnings_of(target: Target) -> tuple[str, ...]:
    """Return what a configuration asks for and does not get; one line each."""
    return () if isinstance(target, InProcessTarget) else target.warnings


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
        target = replace(target, command=from_here(python))
    if cwd is not None:
        file = (str(Path(target.label).absolute()),) if is_file else target.args[:1]
        target = replace(target, args=(*file, *target.args[1:]), cwd=cwd)
    return target


def variables_of(file: str) -> dict[str, str]:
    """Read a file of variables, as `.env` is written. Raises `UsageError` for one that can't be read."""
    from dotenv import dotenv_values

    try:
        found = dotenv_values(stream=io.StringIO(read_text(Path(file)), newline=None))
    except OSError as error:
        if "=" in file:
            raise UsageError("--env-file: expected the name of a file; for NAME=VALUE there is --env") from None
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


def http_target(url: str, where: str, headers: Mapping[str, str] | None = None, *, sse: bool = False) -> HttpTarget:
    """Return the target for a URL. Raises `UsageError`, which names the URL by `where`, if it is not http or https."""
    try:
        is_whole = urlsplit(url).hostname is not None
    except ValueError:
        is_whole = False
    if not is_whole or not url.lower().startswith(("http://", "https://")):
        raise UsageError(f"{where} is not an http:// or https:// URL with a host")
    return HttpTarget(url, headers or {}, "sse" if sse else "http")


def from_here(command: str) -> str:
    """Return a command that names the same file in every folder; one without a folder is left to PATH."""
    return str(Path(command).absolute()) if has_folder(command) else command


def has_folder(command: str) -> bool:
    """Return whether a command names a folder, and so is not looked for in PATH."""
    return os.sep in command or bool(os.altsep and os.altsep in command)
