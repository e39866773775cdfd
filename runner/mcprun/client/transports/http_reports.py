"""Shared parts of the HTTP transports: limits, callbacks, the `ping` of a session, and the rule for redirects."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import httpx2

from mcprun.client.transports.bounded_body import WellFormed
from mcprun.client.transports.http_body import has_events, is_compressed, media_type
from mcprun.client.transports.http_failure import HttpFailure

HTTP_SECONDS = 30.0
"""Timeout for connecting, writing, and waiting for a free connection: the SDK's default. Reading has none: calls have
deadlines.
"""

CONNECTIONS = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
"""No limit of connections but `--concurrency`: httpx2 would keep the 101st call waiting, within its deadline."""

PING_SECONDS = 2.0
"""Time limit for the `ping` that distinguishes a lost session from a refused request."""

PING_ID = "mcprun-ping"

PING = b'{"jsonrpc":"2.0","id":"%s","method":"ping"}' % PING_ID.encode()


@dataclass(frozen=True, slots=True)
class Reports:
    """Callbacks of a transport.

    Args:
        on_lost: Called with the reason when the connection or its session is lost.
        renewed: Called when a new session replaced a lost one, with the status that refused the lost session, and the
            seconds that opening the new one took.
        refused: Called when the server refused a notification or a response, with its method and the failure.
        replaced: Called when half of a surrogate pair was replaced by U+FFFD.
    """

    on_lost: Callable[[str], None]
    renewed: Callable[[int, float], None]
    refused: Callable[[str, HttpFailure], None]
    replaced: Callable[[], None]


def well_formed_bodies(replaced: Callable[[], None]) -> Callable[[httpx2.Response], Awaitable[None]]:
    """Return a response hook that wraps JSON bodies and event streams in `WellFormed`, which calls `replaced`."""

    async def repair(response: httpx2.Response) -> None:
        if ("json" in media_type(response) or has_events(response)) and not is_compressed(response):
            response.stream = WellFormed(response.stream, replaced)

    return repair


def reason_of_loss(error: Exception) -> str:
    """Describe the exception that ended a connection."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def is_followed(response: httpx2.Response) -> bool:
    """Return whether to follow a redirect, by the SDK's rule.

    The method must stay the same, and so must the origin, except for an upgrade to HTTPS on the same host.
    """
    following, sent = response.next_request, response.request
    if following is None or following.method != sent.method or following.url.userinfo not in (b"", sent.url.userinfo):
        return False
    to, url = following.url, sent.url
    is_upgrade = (url.scheme, url.port, to.scheme, to.port) == ("http", None, "https", None)
    return to.host == url.host and (is_upgrade or (to.scheme, to.port) == (url.scheme, url.port))
