"""Connecting to a host with several addresses, and cancelling it."""

from __future__ import annotations

import asyncio
import errno
import gc
import socket
import warnings
from typing import Any

import pytest

from mcprun.models.http import happy_eyeballs
from mcprun.models.http.happy_eyeballs import connect_socket
from tests.support.loopback import free_port

SIX, FOUR = socket.AF_INET6, socket.AF_INET


class Network:
    """Addresses that accept, refuse or never answer, in place of the event loop's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *addresses: tuple[int, str]) -> None:
        self.addresses = addresses
        self.tried: list[str] = []
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "getaddrinfo", self.getaddrinfo)
        monkeypatch.setattr(loop, "sock_connect", self.sock_connect)

    async def getaddrinfo(self, *_: object, **__: object) -> list[Any]:
        """Return the addresses."""
        return [(family, socket.SOCK_STREAM, 0, "", name) for family, name in self.addresses]

    async def sock_connect(self, sock: socket.socket, name: str) -> None:
        """Do what the first word of an address says."""
        self.tried.append(name)
        if name.startswith("silent"):
            await asyncio.Event().wait()
        if name.startswith("refusing"):
            raise ConnectionRefusedError(errno.ECONNREFUSED, name)


async def test_families_are_tried_alternately_until_an_address_accepts(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that refuses is followed by the next at once, and those after the first that accepts are not tried."""
    monkeypatch.setattr(happy_eyeballs, "DELAY_SECONDS", 60)
    network = Network(
        monkeypatch, (SIX, "refusing 1"), (SIX, "refusing 3"), (FOUR, "refusing 2"), (FOUR, "good"), (SIX, "unused")
    )
    with await connect_socket("host", 80) as sock:
        assert (sock.family, sock.gettimeout()) == (FOUR, 0)
    assert network.tried == ["refusing 1", "refusing 2", "refusing 3", "good"]


async def test_silent_address_does_not_keep_the_next_from_being_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host whose IPv6 is broken is reached over IPv4 after a moment."""
    monkeypatch.setattr(happy_eyeballs, "DELAY_SECONDS", 0)
    network = Network(monkeypatch, (SIX, "silent"), (FOUR, "good"))
    async with asyncio.timeout(5):
        sock = await connect_socket("host", 80)
    with sock:
        assert sock.family == FOUR
    assert network.tried == ["silent", "good"]


async def test_error_is_that_of_the_last_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host none of whose addresses accepts is an `OSError`."""
    Network(monkeypatch, (SIX, "refusing 1"), (FOUR, "refusing 2"))
    with pytest.raises(ConnectionRefusedError, match="refusing 2"):
        await connect_socket("host", 80)


@pytest.mark.parametrize("is_open", [True, False])
async def test_cancelled_attempt_leaves_no_socket(is_open: bool) -> None:
    """Whenever it is cancelled, for example just when an address has accepted, every socket is closed."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1] if is_open else free_port()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for steps in range(60):
            connecting = asyncio.create_task(connect_socket("127.0.0.1", port))
            for _ in range(steps):
                await asyncio.sleep(0)
            connecting.cancel()
            (result,) = await asyncio.gather(connecting, return_exceptions=True)
            if isinstance(result, socket.socket):
                result.close()
        gc.collect()
    server.close()
    assert [str(warning.message) for warning in caught] == []
