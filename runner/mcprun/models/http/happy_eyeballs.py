"""Connect to the first address of a host that accepts (Happy Eyeballs, RFC 8305).

asyncio's own implementation leaves a socket open if it is cancelled just when an address has accepted.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

DELAY_SECONDS = 0.25
"""The seconds between attempts (RFC 8305, section 5)."""

_MAX_PORT = 65535

Address = tuple[int, int, int, str, Any]
"""An address as `getaddrinfo` returns it: family, type, protocol, canonical name, and address."""


async def connect_socket(host: str, port: int) -> socket.socket:
    """Return a non-blocking socket that is connected to a host. IPv6 and IPv4 addresses are tried alternately.

    Raises `socket.gaierror` for a host that can't be resolved, `ValueError` for a name or a port that can't exist, and
    else the `OSError` of the last address that failed.
    """
    if port > _MAX_PORT:  # some systems resolve it modulo 65536
        raise ValueError(f"the port must be at most {_MAX_PORT}, not {port}")
    loop = asyncio.get_running_loop()
    untried = _interleaved(await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    attempts: set[asyncio.Task[socket.socket]] = set()
    try:
        while True:
            if untried:
                attempts.add(loop.create_task(_connect(untried.pop(0))))
            delay = DELAY_SECONDS if untried else None
            done, _ = await asyncio.wait(attempts, timeout=delay, return_when=asyncio.FIRST_COMPLETED)
            for attempt in done:
                attempts.remove(attempt)
                if not attempt.exception() or not (attempts or untried):
                    return attempt.result()
    finally:
        for attempt in attempts:
            if not attempt.cancel() and not attempt.exception():
                attempt.result().close()


async def _connect(address: Address) -> socket.socket:
    family, kind, protocol, _, location = address
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, location)
    except BaseException:
        sock.close()
        raise
    return sock


def _interleaved(addresses: Sequence[Address]) -> list[Address]:
    """Alternate between the families, in the system's order of preference (RFC 8305, section 4)."""
    families: dict[int, list[Address]] = {}
    for address in addresses:
        families.setdefault(address[0], []).append(address)
    return [address for group in zip_longest(*families.values()) for address in group if address]
