"""Connecting to an MCP server: start or reach it, agree on a protocol, list its tools, and end it again.

Servers are started under `supervisor.py`, which tells how they end and leaves nothing of them behind.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, cast

import anyio
import httpx2
import mcp_types
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from mcprun import __version__, supervisor
from mcprun.errors import ErrorKind, RunError
from mcprun.events import Emit, ServerExit, ServerStart
from mcprun.limits import MAX_TOOL_PAGES
from mcprun.link import Link
from mcprun.records import JsonObject
from mcprun.server import Server, first_problem, size, tail
from mcprun.target import HttpTarget, StdioTarget, Target
from mcprun.tools import ToolSet

_HTTP_SECONDS = 30.0
"""Connecting, writing, and waiting for a free connection of an HTTP client: the MCP SDK's own default."""

_EXITS = (MCPError, anyio.BrokenResourceError, anyio.ClosedResourceError, BrokenPipeError, ConnectionError)

"""What a client raises when the other side is gone before the handshake is over."""


class Connector:
    """Connects to one target as often as is asked, and remembers what the first negotiation found out.

    `log` is the file that the servers' stderr goes to; `seconds` bounds starting, negotiating and listing.
    """

    def __init__(self, target: Target, *, log: Path, seconds: float, emit: Emit) -> None:
        self._target = target
        self._log = log
        self._seconds = seconds
        self._emit = emit
        self._numbers = itertools.count(1)
        self._mode = "auto"
        self._discovered: mcp_types.DiscoverResult | None = None

    async def connect(self) -> Server:
        """Start or reach a server; whoever asked for it closes it.

        Raises `RunError` (`server_start`, `connect_timeout`, `bad_tools`) with the end of its stderr.
        """
        number = next(self._numbers)
        started, offset = time.monotonic(), size(self._log)
        server = await self._start(number)
        self._emit(
            ServerStart(
                seconds=time.monotonic() - started,
                server=number,
                server_name=server.name,
                version=server.version,
                protocol=server.protocol,
                tools=len(server.tools.listed),
                log_offset=offset,
            )
        )
        return server

    async def _start(self, number: int) -> Server:
        """Connect within the deadline. A server that exits on the probe for newer protocols is started once more."""
        offset, started = size(self._log), time.monotonic()
        try:
            async with asyncio.timeout(self._seconds):
                try:
                    return await self._open(number, self._mode)
                except _EXITS:
                    late = time.monotonic() - started > self._seconds / 2  # too late for another start in time
                    if self._mode != "auto" or isinstance(self._target, HttpTarget) or late:
                        raise
                offset = size(self._log)
                return await self._open(number, "legacy")
        except Exception as error:  # noqa: BLE001  whatever went wrong is told the same way, with the stderr
            raise self._explained(error, offset) from None

    async def _open(self, number: int, mode: str) -> Server:
        offset = size(self._log)

        def over(link: Link) -> None:
            self._emit(ServerExit(server=number, died=link.is_down, log_offset=size(self._log)))

        link = Link(over)

        async def enter(stack: AsyncExitStack) -> Server:
            client = await stack.enter_async_context(self._client(mode, link, stack))
            tools = ToolSet.of(await _list_tools(client))
            self._remember(client)
            return Server(number, client, tools, link, self._log, offset)

        return await link.open(enter)

    def _client(self, mode: str, link: Link, stack: AsyncExitStack) -> Client:
        return Client(
            cast("Any", link.watched(self._transport(stack))),
            mode=mode,
            prior_discover=self._discovered,
            client_info=mcp_types.Implementation(name="mcprun", version=__version__),
            cache=None,
        )

    def _transport(self, stack: AsyncExitStack) -> Any:
        match self._target:
            case StdioTarget(_, command, args, env, cwd):
                supervised = _supervised(command, env)
                parameters = StdioServerParameters(
                    command=supervised[0],
                    args=[*supervised[1:], *args],
                    env=dict(env),
                    cwd=cwd,
                    encoding_error_handler="replace",  # one invalid byte would end the session without a word
                )
                return stdio_client(parameters, errlog=stack.enter_context(self._log.open("a", encoding="utf-8")))
            case HttpTarget(url, headers, "sse"):
                return sse_client(url, headers=dict(headers))
            case HttpTarget(url, headers, _):
                return _http(url, dict(headers))

    def _remember(self, client: Client) -> None:
        """Spare later connections the probe: on a legacy server it costs a round trip, on some ten seconds."""
        if client.protocol_version in MODERN_PROTOCOL_VERSIONS:
            self._mode, self._discovered = client.protocol_version, client.session.discover_result
        else:
            self._mode = "legacy"

    def _explained(self, error: Exception, offset: int) -> RunError:
        """Say in one message why no connection came about."""
        target = self._target
        kind, message = ErrorKind.SERVER_START, ""
        match error:
            case RunError():
                kind, message = error.kind, str(error)
            case TimeoutError():
                kind = ErrorKind.CONNECT_TIMEOUT
                message = f"the server did not answer within {self._seconds:g} s: {target}"
            case FileNotFoundError() if isinstance(target, StdioTarget):
                if target.cwd and not Path(target.cwd).is_dir():
                    message = f"the server's working folder is not there: {target.cwd}"
                else:
                    message = f"command not found: {target.command}"
            case PermissionError() if isinstance(target, StdioTarget):
                message = f"not allowed to run {target.command}"
            case MCPError() if error.code == mcp_types.CONNECTION_CLOSED:
                message = f"the server exited before it answered: {target}"
            case MCPError():
                message = f"the server refused to connect: {error.message} ({target})"
            case ValidationError():
                message = f"the server's handshake is invalid: {first_problem(error)} ({target})"
            case _:
                message = f"can't connect to {target}: {str(error) or type(error).__name__}"
        return RunError(kind, message, stderr=tail(self._log, offset))


async def _list_tools(client: Client) -> list[JsonObject]:
    """All pages of `tools/list`, as the wire has them. Raises `RunError` (`bad_tools`) for what can't be read."""
    if client.server_capabilities.tools is None:
        return []
    tools: list[JsonObject] = []
    cursor: str | None = None
    seen: set[str] = set()
    try:
        for _ in range(MAX_TOOL_PAGES):
            page = await client.list_tools(cursor=cursor)
            tools += [tool.model_dump(by_alias=True, mode="json", exclude_unset=True) for tool in page.tools]
            cursor = page.next_cursor
            if not cursor or cursor in seen:
                return tools
            seen.add(cursor)
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]["input"]  # the tool itself, where a field of it is missing
        named = f" (tool {wrong['name']!r})" if isinstance(wrong, dict) and "name" in wrong else ""
        message = f"the server's tool list is invalid: {first_problem(error)}{named}"
        raise RunError(ErrorKind.BAD_TOOLS, message) from None
    raise RunError(ErrorKind.BAD_TOOLS, f"the server's tool list does not end: {MAX_TOOL_PAGES} pages were read")


def _supervised(command: str, env: Mapping[str, str]) -> list[str]:
    """Give the command line that runs a command under the supervisor.

    Raises `FileNotFoundError` or `PermissionError`, as starting it without one would.
    """
    found = shutil.which(command, path=env.get("PATH"))
    if found is None:
        raise (PermissionError if Path(command).exists() else FileNotFoundError)(command)
    if sys.platform == "win32":
        return [found]  # the SDK keeps servers in a job object there, which does the same
    return [sys.executable, "-I", "-S", supervisor.__file__, found]


@asynccontextmanager
async def _http(url: str, headers: dict[str, str]) -> AsyncIterator[tuple[Any, Any]]:
    """Speak Streamable HTTP without the HTTP client's own read time-out: a call's deadline is the caller's."""
    async with (
        httpx2.AsyncClient(headers=headers, timeout=httpx2.Timeout(_HTTP_SECONDS, read=None)) as client,
        streamable_http_client(url, http_client=client) as streams,
    ):
        yield streams
