"""Connect to an MCP server: start or reach it, negotiate the protocol, and list its tools.

Servers are started under `client/transports/supervisor.py`, which reports how they end and leaves no process behind.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import mcp_types
from mcp import Client
from mcp.client.session import DISCOVER_TIMEOUT_SECONDS
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from mcprun._util.deadline import Deadline
from mcprun._version import __version__
from mcprun.client.auth.httpx_auth import OAuthAuth
from mcprun.client.auth.token_store import TokenStore
from mcprun.client.callbacks import ClientCallbacks
from mcprun.client.connect_attempt import ConnectAttempt, candidates, reported
from mcprun.client.connect_errors import connect_error
from mcprun.client.connection_events import ConnectionEvents
from mcprun.client.in_process import contain_exceptions, contain_tasks
from mcprun.client.request_owner import ClientFeatures
from mcprun.client.scratch import scratch_folder
from mcprun.client.server_log import ServerLog
from mcprun.client.session import ConnectedServer, ServerSession
from mcprun.client.subscriptions import set_log_level, subscribe_tool_changes
from mcprun.client.target import HttpTarget, InProcessTarget, StdioTarget, Target, has_credentials
from mcprun.client.tool_listing import ListedTools, list_again, list_tools
from mcprun.client.traffic import Traffic, TrafficObserver
from mcprun.client.transports.http_failure import begin_delivery
from mcprun.client.transports.http_reports import Reports
from mcprun.client.transports.legacy_sse import legacy_sse
from mcprun.client.transports.process import PrestartedServer
from mcprun.client.transports.stdio import Stdio
from mcprun.client.transports.streamable_http import streamable_http
from mcprun.client.unvalidated_results import RawResults
from mcprun.errors import ErrorKind, RunError
from mcprun.limits import AUTO, LEGACY, MAX_CALL_SECONDS, MAX_RESULT_BYTES, MODERN
from mcprun.runs.events import Emit, ServerStart, ToolsListed, WarningEvent
from mcprun.tools.toolset import ToolSet, changes

_PROBE_SHARE = 1 / 3
"""Share of the connect timeout that the probe may use. The rest is left for a server that only knows `initialize`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectOptions:
    """How to connect to a server.

    Args:
        timeout_s: Time limit for starting, negotiating and listing the tools together, in seconds.
        protocol: The protocol to negotiate: `auto`, `legacy` or `2026-07-28`.
        features: The client features that servers may use.
        max_bytes: Maximum size of a server's message, in bytes.
        max_call_s: The limit, in seconds, up to which progress extends a request.
    """

    timeout_s: float
    protocol: str = AUTO
    features: ClientFeatures = field(default_factory=ClientFeatures)
    max_bytes: int = MAX_RESULT_BYTES
    max_call_s: float = MAX_CALL_SECONDS


class Connector:
    """Connects to one target any number of times, and remembers how the first connection was made.

    Args:
        target: The server to connect to.
        log: Receives the stderr of the servers.
        emit: Receives the events.
        options: Limits, protocol and client features.
        prestarted: The first server, if it has been started already.
    """

    def __init__(
        self,
        target: Target,
        log: ServerLog,
        emit: Emit,
        options: ConnectOptions,
        prestarted: PrestartedServer | None = None,
    ) -> None:
        self._target = target
        self._log = log
        self._emit = emit
        self._options = options
        self._prestarted = prestarted if prestarted and prestarted.is_there else None
        self._numbers = itertools.count(1)
        self._mode = LEGACY if options.protocol == LEGACY else AUTO
        self._discovered: mcp_types.DiscoverResult | None = None
        self._tools: ToolSet | None = None
        self._listed: ListedTools | None = None
        self._unattributed: Counter[str] = Counter()
        self._events = ConnectionEvents(log, emit, self._unattributed)
        self._auth: OAuthAuth | None = None
        if isinstance(target, HttpTarget) and not has_credentials(target):
            self._auth = OAuthAuth(target, TokenStore.find(), log.redactor, emit)

    @property
    def is_remote(self) -> bool:
        """Whether the server is at a URL, so that mcprun connects to it and does not start it."""
        return isinstance(self._target, HttpTarget)

    async def connect(self) -> ServerSession:
        """Start or reach a server and return its session, which the caller must close.

        Raises `RunError` (`server_start`, `connect_timeout`, `bad_tools`) with the end of the server's stderr.
        """
        number = next(self._numbers)
        prestarted, self._prestarted = self._prestarted, None
        started, offset = (prestarted.since, prestarted.offset) if prestarted else (time.monotonic(), self._log.offset)
        peer, listed = await self._start(number, prestarted)
        elapsed = time.monotonic() - started
        try:
            tools = await self._map_tools(number, listed)
        except BaseException:
            await peer.link.close()
            raise

        async def relist(server: ServerSession) -> ToolSet | None:
            return await list_again(peer.client, server, self._options.timeout_s, self._emit)

        server = ServerSession(number, peer, tools, relist, self._options.max_call_s)
        self._emit(
            ServerStart(
                seconds=elapsed,
                server=number,
                server_name=server.name,
                version=server.version,
                protocol=server.protocol,
                tools=len(server.tools.listed),
                log_offset=offset,
            )
        )
        return server

    async def _start(self, number: int, prestarted: PrestartedServer | None) -> tuple[ConnectedServer, ListedTools]:
        """Connect, and list the tools, within the deadline that all candidates share. Raises `RunError`."""
        attempts: list[ConnectAttempt] = []
        clock = Deadline(self._options.timeout_s, self._options.max_call_s)
        if self._auth:
            self._auth.problem = ""
        try:
            async with clock:
                return await self._try_candidates(number, clock, prestarted, attempts)
        except TimeoutError as error:
            raise connect_error(error, attempts[-1], self._refusal()) from None

    async def _try_candidates(
        self, number: int, clock: Deadline, prestarted: PrestartedServer | None, attempts: list[ConnectAttempt]
    ) -> tuple[ConnectedServer, ListedTools]:
        """Return the server and tools of the first candidate that connects, and remember that candidate.

        Each attempt is appended to `attempts`. Raises `RunError` for the attempt that explains the failure.
        """
        for candidate in candidates(self._target, self._mode, self._options.protocol):
            stderr = prestarted.stderr if prestarted else self._log.stderr()
            attempt = ConnectAttempt(candidate, self._events.connection(number), stderr, clock, prestarted)
            if attempts:  # a timeout message names what the attempt before waited for, too
                attempt.step, attempt.unprobed = attempts[-1].step, attempts[-1].unprobed
            attempts.append(attempt)
            prestarted = None
            try:
                connected = await self._open(number, attempt)
            except Exception as error:  # noqa: BLE001  every failure becomes a RunError with the stderr
                attempt.error = error
            else:
                self._remember(candidate.target, connected[0].client)
                return connected
            if not attempt.allows_next():
                break
        failed = reported(attempts)
        assert failed.error  # noqa: S101  no attempt has succeeded
        raise connect_error(failed.error, failed, self._refusal()) from None

    async def _open(self, number: int, attempt: ConnectAttempt) -> tuple[ConnectedServer, ListedTools]:
        features = self._options.features
        callbacks = ClientCallbacks(number, features, self._emit, self._log.redactor.text, self._unattributed)

        async def enter(stack: AsyncExitStack) -> tuple[ConnectedServer, ListedTools]:
            attempt.delivery = begin_delivery()
            callbacks.list_clock = attempt.clock
            server = self._server_or_transport(number, stack, attempt, callbacks)
            client = await stack.enter_async_context(self._client(attempt.candidate.mode, server, callbacks))
            is_modern = client.protocol_version in MODERN_PROTOCOL_VERSIONS
            if self._options.protocol == MODERN and not is_modern:
                message = (
                    f"the server negotiated {client.protocol_version}, but --protocol requires {MODERN}: {self._target}"
                )
                raise RunError(ErrorKind.SERVER_START, message)
            attempt.has_agreed = True
            if attempt.unprobed and not is_modern:
                self._emit(WarningEvent(message=_probe_warning(attempt.unprobed)))
            await set_log_level(client, features.log_level)
            await stack.enter_async_context(subscribe_tool_changes(client, callbacks))
            callbacks.is_stale = False
            listed = (await list_tools(client, callbacks.warn_once)).finite(callbacks)
            callbacks.list_clock = None
            return ConnectedServer(client, attempt.link, attempt.stderr, callbacks, self._target), listed

        return await attempt.link.open(enter)

    def _client(self, mode: str, server: Any, callbacks: ClientCallbacks) -> Client:
        features = self._options.features
        return Client(
            server,
            mode=mode,
            prior_discover=self._discovered,
            client_info=mcp_types.Implementation(name="mcprun", version=__version__),
            cache=None,
            elicitation_callback=callbacks.elicit,
            sampling_callback=callbacks.sample if features.sampling else None,
            list_roots_callback=callbacks.list_roots if features.roots else None,
            logging_callback=callbacks.log,
            log_level=features.log_level,
            message_handler=callbacks.on_notification,
        )

    def _server_or_transport(
        self, number: int, stack: AsyncExitStack, attempt: ConnectAttempt, callbacks: ClientCallbacks
    ) -> Any:
        """Return the object that the SDK's client connects to: an in-process server, or a transport to any other."""
        target = attempt.candidate.target
        if isinstance(target, InProcessTarget):
            stack.enter_context(contain_tasks())
            return contain_exceptions(target.server)
        if isinstance(target, StdioTarget):
            if attempt.prestarted:
                stack.push(attempt.stderr)
            else:
                stack.enter_context(attempt.stderr)
                target = stack.enter_context(scratch_folder(target))
            transport = self._stdio(target, number, attempt)
        else:
            transport = self._http(target, self._events.http_reports(number, attempt.link, callbacks))
        observer = TrafficObserver(
            sending=attempt.sending,
            unprobed=attempt.not_probed,
            progressed=callbacks.extend_listing,
            stray=self._events.stray(number),
            gave_up=callbacks.active_queries.mark_abandoned,
            late=callbacks.active_queries.mark_answered,
        )
        probe_s = min(DISCOVER_TIMEOUT_SECONDS, self._options.timeout_s * _PROBE_SHARE)
        is_probed = attempt.candidate.mode == self._options.protocol == AUTO
        attempt.traffic = Traffic(self._options.max_bytes, probe_s if is_probed else None, observer)
        return RawResults().between(attempt.traffic.wrap(transport, attempt.link.mark_closed))

    def _stdio(self, target: StdioTarget, number: int, attempt: ConnectAttempt) -> Any:
        reports = self._events.stdio_reports(number, attempt.link)
        return Stdio(target, attempt.stderr, self._options.max_bytes, reports, attempt.prestarted).open()

    def _http(self, target: HttpTarget, reports: Reports) -> Any:
        url, headers, max_bytes = target.url, target.headers, self._options.max_bytes
        if target.transport == "sse":
            return legacy_sse(url, headers, max_bytes=max_bytes, reports=reports, auth=self._auth)
        connect_s = self._options.timeout_s
        return streamable_http(url, headers, max_bytes=max_bytes, connect_s=connect_s, reports=reports, auth=self._auth)

    async def _map_tools(self, number: int, listed: ListedTools) -> ToolSet:
        """Return the mapped tools, and emit what another session than the first lists, with a warning.

        Mapping hundreds of tools is slow, so it runs in a thread, and only if the list differs from the last one.
        """
        if self._tools is None or listed != self._listed:
            before, self._listed = self._tools, listed
            self._tools = await asyncio.to_thread(ToolSet.of, listed.tools, listed.malformed)
            if before:
                self._emit(ToolsListed.of(number, listed.tools, listed.malformed))
            if before and (diff := changes(before.listed, self._tools.listed)):
                self._emit(WarningEvent(message=f"the server's tools changed when it was restarted: {diff}"))
        return self._tools

    def _remember(self, target: Target, client: Client) -> None:
        """Remember the transport and the protocol, so that later connections try nothing else and skip the probe.

        On a legacy server the probe costs a round trip, on some of them ten seconds.
        """
        self._target = target
        if client.protocol_version in MODERN_PROTOCOL_VERSIONS:
            self._mode, self._discovered = client.protocol_version, client.session.discover_result
        else:
            self._mode = LEGACY

    def _refusal(self) -> str:
        """Return why a server at a URL refused the authorization; empty if it did not."""
        return self._auth.problem if self._auth else ""


def _probe_warning(timeout_s: float) -> str:
    """Return the warning that a server did not answer the probe, with the fallback and how to skip the wait."""
    return (
        f"the server did not answer server/discover within {timeout_s:.3g} s, so mcprun fell back to"
        " initialize, as for an older server; --protocol legacy skips the wait"
    )
