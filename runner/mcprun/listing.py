"""What a server says of itself, its tools and what else it offers: connects once, and lets it go again."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from mcprun.asking import Offers
from mcprun.catalog import list_prompts, list_resources, list_templates
from mcprun.connect import Connector
from mcprun.errors import ErrorKind, QueryError, RunError
from mcprun.events import Event
from mcprun.limits import AUTO, MAX_LOG_BYTES, MAX_RESULT_BYTES
from mcprun.records import ServerRecord
from mcprun.redact import Redactor
from mcprun.sdklog import sdk_logs
from mcprun.server import NoResult, Server, described
from mcprun.serverlog import ServerLog
from mcprun.snapshot import Catalog, in_order, sorted_catalog
from mcprun.target import Target


async def list_server(
    target: Target,
    redactor: Redactor,
    seconds: float,
    watch: Callable[[Event], None] = lambda _: None,
    protocol: str = AUTO,
    offers: Offers | None = None,
) -> ServerRecord:
    """Connect to a server, and give what it says, tools sorted by name, without secrets.

    `seconds` bounds starting, negotiating and listing; `watch` is called with each event. `offers` is what it is
    offered if it asks, on which its tools may depend. Nothing is written: of its stderr only the end is kept. When
    cancelled, it ends the server first.
    Raises `RunError` (`server_start`, `connect_timeout`, `bad_tools`) with that end when no connection comes about.
    """
    return (await list_all(target, redactor, seconds, watch, protocol, offers, lists_all=False))[0]


async def list_all(
    target: Target,
    redactor: Redactor,
    seconds: float,
    watch: Callable[[Event], None] = lambda _: None,
    protocol: str = AUTO,
    offers: Offers | None = None,
    *,
    lists_all: bool = True,
) -> tuple[ServerRecord, Catalog | None]:
    """Do what `list_server` does, and give the prompts, resources and templates as well, unless `lists_all` is not set.

    Listing those may take `seconds` once more. What of them can't be read is an error, as with tools.
    """

    def emit(event: Event) -> None:
        watch(redactor.value(event))

    log = ServerLog(Path(os.devnull), redactor, MAX_LOG_BYTES)
    connector = Connector(
        target, log=log, seconds=seconds, most=MAX_RESULT_BYTES, emit=emit, protocol=protocol, offers=offers
    )
    try:
        with sdk_logs(emit, redactor):
            server = await connector.connect()
            try:
                found = await _catalog(server, seconds) if lists_all else None
            finally:
                await server.close()
    except RunError as error:
        clean = redactor.text
        raise RunError(error.kind, clean(str(error)), stderr=clean(error.stderr)) from None
    record = redactor.value(described(server))
    told = sorted_catalog(redactor.value(found)) if found else None
    return record.model_copy(update={"tools": in_order(record.tools)}), told


async def _catalog(server: Server, seconds: float) -> Catalog:
    """List what there is besides tools. Raises `RunError` where a list can't be had."""
    kind, message = ErrorKind.BAD_TOOLS, ""
    try:
        async with asyncio.timeout(seconds):
            return Catalog(
                prompts=await list_prompts(server, seconds),
                resources=await list_resources(server, seconds),
                resource_templates=await list_templates(server, seconds),
            )
    except TimeoutError:
        kind, message = ErrorKind.CONNECT_TIMEOUT, f"the server did not list all that it has within {seconds:g} s"
    except (NoResult, QueryError) as error:
        message = str(error)
    raise RunError(kind, message, stderr=server.last_words())
