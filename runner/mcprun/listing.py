"""What a server says of itself, its tools and what else it offers: connects once, and lets it go again."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from mcprun.connect import Connector
from mcprun.errors import ErrorKind, QueryError, RunError
from mcprun.events import Event
from mcprun.limits import AUTO, MAX_LOG_BYTES, MAX_RESULT_BYTES
from mcprun.offered import list_prompts, list_resources, list_templates
from mcprun.records import ServerRecord
from mcprun.redact import Redactor
from mcprun.sdklog import sdk_logs
from mcprun.server import NoResult, Server, described
from mcprun.serverlog import ServerLog
from mcprun.snapshot import Offered, in_order, sorted_offer
from mcprun.target import Target


async def list_server(
    target: Target,
    redactor: Redactor,
    seconds: float,
    watch: Callable[[Event], None] = lambda _: None,
    protocol: str = AUTO,
) -> ServerRecord:
    """Connect to a server, and give what it says, tools sorted by name, without secrets.

    `seconds` bounds starting, negotiating and listing; `watch` is called with each event. Nothing is written: of the
    server's stderr only the end is kept. When cancelled, it ends the server first.
    Raises `RunError` (`server_start`, `connect_timeout`, `bad_tools`) with that end when no connection comes about.
    """
    return (await list_all(target, redactor, seconds, watch, protocol, offered=False))[0]


async def list_all(
    target: Target,
    redactor: Redactor,
    seconds: float,
    watch: Callable[[Event], None] = lambda _: None,
    protocol: str = AUTO,
    *,
    offered: bool = True,
) -> tuple[ServerRecord, Offered | None]:
    """Do what `list_server` does, and give the prompts, resources and templates as well if they are asked for.

    Listing those may take `seconds` once more. What of them can't be read is an error, as with tools.
    """

    def emit(event: Event) -> None:
        watch(redactor.value(event))

    log = ServerLog(Path(os.devnull), redactor, MAX_LOG_BYTES)
    connector = Connector(target, log=log, seconds=seconds, most=MAX_RESULT_BYTES, emit=emit, protocol=protocol)
    try:
        with sdk_logs(emit, redactor):
            server = await connector.connect()
            try:
                found = await _offered(server, seconds) if offered else None
            finally:
                await server.close()
    except RunError as error:
        clean = redactor.text
        raise RunError(error.kind, clean(str(error)), stderr=clean(error.stderr)) from None
    record = redactor.value(described(server))
    told = sorted_offer(redactor.value(found)) if found else None
    return record.model_copy(update={"tools": in_order(record.tools)}), told


async def _offered(server: Server, seconds: float) -> Offered:
    """List what there is besides tools. Raises `RunError` where a list can't be had."""
    kind, message = ErrorKind.BAD_TOOLS, ""
    try:
        async with asyncio.timeout(seconds):
            return Offered(
                prompts=await list_prompts(server, seconds),
                resources=await list_resources(server, seconds),
                resource_templates=await list_templates(server, seconds),
            )
    except TimeoutError:
        kind, message = ErrorKind.CONNECT_TIMEOUT, f"the server did not list all that it has within {seconds:g} s"
    except (NoResult, QueryError) as error:
        message = str(error)
    raise RunError(kind, message, stderr=server.last_words())
