"""What the HTTP transports share: where they report to, how they ask for a session, which redirects they follow."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import httpx2

from mcprun.client.transports.bounded_body import WellFormed
from mcprun.client.transports.http_body import has_events, is_compressed, media_type
from mcprun.client.transports.http_failure import HttpFailure

PING_SECONDS = 2.0
"""How long a `ping` may take that tells a lost session from a request that the server refuses."""

PING_ID = "mcprun-ping"

PING = b'{"jsonrpc":"2.0","id":"%s","method":"ping"}' % PING_ID.encode()


@dataclass(frozen=True, slots=True)
class Reports:
    """Where a transport reports what happens.

    Args:
        lost: The connection, or its session, is lost; with the reason.
        renewed: A new session took the place of a lost one; with the status that it was refused with, and the seconds.
        refused: A notification or a response of ours was answered with an error; with its method and the failure.
        replaced: Half of a surrogate pair was replaced by U+FFFD.
    """

    lost: Callable[[str], None]
    renewed: Callable[[int, float], None]
    refused: Callable[[str, HttpFailure], None]
    replaced: Callable[[], None]


def well_formed_bodies(replaced: Callable[[], None]) -> Callable[[httpx2.Response], Awaitable[None]]:
    """Return a hook that has bodies of JSON and of events read as `WellFormed`; see there for `replaced`."""

    async def repair(response: httpx2.Response) -> None:
        if ("json" in media_type(response) or has_events(response)) and not is_compressed(response):
            response.stream = WellFormed(response.stream, replaced)

    return repair


def reason_of_loss(error: Exception) -> str:
    """Describe the exception that ended a connection."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def is_followed(response: httpx2.Response) -> bool:
    """Return whether to follow a redirect, as the SDK does: the same method, at the same origin or at HTTPS there."""
    following, sent = response.next_request, response.request
    if following is None or following.method != sent.method or following.url.userinfo not in (b"", sent.url.userinfo):
        return False
    to, url = following.url, sent.url
    is_upgrade = (url.scheme, url.port, to.scheme, to.port) == ("http", None, "https", None)
    return to.host == url.host and (is_upgrade or (to.scheme, to.port) == (url.scheme, url.port))
