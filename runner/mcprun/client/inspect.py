"""Inspect a server: connect once, list its tools and optionally its prompts and resources, and disconnect."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from mcprun._util.deadline import Deadline
from mcprun._util.json_value import JsonObject
from mcprun.client.catalog import list_prompts, list_resources, list_templates
from mcprun.client.connector import ConnectOptions, Connector
from mcprun.client.list_items import PROMPTS, RESOURCES, TEMPLATES
from mcprun.client.request_errors import RequestFailed
from mcprun.client.sdk_logging import sdk_logs
from mcprun.client.server_log import ServerLog
from mcprun.client.session import ServerSession, server_record
from mcprun.client.target import Target, warnings_of
from mcprun.errors import QueryError, RunError
from mcprun.limits import MAX_LOG_BYTES
from mcprun.runs.events import Event, WarningEvent
from mcprun.runs.redaction import Redactor
from mcprun.runs.run_record import ServerRecord
from mcprun.tools.snapshot import Catalog, in_order, sorted_catalog


async def list_server(
    target: Target, redactor: Redactor, options: ConnectOptions, watch: Callable[[Event], None] = lambda _: None
) -> ServerRecord:
    """Connect to a server and return its record, redacted, with the tools sorted by name.

    Nothing is written to disk, and only the end of the server's stderr is kept. On cancellation, the server is shut
    down first.

    Args:
        target: The server to connect to.
        redactor: Redacts the record, the events and the errors.
        options: Limits, protocol and client features. The server's tools may depend on the features.
        watch: Called with each event.

    Raises:
        RunError: The connection failed (`server_start`, `connect_timeout`, `bad_tools`); holds the end of stderr.
    """
    return (await list_all(target, redactor, options, watch, lists_all=False))[0]


async def list_all(
    target: Target,
    redactor: Redactor,
    options: ConnectOptions,
    watch: Callable[[Event], None] = lambda _: None,
    *,
    lists_all: bool = True,
    warns_malformed: bool = True,
) -> tuple[ServerRecord, Catalog | None]:
    """Return a server's record as `list_server` does and, with `lists_all`, its prompts, resources and templates.

    Each of those lists has its own time limit of `options.timeout_s`. A list that fails is named in `Catalog.failed`.
    The record holds malformed tools; with `warns_malformed`, each of them is emitted as a warning as well.
    """
    async with open_session(target, redactor, options, watch) as (server, warn):
        for note in server.tools.notes:
            if warns_malformed and note.rule in ("malformed", "ignored"):
                warn(str(note))
        found = await list_catalog(server, options.timeout_s, warn) if lists_all else None
    record = redactor.value(server_record(server))
    catalog = sorted_catalog(redactor.value(found)) if found else None
    for message in redactor.take_warnings():
        watch(WarningEvent(message=message))
    return record.model_copy(update={"tools": in_order(record.tools)}), catalog


@asynccontextmanager
async def open_session(
    target: Target, redactor: Redactor, options: ConnectOptions, watch: Callable[[Event], None] = lambda _: None
) -> AsyncIterator[tuple[ServerSession, Callable[[str], None]]]:
    """Connect to a server and yield the session, and a function that emits a warning. Shut the server down at the end.

    The parameters are those of `list_server`. Raises `RunError`, redacted, if the connection fails.
    """

    def emit(event: Event) -> None:
        watch(redactor.value(event))

    def warn(message: str) -> None:
        emit(WarningEvent(message=message))

    for warning in warnings_of(target):
        warn(warning)
    log = ServerLog(Path(os.devnull), redactor, MAX_LOG_BYTES)
    connector = Connector(target, log, emit, options)
    try:
        with sdk_logs(emit, redactor):
            server = await connector.connect()
            try:
                yield server, warn
            finally:
                await server.close()
    except RunError as error:
        clean = redactor.text
        raise RunError(error.kind, clean(str(error)), stderr=clean(error.stderr)) from None


async def list_catalog(server: ServerSession, timeout_s: float, warn: Callable[[str], None]) -> Catalog:
    """Return a server's prompts, resources and templates. If one list fails, the others are still listed.

    `timeout_s` is the time limit for all pages of a list. As with a call, progress restarts it.
    """
    lists: dict[str, list[JsonObject]] = {}
    failed: dict[str, str] = {}
    for name, listed, read in (
        ("prompts", PROMPTS, list_prompts),
        ("resources", RESOURCES, list_resources),
        ("resource_templates", TEMPLATES, list_templates),
    ):
        lists[name] = []
        try:
            server.callbacks.list_clock = clock = Deadline(timeout_s, server.max_call_seconds)
            async with clock:
                lists[name] = await read(server, timeout_s, warn)
        except TimeoutError:
            failed[name] = f"{listed.method} failed: not complete {clock.limit}"
        except (RequestFailed, QueryError) as error:
            failed[name] = f"{listed.method} failed: {error}"
        finally:
            server.callbacks.list_clock = None
    return Catalog(**lists, failed=failed)
