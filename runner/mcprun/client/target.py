"""Targets that a run connects to: a command, a URL, or a server in this process. Starts nothing."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from mcprun._util.command_line import path_exists
from mcprun._util.special_files import read_text
from mcprun._util.url_secrets import header_secrets, url_secrets, without_secrets
from mcprun.client.oauth_client import OAuthClient
from mcprun.errors import UsageError
from mcprun.runs.run_record import IN_PROCESS


@dataclass(frozen=True, slots=True)
class StdioTarget:
    """A command that starts a server, which communicates over stdin and stdout.

    Args:
        label: The server as the user wrote it. Shown instead of the command, which may hold a configuration's secrets.
        command: The program. A relative path is relative to `cwd`.
        args: Its arguments.
        env: Variables to add to a minimal environment.
        cwd: The folder to start it in, relative to the working folder of mcprun.
        scratch: Whether to start it in a new folder instead (`client/scratch.py`).
        warnings: Settings of a configuration that mcprun does not honour, one line each.
    """

    label: str
    command: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None
    scratch: bool = False
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.label


@dataclass(frozen=True, slots=True)
class HttpTarget:
    """A server at a URL, which mcprun does not start.

    `client` gets tokens without a person logging in. `registered` is the client for a person's login, if the server's
    configuration names one. `warnings` are as in `StdioTarget`.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    transport: Literal["http", "sse"] = "http"
    client: OAuthClient | None = None
    registered: OAuthClient | None = None
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the URL without the parts that may be secret."""
        return without_secrets(self.url)


@dataclass(frozen=True, slots=True)
class InProcessTarget:
    """A server in this process: an `MCPServer` of the SDK, or its low-level `Server`. Nothing is started for it."""

    server: Any

    def __str__(self) -> str:
        """Return the server's own name, with a note that it is in this process."""
        return f"{self.server.name}{IN_PROCESS}"


Target = StdioTarget | HttpTarget | InProcessTarget


def warnings_of(target: Target) -> tuple[str, ...]:
    """Return a warning for each setting of a target's configuration that mcprun does not honour, one line each."""
    return () if isinstance(target, InProcessTarget) else target.warnings


def secrets_of(target: Target) -> list[str]:
    """Return the values of a target to redact: from its environment, or its headers, URL and OAuth clients."""
    if isinstance(target, InProcessTarget):
        return []
    if isinstance(target, StdioTarget):
        return list(target.env.values())
    found = [part for name, value in target.headers.items() for part in header_secrets(name, value)]
    found += url_secrets(target.url)
    found += [secret for client in (target.client, target.registered) if client for secret in client.secrets]
    return [value for value in found if value]


def has_credentials(target: HttpTarget) -> bool:
    """Return whether a target has its own credentials: an Authorization header, or a user and password in its URL."""
    return "authorization" in {name.lower() for name in target.headers} or "@" in urlsplit(target.url).netloc


def with_authorization(target: Target, *, token: str | None, client: OAuthClient | None) -> Target:
    """Return a target with a bearer token, or with a client that gets tokens. With neither, return it unchanged.

    Raises `UsageError` if the target is not a URL, if both are given, or if it has its own credentials.
    """
    if token is None and client is None:
        return target
    if not isinstance(target, HttpTarget):
        raise UsageError(f"--token and the --oauth options apply only to URLs; {target} is a command, so use --env")
    if (token and client) or has_credentials(target):
        raise UsageError("--token, --oauth-client-id and an Authorization header cannot be combined")
    if token:
        return replace(target, headers={**target.headers, "Authorization": f"Bearer {token}"})
    return replace(target, client=client)


def with_start_options(target: Target, *, python: str | None, cwd: str | None, scratch: bool = False) -> Target:
    """Return a target that is started by another Python or in another folder, such as a new one (`scratch`).

    The paths of the server's file and of the Python stay relative to the working folder of mcprun. With `scratch`, so
    do all arguments that name a file. Raises `UsageError` if an option does not apply to the target, or if there is no
    such Python.
    """
    if python is None and cwd is None and not scratch:
        return target
    if not isinstance(target, StdioTarget):
        flags = "--scratch applies" if scratch else "--python and --cwd apply"
        raise UsageError(f"{flags} only to a server that mcprun starts; {target} is already running")
    is_file = _is_server_file(target)
    if python is not None:
        if not accepts_python(target):
            raise UsageError(f"--python applies only to a .py file; for {target}, pass a command line")
        if shutil.which(python) is None:
            raise UsageError(f"--python: not found: {python}")
        target = replace(target, command=from_here(python))
    if cwd is not None:
        file = (str(Path(target.label).absolute()),) if is_file else target.args[:1]
        target = replace(target, args=(*file, *target.args[1:]), cwd=cwd)
    return _in_scratch(target) if scratch else target


def accepts_python(target: Target) -> bool:
    """Return whether `--python` applies to a target: SERVER is a .py file."""
    return isinstance(target, StdioTarget) and _is_server_file(target) and target.label.lower().endswith(".py")


def can_use_scratch(target: Target) -> bool:
    """Return whether `--scratch` applies to a target: mcprun starts it, and it has no working directory of its own."""
    return isinstance(target, StdioTarget) and target.cwd is None


def server_folder(target: Target) -> str | None:
    """Return the first argument of a server that is the absolute path of a folder: it may use that one."""
    args = target.args if isinstance(target, StdioTarget) else ()
    paths = (Path(arg) for arg in args)
    return next((str(path) for path in paths if path.is_absolute() and path_exists(path) and path.is_dir()), None)


def _is_server_file(target: StdioTarget) -> bool:
    return target.args[:1] == (target.label,)


def _in_scratch(target: StdioTarget) -> StdioTarget:
    """Return a target that is started in a new folder. Raises `UsageError` if it has a folder of its own."""
    if not can_use_scratch(target):
        raise UsageError(f"--scratch cannot be combined with the working directory of {target}: {target.cwd}")
    args = tuple(str(Path(arg).absolute()) if _is_file(Path(arg)) else arg for arg in target.args)
    return replace(target, command=from_here(target.command), args=args, scratch=True)


def _is_file(path: Path) -> bool:
    return path_exists(path) and path.is_file()


def variables_of(file: str) -> dict[str, str]:
    """Return the variables in a file in `.env` format. Raises `UsageError` if it can't be read."""
    from dotenv import dotenv_values

    try:
        found = dotenv_values(stream=io.StringIO(read_text(Path(file)), newline=None))
    except OSError as error:
        if "=" in file:
            raise UsageError("--env-file: expected a file name; for NAME=VALUE, use --env") from None
        raise UsageError(f"can't read {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"can't read {file}: it is not UTF-8") from None
    return {name: value for name, value in found.items() if value is not None}


def with_more(target: Target, *, env: Mapping[str, str], headers: Mapping[str, str]) -> Target:
    """Return a target with more environment variables or headers, which override its own.

    Raises `UsageError` if they do not apply to the target.
    """
    if isinstance(target, InProcessTarget):
        if env or headers:
            raise UsageError(f"{target} runs in this process and accepts neither variables nor headers")
        return target
    if isinstance(target, StdioTarget):
        if headers:
            raise UsageError(f"--header applies only to a URL; {target} is a command, so use --env")
        return replace(target, env={**target.env, **env})
    if env:
        raise UsageError(
            f"--env applies only to a server that mcprun starts; {target} is already running, so use --header"
        )
    return replace(target, headers={**target.headers, **headers})


def http_target(url: str, where: str, headers: Mapping[str, str] | None = None, *, sse: bool = False) -> HttpTarget:
    """Return the target for a URL. Raises `UsageError`, which names it by `where`, unless it is http(s) with a host."""
    try:
        is_whole = urlsplit(url).hostname is not None
    except ValueError:
        is_whole = False
    if not is_whole or not url.lower().startswith(("http://", "https://")):
        raise UsageError(f"{where} is not an http:// or https:// URL with a host")
    return HttpTarget(url, headers or {}, "sse" if sse else "http")


def from_here(command: str) -> str:
    """Return a command with its path made absolute. A bare name, which is looked up in PATH, is returned unchanged."""
    return str(Path(command).absolute()) if has_folder(command) else command


def has_folder(command: str) -> bool:
    """Return whether a command contains a folder, so that it is not looked up in PATH."""
    return os.sep in command or bool(os.altsep and os.altsep in command)
