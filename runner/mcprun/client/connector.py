"""Connect to an MCP server: start or reach it, negotiate the protocol, and list its tools.

Servers are started under `client/transports/supervisor.py`, which reports how they end and leaves no process behind.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

import anyio
import httpx2
import mcp_types
from mcp import Client, MCPError
from mcp.client.session import DISCOVER_TIMEOUT_SECONDS
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from mcprun._util.deadline import Deadline
from mcprun._util.surrogates import WARNING
from mcprun._version import __version__
from mcprun.client.auth.httpx_auth import OAuthAuth
from mcprun.client.auth.token_store import TokenStore
from mcprun.client.callbacks import ClientCallbacks
from mcprun.client.connect_errors import Progress, connect_error
from mcprun.client.connection import Connection
from mcprun.client.in_process import contained, contained_tasks
from mcprun.client.raw_results import RawResults
from mcprun.client.request_owner import ClientFeatures
from mcprun.client.server_log import ServerLog, ServerStderr
from mcprun.client.session import ServerSession
from mcprun.client.subscriptions import set_log_level, subscribe_tool_changes
from mcprun.client.target import HttpTarget, InProcessTarget, StdioTarget, Target, brings_authorization
from mcprun.client.tool_listing import ListedTools, list_tools, relisted
from mcprun.client.traffic import Traffic
from mcprun.client.transports.http_failure import HttpFailure, begin_delivery
from mcprun.client.transports.http_reports import Reports
from mcprun.client.transports.legacy_sse import legacy_sse
from mcprun.client.transports.process import PrestartedServer
from mcprun.client.transports.stdio import Stdio
from mcprun.client.transports.streamable_http import streamable_http
from mcprun.errors import ErrorKind, RunError
from mcprun.limits import AUTO, LEGACY, MAX_CALL_SECONDS, MAX_NOISE, MODERN
from mcprun.runs.events import Emit, Noise, ServerExit, ServerStart, SessionRenewed, StrayAnswer, WarningEvent
from mcprun.runs.warn_once import WarnOnce
from mcprun.tools.toolset import ToolSet, changes

_EXITS = (MCPError, anyio.BrokenResourceError, anyio.ClosedResourceError, BrokenPipeError, ConnectionError)
"""Exceptions that the client raises if the server disconnects before the handshake is complete."""


_NOT_POSTED_TO = frozenset({400, 404, 405, 406, 410, 415})
"""HTTP statuses with which servers refuse a POST to a URL that is not a Streamable HTTP endpoint."""

_SHOWN = 1000
"""Maximum characters recorded in the trace of a line of noise, or of the reply to a refused notification."""

_PROBE_SHARE = 1 / 3
"""Share of the connect timeout that the probe may use. The rest is left for a server that only knows `initialize`."""


@dataclass(frozen=True, slots=True)
class _Found:
    """An established connection, and the tools that were listed over it."""

    client: Client
    listed: ListedTools
    link: Connection
    stderr: ServerStderr
    desk: ClientCallbacks


class Connector:
    """Connects to one target any number of times, and remembers the outcome of the first protocol negotiation.

    Args:
        target: The server to connect to.
        log: Receives the stderr of the servers.
        seconds: Time limit for starting, negotiating and listing the tools together.
        most: Maximum size of a server's message, in bytes.
        emit: Receives the events.
        protocol: The protocol to negotiate: `auto`, `legacy` or `2026-07-28`.
        offers: The client features that servers may use.
        ahead: The first server, if it has been started already.
        most_seconds: The limit, in seconds, up to which progress extends a request.
    """

    def __init__(
        self,
        target: Target,
        *,
        log: ServerLog,
        seconds: float,
        most: int,
        emit: Emit,
        protocol: str = AUTO,
        offers: ClientFeatures | None = None,
        ahead: PrestartedServer | None = None,
        most_seconds: float = MAX_CALL_SECONDS,
    ) -> None:
        self._target = target
        self._log = log
        self._seconds = seconds
        self._most = most
        self._emit = emit
        self._warn = WarnOnce(emit)
        self._numbers = itertools.count(1)
        self._asked = protocol
        self._mode = LEGACY if protocol == LEGACY else AUTO
        self._discovered: mcp_types.DiscoverResult | None = None
        self._tools: ToolSet | None = None
        self._listed: ListedTools | None = None
        self._noise = 0
        self._offers = offers or ClientFeatures()
        self._most_seconds = most_seconds
        self._ahead = ahead if ahead and ahead.is_there else None
        self._nobodys: Counter[str] = Counter()
        self._refused: set[tuple[str, int]] = set()
        self._auth: OAuthAuth | None = None
        if isinstance(target, HttpTarget) and not brings_authorization(target):
            self._auth = OAuthAuth(target, TokenStore.find(), log.redactor, emit)

    async def connect(self) -> ServerSession:
        """Start or reach a server and return its session, which the caller must close.

        Raises `RunError` (`server_start`, `connect_timeout`, `bad_tools`) with the end of the server's stderr.
        """
        number = next(self._numbers)
        ahead, self._ahead = self._ahead, None
        started, offset = (ahead.since, ahead.offset) if ahead else (time.monotonic(), self._log.offset)
        found = await self._start(number, ahead)
        seconds = time.monotonic() - started
        try:
            tools = await self._known(found.listed)
        except BaseException:
            await found.link.close()
            raise

        async def relist(server: ServerSession) -> ToolSet | None:
            return await relisted(found.client, server, self._seconds, self._emit)

        server = ServerSession(
            number, found.client, tools, found.link, found.stderr, found.desk, relist, most_seconds=self._most_seconds
        )
        self._emit(
            ServerStart(
                seconds=seconds,
                server=number,
                server_name=server.name,
                version=server.version,
                protocol=server.protocol,
                tools=len(server.tools.listed),
                log_offset=offset,
            )
        )
        return server

    async def _start(self, number: int, ahead: PrestartedServer | None) -> _Found:
        """Connect within the deadline; if that fails, try once more in the way that an older server supports.

        A server that exits on the probe for newer protocols is started again. A URL that refuses POST may be an
        HTTP+SSE endpoint, which clients should try (MCP, "Backwards Compatibility" of Streamable HTTP). If it is not,
        the error is that of the first try. Raises `RunError`.
        """
        clock = Deadline(self._seconds, self._most_seconds)
        progress = Progress(ahead.stderr if ahead else self._log.stderr(), clock, ahead)
        if self._auth:
            self._auth.problem = ""
        started = time.monotonic()
        try:
            async with clock:
                try:
                    return await self._open(number, self._mode, progress)
                except _EXITS as first:
                    late = time.monotonic() - started > self._seconds / 2  # no time for another start
                    older = self._older(progress)
                    if older is None or late:
                        raise
                    refusal, delivery = first, progress.delivery
                    before, self._target = self._target, older
                progress.stderr, progress.ahead = self._log.stderr(), None
                try:
                    return await self._open(number, LEGACY, progress)
                except _EXITS:
                    self._target = before
                    raise
                except (httpx2.HTTPStatusError, httpx2.SSEError):
                    self._target, progress.delivery = before, delivery
                    raise refusal from None
        except Exception as error:  # noqa: BLE001  every failure becomes a RunError with the stderr
            raise connect_error(error, progress, self._target, self._refusal()) from None

    def _older(self, progress: Progress) -> Target | None:
        """Return the target for the second try, as for an older server; None if a second try is not allowed."""
        match self._target:
            case StdioTarget() if self._mode == self._asked == AUTO and not progress.has_agreed:
                return self._target
            case HttpTarget(transport="http") if self._asked != MODERN and progress.refused in _NOT_POSTED_TO:
                return replace(self._target, transport="sse")
        return None

    async def _open(self, number: int, mode: str, progress: Progress) -> _Found:
        stderr = progress.stderr

        def over(link: Connection) -> None:
            self._emit(ServerExit(server=number, died=link.is_down, log_offset=self._log.offset))

        link = progress.link = Connection(over)
        desk = ClientCallbacks(number, self._offers, self._emit, self._log.redactor.text, self._nobodys)

        async def enter(stack: AsyncExitStack) -> _Found:
            progress.delivery = begin_delivery()
            desk.list_clock = progress.clock
            reached = self._reached(number, mode, stack, progress, link, desk)
            client = await stack.enter_async_context(self._client(mode, reached, desk))
            if self._asked == MODERN and client.protocol_version not in MODERN_PROTOCOL_VERSIONS:
                message = (
                    f"the server speaks {client.protocol_version}, and --protocol asks for {MODERN}: {self._target}"
                )
                raise RunError(ErrorKind.SERVER_START, message)
            progress.has_agreed = True
            if progress.unprobed and client.protocol_version not in MODERN_PROTOCOL_VERSIONS:
                self._emit(WarningEvent(message=_unprobed(progress.unprobed)))
            await set_log_level(client, self._offers.log_level)
            await stack.enter_async_context(subscribe_tool_changes(client, desk))
            desk.is_stale = False
            listed = (await list_tools(client, desk.warn_once)).finite(desk)
            desk.list_clock = None
            self._remember(client)
            return _Found(client, listed, link, stderr, desk)

        return await link.open(enter)

    async def _known(self, listed: ListedTools) -> ToolSet:
        """Return the mapped tools, and warn if they changed after a restart.

        Mapping hundreds of tools is slow, so it runs in a thread, and only if the list differs from the last one.
        """
        if self._tools is None or listed != self._listed:
            before, self._listed = self._tools, listed
            self._tools = await asyncio.to_thread(ToolSet.of, listed.tools, listed.malformed)
            if before and (diff := changes(before.listed, self._tools.listed)):
                self._emit(
                    WarningEvent(message=f"the server's tools are not what they were before it was restarted: {diff}")
                )
        return self._tools

    def _client(self, mode: str, server: Any, desk: ClientCallbacks) -> Client:
        return Client(
            server,
            mode=mode,
            prior_discover=self._discovered,
            client_info=mcp_types.Implementation(name="mcprun", version=__version__),
            cache=None,
            elicitation_callback=desk.elicit,
            sampling_callback=desk.sample if self._offers.sampling else None,
            list_roots_callback=desk.list_roots if self._offers.roots else None,
            logging_callback=desk.log,
            log_level=self._offers.log_level,
            message_handler=desk.notified,
        )

    def _reached(
        self, number: int, mode: str, stack: AsyncExitStack, progress: Progress, link: Connection, desk: ClientCallbacks
    ) -> Any:
        """Return what the SDK's client connects to: an in-process server itself, or a transport to any other."""
        if isinstance(self._target, InProcessTarget):
            stack.enter_context(contained_tasks())
            return contained(self._target.server)

        def stray(description: str, is_taken: bool) -> None:
            message = f"the server sent {description}"
            if is_taken:
                message += "; it was taken for the answer to that request, which other clients may still wait for"
            self._nobodys["stray"] += 1
            if self._nobodys["stray"] <= MAX_NOISE:
                self._emit(StrayAnswer(server=number, text=message))
            self._nobodys[f"stray {is_taken}"] += 1
            if self._nobodys[f"stray {is_taken}"] == 1:
                self._emit(WarningEvent(message=message))

        probe_s = min(DISCOVER_TIMEOUT_SECONDS, self._seconds * _PROBE_SHARE)
        traffic = progress.traffic = Traffic(
            most=self._most,
            probe_s=probe_s if mode == self._asked == AUTO else None,
            sending=progress.sending,
            unprobed=progress.not_probed,
            progressed=desk.list_progressed,
            stray=stray,
            gave_up=desk.askers.gave_up,
            late=desk.askers.answered_late,
        )
        transport = self._transport(number, stack, progress, link, desk)
        return RawResults().between(traffic.watched(transport, link.ended))

    def _transport(
        self, number: int, stack: AsyncExitStack, progress: Progress, link: Connection, desk: ClientCallbacks
    ) -> Any:
        match self._target:
            case StdioTarget() as target:
                if progress.ahead:
                    stack.push(progress.stderr)
                else:
                    stack.enter_context(progress.stderr)

                def noise(line: str) -> None:
                    self._tell_noise(number, line)

                def hung_up(reason: str) -> None:
                    link.reason = reason

                return Stdio(target, progress.stderr, self._most, noise, hung_up, progress.ahead, self._replaced).open()
            case HttpTarget(url, headers, "sse"):
                reports = self._reports(number, desk, link)
                return legacy_sse(url, headers, max_bytes=self._most, reports=reports, auth=self._auth)
            case HttpTarget(url, headers):
                reports = self._reports(number, desk, link)
                return streamable_http(
                    url, headers, max_bytes=self._most, connect_s=self._seconds, reports=reports, auth=self._auth
                )

    def _reports(self, number: int, desk: ClientCallbacks, link: Connection) -> Reports:
        """Return the callbacks through which an HTTP transport reports on its connection."""

        def renewed(status: int, seconds: float) -> None:
            desk.is_stale = True
            desk.askers.renewed()
            self._emit(SessionRenewed(server=number, status=status, seconds=seconds))

        def refused(what: str, failure: HttpFailure) -> None:
            if (what, failure.status) not in self._refused:
                self._refused.add((what, failure.status))
                reply = self._log.redactor.text(failure.message())[:_SHOWN]
                self._emit(WarningEvent(message=f"the server refused {what}: {reply}"))

        return Reports(lost=link.ended, renewed=renewed, refused=refused, replaced=self._replaced)

    def _replaced(self) -> None:
        self._warn("surrogates", f"a message of the server: {WARNING}")

    def _tell_noise(self, number: int, line: str) -> None:
        self._noise += 1
        if self._noise <= MAX_NOISE:
            self._emit(Noise(server=number, text=self._log.redactor.text(line)[:_SHOWN]))

    def _remember(self, client: Client) -> None:
        """Remember the protocol, so that later connections skip the probe.

        On a legacy server the probe costs a round trip, on some of them ten seconds.
        """
        if client.protocol_version in MODERN_PROTOCOL_VERSIONS:
            self._mode, self._discovered = client.protocol_version, client.session.discover_result
        else:
            self._mode = LEGACY

    def _refusal(self) -> str:
        """Return why a server at a URL refused the authorization; empty if it did not."""
        return self._auth.problem if self._auth else ""


def _unprobed(timeout_s: float) -> str:
    """Return the warning that a server did not answer the probe, with the fallback and how to skip the wait."""
    return (
        f"the server did not answer server/discover within {timeout_s:.3g} s, so it was sent initialize as an older"
        " server; --protocol legacy saves the wait"
    )
