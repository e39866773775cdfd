"""Read a server from the configuration file of an MCP client, as a target. Reads files, starts nothing.

Claude Desktop, Claude Code, Cursor, Windsurf, Cline, Roo Code, Gemini CLI   mcpServers
VS Code: mcp.json; settings.json                                             servers; mcp.servers
Zed                                                                          context_servers
opencode                                                                     mcp
Amp                                                                          amp.mcpServers
~/.claude.json (Claude Code)                                                 mcpServers; projects.FOLDER.mcpServers
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mcprun._util import jsonc
from mcprun._util.similar_names import similar_name
from mcprun._util.special_files import open_input
from mcprun.client.config_entry import Entry, label
from mcprun.client.oauth_client import registered_client
from mcprun.client.placeholders import Surroundings
from mcprun.client.target import HttpTarget, StdioTarget, http_target, variables_of
from mcprun.errors import UsageError
from mcprun.runs.identify import known_as

_ROOTS = (
    ("mcpServers",),
    ("servers",),
    ("mcp", "servers"),
    ("mcp.servers",),
    ("context_servers",),
    ("amp.mcpServers",),
    ("mcp",),
)
"""Key paths under which clients keep their servers, in order of precedence."""

_KINDS = {
    "stdio": "stdio",
    "local": "stdio",
    "command": "stdio",
    "http": "http",
    "streamablehttp": "http",
    "remote": "http",
    "sse": "sse",
}
"""Values of `type` and `transport`, in lower case without hyphens and underscores, and the transports they name."""

_URLS = ("url", "serverUrl", "httpUrl")

_READ = frozenset(
    {
        "type", "transportType", "transport", "command", "args", "env", "environment", "cwd", "envFile", *_URLS,
        "headers", "headersHelper", "oauth", "auth", "disabled", "enabled", "timeout",
    }
)  # fmt: skip

_CLIENT_KEYS = frozenset(
    {
        "alwaysAllow", "alwaysLoad", "authProviderType", "autoApprove", "comment", "description", "dev",
        "extensionName", "gallery", "icon", "id", "name", "note", "notes", "sandboxEnabled", "settings", "source",
        "title", "trust", "version", "watchPaths",
    }
)  # fmt: skip
"""Keys that concern only a client's own user interface. They are skipped without a warning."""

_COMMAND_KEYS = ("args", "env", "environment", "cwd", "envFile")
_URL_KEYS = ("headers", "headersHelper", "oauth", "auth")

_SHELL_VARIABLE = re.compile(r"(?:\w+ )?(?:\$[A-Za-z_]\w*|%[A-Za-z_]\w*%)")
"""`$NAME` or `%NAME%`, also after `Bearer`. Some clients expand these, others pass them on."""

_ALIKE = 0.7
"""Minimum similarity (`difflib` ratio) for an unknown key to count as a misspelt one."""

_TOOL_FILTERS = frozenset({"tools", "disabledTools", "enabledTools", "excludeTools", "includeTools"})


@dataclass(frozen=True, slots=True)
class _Listed:
    """A server in a file: the key path of its entry (`mcpServers.x`), and the entry as read."""

    path: str
    entry: Any
    is_opencode: bool = False

    @property
    def disabled_by(self) -> str | None:
        """The key and value that disable the entry in its client; None if it is enabled."""
        if not isinstance(self.entry, Mapping):
            return None
        if self.entry.get("disabled") is True:
            return "disabled: true"
        return "enabled: false" if self.entry.get("enabled") is False else None


def read_server(
    file: Path, name: str, args: Sequence[str], surroundings: Surroundings | None = None
) -> StdioTarget | HttpTarget:
    """Return the server called `name` in a file, or the only enabled one if `name` is empty.

    `args` are appended to those of its command. Raises `UsageError` if the file can't be read, if it has no such
    server, or if the entry can't be used; the message then names the entry by its key path.
    """
    surroundings = surroundings or Surroundings.current()
    servers = _servers(file, surroundings)
    name = name or _only_enabled(file, servers)
    if name not in servers:
        enabled = [one for one, listed in servers.items() if not listed.disabled_by] or list(servers)
        close = similar_name(name, enabled)
        hint = f"did you mean {close}?" if close else f"it has {', '.join(enabled)}"
        raise UsageError(f"{file} has no server {name!r}; {hint}")
    listed = servers[name]
    entry = Entry.of(listed.entry, f"{file}: {listed.path}", surroundings, is_opencode=listed.is_opencode)
    is_disabled = entry.flag("disabled", False) or not entry.flag("enabled", True)
    target = _target(entry, f"{file}#{name}", args)
    disabled = [f"{entry.where} is disabled ({listed.disabled_by}), but used because it was selected by name"]
    return replace(target, warnings=(*(disabled if is_disabled else ()), *_warnings(entry, target)))


def _target(entry: Entry, where: str, args: Sequence[str]) -> StdioTarget | HttpTarget:
    kind = _kind(entry)
    urls = [key for key in _URLS if entry.text(key)]
    command = entry.strings("command")
    if len(urls) > 1:
        raise UsageError(f"{entry.where} has both {urls[0]} and {urls[1]}: remove one")
    if command and urls and kind is None:
        raise UsageError(f"{entry.where} has both command and {urls[0]}: remove one, or set type")
    if urls and kind != "stdio":
        return _http(entry, urls[0], where, args, is_sse=kind == "sse")
    if kind in ("http", "sse"):
        raise UsageError(f"{entry.where} has type {kind} but no url{entry.close_to('url')}")
    if not command or not command[0].strip():
        hint = entry.close_to("command", "url") or _extension_hint(entry)
        raise UsageError(f"{entry.where} has neither a command nor a url{hint}")
    env = {**_env_file_variables(entry), **entry.texts("environment"), **entry.texts("env")}
    program, *rest = command
    first, *more = program.split()
    if more and not {"/", "\\"} & {*first} and not shutil.which(program):
        raise UsageError(f"{entry.at('command')} is a complete command line; move its arguments to args")
    return StdioTarget(where, entry.at_home(program), (*rest, *entry.strings("args"), *args), env, entry.path("cwd"))


def _extension_hint(entry: Entry) -> str:
    """Return a hint for a server that a Zed extension starts, whose entry holds only settings; else empty."""
    if entry.values.get("source") != "extension" and "settings" not in entry.values:
        return ""
    return ": an extension of Zed starts it; write the command, args and env that the extension runs"


def _env_file_variables(entry: Entry) -> dict[str, str]:
    """Return the variables in an entry's `envFile`. Raises `UsageError` if it can't be read."""
    file = entry.path("envFile")
    try:
        return variables_of(file) if file else {}
    except UsageError as error:
        raise UsageError(f"{entry.at('envFile')}: {error}") from None


def _http(entry: Entry, key: str, where: str, args: Sequence[str], *, is_sse: bool) -> HttpTarget:
    if args:
        raise UsageError(f"{where} is a URL; arguments after -- apply only to a server that mcprun starts")
    if "headersHelper" in entry.values:
        raise UsageError(
            f"{entry.at('headersHelper')} is not supported; pass the URL as SERVER, and what it prints with"
            " --header 'NAME: VALUE'"
        )
    target = http_target(entry.text(key) or "", entry.at(key), entry.texts("headers"), sse=is_sse)
    return replace(target, registered=registered_client(entry.expanded(("oauth", "auth")), entry.where))


def _kind(entry: Entry) -> str | None:
    """Return `stdio`, `http` or `sse`; None if the entry names no transport. Raises `UsageError` for any other."""
    key = next((key for key in ("type", "transport", "transportType") if key in entry.values), None)
    value = entry.text(key) if key else None
    if key is None or value is None:
        return None
    kind = _KINDS.get(value.lower().replace("-", "").replace("_", ""))
    if kind is None:
        raise UsageError(f"{entry.at(key)} is {value!r}; expected stdio, http or sse")
    return kind


def _warnings(entry: Entry, target: StdioTarget | HttpTarget) -> Iterator[str]:
    """Yield a warning for each key that is ignored, and for each value that looks like an unexpanded variable."""
    for key, value in entry.values.items():
        if key in _READ:
            continue
        if key in _TOOL_FILTERS and value not in ([], ["*"], None):
            yield f"{entry.at(key)} is ignored; use --allow-tool and --deny-tool"
        elif key not in _TOOL_FILTERS | _CLIENT_KEYS and not key.startswith(("_", "$", "/", "x-")):
            close = similar_name(key, _READ, _ALIKE)
            yield f"{entry.at(key)} is unknown and ignored{f'; did you mean {close}?' if close else ''}"
    if entry.values.get("timeout") is not None:
        yield f"{entry.at('timeout')} is ignored, since clients disagree on its unit; use --call-timeout SECONDS"
    is_command = isinstance(target, StdioTarget)
    for key in (one for one in (_URL_KEYS if is_command else _COMMAND_KEYS) if entry.values.get(one)):
        yield f"{entry.at(key)} is ignored, since the server {'is a command' if is_command else 'is at a URL'}"
    for key in ("env", "environment", "headers"):
        for name, value in (entry.values.get(key) or {}).items():
            if isinstance(value, str) and _SHELL_VARIABLE.fullmatch(value):
                yield f"{entry.at(key)}.{name} looks like a shell variable, which is not expanded; write ${{NAME}}"


def _only_enabled(file: Path, servers: Mapping[str, _Listed]) -> str:
    """Return the name of the only enabled server. Raises `UsageError` if there are none or several."""
    enabled = [name for name, listed in servers.items() if not listed.disabled_by]
    if len(enabled) == 1:
        return enabled[0]
    if not enabled:
        raise UsageError(f"every server in {file} is disabled; select one by name: {', '.join(servers)}")
    raise UsageError(f"{file} has {len(enabled)} servers; select one, such as {file}#{enabled[0]}")


def _servers(file: Path, surroundings: Surroundings) -> dict[str, _Listed]:
    """Return the servers in a file by name. If two of `_ROOTS` hold the same name, the earlier one wins."""
    config = _read(file)
    if not isinstance(config, Mapping):
        raise UsageError(f"{file}: expected an object, got {label(config)}")
    found: dict[str, _Listed] = {}
    for root in (*_ROOTS, ("projects", str(surroundings.folder), "mcpServers")):
        value: Any = config
        for key in root:
            value = value.get(key) if isinstance(value, Mapping) else None
        is_opencode = root == ("mcp",)
        if value is None or (is_opencode and isinstance(value, Mapping) and "servers" in value):
            continue
        path = ".".join(root)
        if not isinstance(value, Mapping):
            raise UsageError(f"{file}: {path}: expected an object, got {label(value)}")
        for name, entry in value.items():
            if not is_opencode or isinstance(entry, Mapping):  # Gemini CLI keeps lists of names there
                found.setdefault(name, _Listed(f"{path}.{name}", entry, is_opencode))
    if not found:
        raise UsageError(f"{file} has no servers{_no_servers_hint(config)}")
    return found


def _no_servers_hint(config: Mapping[str, Any]) -> str:
    """Return the end of the message for a file without servers: the object that its entries must be put into."""
    entries = (config, *config.values())
    if any(isinstance(one, Mapping) and {"command", *_URLS} & one.keys() for one in entries):
        return ': put them into "mcpServers": {"NAME": {…}}'
    if kind := known_as(config):
        return f": it is {kind}"
    return ": expected an object under mcpServers, servers, mcp.servers, context_servers or mcp"


def _read(file: Path) -> Any:
    try:
        with open_input(file) as stream:
            return jsonc.parse(stream.read())
    except OSError as error:
        raise UsageError(f"can't read {file}: {error.strerror}") from None
    except jsonc.JsoncError as error:
        place = f":{error.line}:{error.column}" if error.line else ""
        raise UsageError(f"{file}{place}: not valid JSON: {error}") from None
