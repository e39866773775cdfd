"""What a server says of itself and its tools: connects once, takes it down, and lets the server go again."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from mcprun.asking import Offers
from mcprun.connect import Connector
from mcprun.errors import RunError
from mcprun.events import Event
from mcprun.limits import AUTO, MAX_LOG_BYTES, MAX_RESULT_BYTES
from mcprun.records import ServerRecord
from mcprun.redact import Redactor
from mcprun.sdklog import sdk_logs
from mcprun.server import described
from mcprun.serverlog import ServerLog
from mcprun.snapshot import in_order
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

    def emit(event: Event) -> None:
        watch(redactor.value(event))

    log = ServerLog(Path(os.devnull), redactor, MAX_LOG_BYTES)
    connector = Connector(
        target, log=log, seconds=seconds, most=MAX_RESULT_BYTES, emit=emit, protocol=protocol, offers=offers
    )
    try:
        with sdk_logs(emit, redactor):
            server = await connector.connect()
            await server.close()
    except RunError as error:
        clean = redactor.text
        raise RunError(error.kind, clean(str(error)), stderr=clean(error.stderr)) from None
    record = redactor.value(described(server))
    return record.model_copy(update={"tools": in_order(record.tools)})
