"""The HTTP transport beside the SDK's own: equal outcomes for equal bytes, and connections that are reused."""

from __future__ import annotations

import asyncio
import errno
import gzip
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest

from mcprun.models.http import transport as http_transport
from mcprun.models.http.connection import MAX_HEAD_BYTES
from mcprun.models.http.transport import HttpTransport, enable_keep_alive
from tests.support.certificates import server_context, write_certificate
from tests.support.loopback import free_port

OK = b"HTTP/1.1 200 OK\r\n"
BODY = b'{"type": "message"}'
LENGTH = b"content-length: %d\r\n" % len(BODY)
SOUND = OK + LENGTH + b"\r\n" + BODY
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
SMALL = gzip.compress(BODY)
WAIT = 5.0
"""Seconds in which every request of these tests ends, unless it hangs."""

Ending = Callable[[asyncio.StreamWriter], None]


def keep(_: asyncio.StreamWriter) -> None:
    """Keep the connection open."""


def finish(writer: asyncio.StreamWriter) -> None:
    """Close the connection with a FIN."""
    writer.close()


def reset(writer: asyncio.StreamWriter) -> None:
    """Close the connection with an RST."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@dataclass
class Peer:
    """A server that answers each request with the same bytes, in these pieces, and then ends as `ending` says."""

    pieces: Sequence[bytes]
    ending: Ending = keep
    requests: list[bytes] = field(default_factory=list)
    connections: list[asyncio.StreamWriter] = field(default_factory=list)
    was_asked: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.connections.append(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(httpx2.Headers(_fields(head)).get("content-length", 0))
                self.requests.append(head + await reader.readexactly(length))
                self.was_asked.set()
                for piece in self.pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
                self.ending(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


def _fields(head: bytes) -> list[tuple[bytes, bytes]]:
    lines = head.split(b"\r\n")[1:-2]
    return [(name, value.strip()) for name, _, value in (line.partition(b":") for line in lines)]


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(peer: Peer, serve: Serve | None = None, tls: ssl.SSLContext | None = None) -> AsyncIterator[Peer]:
    """Run a peer on a loopback port, with TLS if `tls` is set; `serve` replaces what it does with a connection."""
    server = await asyncio.start_server(serve or peer.serve, "127.0.0.1", 0, ssl=tls)
    scheme = "https" if tls else "http"
    peer.url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/messages"
    try:
        yield peer
    finally:
        server.close()
        for writer in peer.connections:
            writer.close()
        await server.wait_closed()


async def outcome(
    transport: httpx2.AsyncBaseTransport, peer: Peer, tls: ssl.SSLContext | None = None
) -> tuple[object, ...]:
    """Return the response to a request, or the type of its error."""
    client = httpx2.AsyncClient(transport=transport, timeout=WAIT, follow_redirects=True)  # as the SDK's client does
    async with serving(peer, tls=tls), client:
        try:
            response = await client.post(peer.url, content=b"{}")
        except httpx2.HTTPError as error:
            return (type(error).__name__,)
    return response.status_code, response.reason_phrase, response.headers.raw, response.content


WIRE: dict[str, tuple[bytes, Ending]] = {
    "a body with its length": (SOUND, keep),
    "no body": (OK + b"content-length: 0\r\n\r\n", keep),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", keep),
    "no reason phrase": (b"HTTP/1.1 200 \r\n" + LENGTH + b"\r\n" + BODY, keep),
    "names in capitals, a repeated header": (
        OK + b"Content-Length: 2\r\nX-A: 1\r\nx-a: 2\r\nX-B:  spaced \t\r\n\r\nok",
        keep,
    ),
    "chunks": (CHUNKED + b"5\r\n{\"typ\r\n0e;x=y\r\ne\": \"message\"}\r\n0\r\n\r\n", keep),
    "chunks with a trailer": (CHUNKED + b"2\r\nok\r\n0\r\nx-sum: 1\r\n\r\n", keep),
    "a body up to the end of the connection": (OK + b"\r\n" + BODY, finish),
    "the same, reset": (OK + b"\r\n" + BODY, reset),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\n\r\n" + BODY, finish),
    "connection: close": (OK + b"connection: close\r\n" + LENGTH + b"\r\n" + BODY, finish),
    "compressed": (OK + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(SMALL) + SMALL, keep),
    "100 Continue first": (b"HTTP/1.1 100 Continue\r\n\r\n" + SOUND, keep),
    "two informational responses first": (
        b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + SOUND,
        keep,
    ),
    "lines that end in LF alone": (SOUND.replace(b"\r\n", b"\n"), keep),
    "529": (b"HTTP/1.1 529 Overloaded\r\nretry-after: 1\r\n" + LENGTH + b"\r\n" + BODY, keep),
    "307 without end": (b"HTTP/1.1 307 Moved\r\nlocation: /\r\ncontent-length: 0\r\n\r\n", keep),
    "303 without end": (b"HTTP/1.1 303 Moved\r\nlocation: ?\r\ncontent-length: 0\r\n\r\n", keep),
    "307 to no port": (b"HTTP/1.1 307 Moved\r\nlocation: http://localhost:x\r\ncontent-length: 0\r\n\r\n", keep),
    "307 to an unknown scheme": (b"HTTP/1.1 307 Moved\r\nlocation: ftp://a\r\ncontent-length: 0\r\n\r\n", keep),
    "304": (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n", keep),
    "100 Continue with connection: close": (b"HTTP/1.1 100 Continue\r\nconnection: close\r\n\r\n" + SOUND, keep),
    "100 Continue of HTTP/1.0": (b"HTTP/1.0 100 Continue\r\n\r\n" + SOUND, keep),
    "101": (b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + SOUND, keep),
    "HTTP/1.2": (SOUND.replace(b"1.1", b"1.2"), keep),
    "an offer of HTTP/2": (OK + b"connection: Upgrade, Keep-Alive\r\nupgrade: h2\r\n" + LENGTH + b"\r\n" + BODY, keep),
    "a length and chunks": (CHUNKED[:-2] + LENGTH + b"\r\n2\r\nok\r\n0\r\n\r\n", keep),
    "chunks and a length in the trailer": (CHUNKED + b"2\r\nok\r\n0\r\ncontent-length: 2\r\n\r\n", keep),
    "a space after the length of a chunk": (CHUNKED + b"2 \r\nok\r\n0\r\n\r\n", keep),
    "another transfer coding": (OK + b"transfer-encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", keep),
    "another transfer coding without end": (OK + b"transfer-encoding: gzip\r\n\r\nok", keep),
    "a folded header": (OK + LENGTH + b"x-a: 1\r\n 2\r\n\r\n" + BODY, keep),
    "a control character in a header": (OK + LENGTH + b"set-cookie: a=\x01\r\n\r\n" + BODY, keep),
    "endless trailers": (CHUNKED + b"2\r\nok\r\n0\r\n" + b"x-a: 1\r\n" * MAX_HEAD_BYTES, keep),
    "an endless trailer": (CHUNKED + b"2\r\nok\r\n0\r\nx-a: " + b"1" * (8 * MAX_HEAD_BYTES), keep),
    "an endless line before a chunk": (CHUNKED + b"2;a=" + b"1" * (2 * MAX_HEAD_BYTES), keep),
    "nothing": (b"", finish),
    "nothing, and a reset": (b"", reset),
    "half of the status line": (b"HTTP/1.1 20", finish),
    "half of the headers": (OK + b"content-le", finish),
    "half of the body": (SOUND[:-9], finish),
    "half of the body, and a reset": (SOUND[:-9], reset),
    "half of a chunk": (CHUNKED + b"5\r\n{\"t", finish),
    "no last chunk": (CHUNKED + b"2\r\nok\r\n", finish),
    "a chunk without a length": (CHUNKED + b"x\r\nok\r\n0\r\n\r\n", finish),
    "not HTTP": (b"<h1>Hello</h1>\r\n\r\n", finish),
    "SSH": (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", finish),
    "HTTP/2": (b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x80", finish),
    "a status that is no number": (b"HTTP/1.1 OK\r\n\r\n", finish),
    "a header without a colon": (OK + b"nonsense\r\n\r\n", finish),
    "a header name with a space": (OK + b"x y: 1\r\n\r\n", finish),
    "a length that is no number": (OK + b"content-length: many\r\n\r\n", finish),
    "a negative length": (OK + b"content-length: -1\r\n\r\n", finish),
    "two lengths": (OK + b"content-length: 1\r\ncontent-length: 2\r\n\r\nok", finish),
    "endless headers": (OK + b"x-a: 1\r\n" * (MAX_HEAD_BYTES // 4), keep),
    "an endless header": (OK + b"x-a: " + b"1" * (2 * MAX_HEAD_BYTES), keep),
    "surplus bytes": (SOUND + b"HTTP/1.1 500 Oops\r\n\r\n", keep),
    "a megabyte": (OK + b"content-length: 1000000\r\n\r\n" + b"x" * 1_000_000, keep),
}  # fmt: skip
"""Responses as bytes, and how the connection ends after them."""


@pytest.mark.parametrize("name", WIRE)
async def test_equal_bytes_have_equal_outcomes(name: str) -> None:
    """A response, or its absence, is what it is with the SDK's own transport, whether it arrives at once or byte by byte."""
    data, ending = WIRE[name]
    expected = await outcome(httpx2.AsyncHTTPTransport(), Peer([data], ending))
    assert await outcome(HttpTransport(), Peer([data], ending)) == expected
    if len(data) < 1000:
        assert await outcome(HttpTransport(), Peer([bytes([one]) for one in data], ending)) == expected


@pytest.mark.parametrize("transport", [HttpTransport, httpx2.AsyncHTTPTransport])
async def test_requests_one_after_the_other_share_a_connection(transport: type[httpx2.AsyncBaseTransport]) -> None:
    """A connection is used again once its response was read, and each request arrives as the SDK's transport sends it."""
    async with serving(Peer([SOUND])) as peer, httpx2.AsyncClient(transport=transport()) as client:
        for number in range(3):
            assert (await client.post(peer.url, json={"n": number})).json() == {"type": "message"}
    assert len(peer.connections) == 1
    host = peer.url.removeprefix("http://").partition("/")[0].encode()
    assert [request.partition(b"\r\n\r\n")[2] for request in peer.requests] == [b'{"n":0}', b'{"n":1}', b'{"n":2}']
    assert peer.requests[0].startswith(b"POST /v1/messages HTTP/1.1\r\nHost: " + host + b"\r\n")


@pytest.mark.parametrize("transport", [HttpTransport, httpx2.AsyncHTTPTransport])
@pytest.mark.parametrize("status", [307, 308])
async def test_redirect_is_followed(transport: type[httpx2.AsyncBaseTransport], status: int) -> None:
    """A redirected request arrives at the other server with its body, and its own credentials stay behind."""
    async with (
        serving(Peer([SOUND])) as target,
        serving(
            Peer([b"HTTP/1.1 %d Moved\r\nlocation: %s\r\ncontent-length: 0\r\n\r\n" % (status, target.url.encode())])
        ) as peer,
        httpx2.AsyncClient(transport=transport(), follow_redirects=True) as client,
    ):
        response = await client.post(peer.url, content=b'{"n": 1}', headers={"authorization": "Bearer key"})
    assert response.content == BODY
    assert [request.partition(b"\r\n\r\n")[2] for request in target.requests] == [b'{"n": 1}']
    assert b"Bearer key" in peer.requests[0]
    assert b"Bearer key" not in target.requests[0]


async def test_requests_in_flight_have_a_connection_each() -> None:
    """Concurrent requests do not wait for each other, and later ones use the connections that are there."""
    async with serving(Peer([SOUND])) as peer, httpx2.AsyncClient(transport=HttpTransport()) as client:
        for _ in range(2):
            responses = await asyncio.gather(*(client.post(peer.url, content=b"{}") for _ in range(8)))
            assert {response.status_code for response in responses} == {200}
    assert len(peer.connections) == 8


@pytest.mark.parametrize(
    ("data", "ending"),
    [
        (SOUND, finish),
        (SOUND, reset),
        (OK + b"connection: close\r\n" + LENGTH + b"\r\n" + BODY, keep),
        (b"HTTP/1.0 200 OK\r\n" + LENGTH + b"\r\n" + BODY, keep),
        (SOUND + b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n", keep),
    ],
    ids=["closed", "reset", "connection: close", "HTTP/1.0", "surplus bytes"],
)
async def test_connection_that_has_ended_or_is_out_of_step_is_not_used_again(data: bytes, ending: Ending) -> None:
    """The next request is answered on a new connection, and never with what another one left."""
    async with serving(Peer([data], ending)) as peer, httpx2.AsyncClient(transport=HttpTransport()) as client:
        for _ in range(3):
            assert (await client.post(peer.url, content=b"{}")).status_code == 200
    assert len(peer.connections) == 3


async def test_bytes_that_arrive_on_a_free_connection_are_not_a_response() -> None:
    """A second response to one request, which arrives later, ends the connection."""
    async with serving(Peer([SOUND])) as peer, httpx2.AsyncClient(transport=HttpTransport()) as client:
        assert (await client.post(peer.url, content=b"{}")).status_code == 200
        (connection,) = peer.connections
        connection.write(b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n")
        await connection.wait_closed()
        assert (await client.post(peer.url, content=b"{}")).status_code == 200
    assert len(peer.connections) == 2


async def test_connection_that_was_free_for_too_long_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server may be about to close it."""
    monkeypatch.setattr(http_transport, "KEEP_ALIVE_SECONDS", 0.0)
    async with serving(Peer([SOUND])) as peer, httpx2.AsyncClient(transport=HttpTransport()) as client:
        for _ in range(2):
            assert (await client.post(peer.url, content=b"{}")).status_code == 200
    assert len(peer.connections) == 2


async def test_idle_connection_is_probed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system probes each connection every minute, and a socket that has failed already is left to fail when used."""
    sockets: list[socket.socket] = []

    def enable(sock: socket.socket) -> None:
        enable_keep_alive(sock)
        sockets.append(sock)

    monkeypatch.setattr(http_transport, "enable_keep_alive", enable)
    async with serving(Peer([SOUND])) as peer, httpx2.AsyncClient(transport=HttpTransport()) as client:
        await client.post(peer.url, content=b"{}")
        (sock,) = sockets
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) != 0
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 60
    with socket.socket() as closed:
        pass
    enable_keep_alive(closed)


async def test_closed_client_closes_its_free_connections() -> None:
    """No connection outlives the run."""
    async with serving(Peer([SOUND])) as peer:
        async with httpx2.AsyncClient(transport=HttpTransport()) as client:
            await asyncio.gather(*(client.post(peer.url, content=b"{}") for _ in range(2)))
        for connection in peer.connections:
            await asyncio.wait_for(connection.wait_closed(), WAIT)


async def test_cancelled_request_closes_its_connection() -> None:
    """A late response to a cancelled request is not read as the response to the next one."""
    async with serving(Peer([])) as peer, httpx2.AsyncClient(transport=HttpTransport(), timeout=None) as client:
        sending = asyncio.create_task(client.post(peer.url, content=b"{}"))
        await peer.was_asked.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await peer.connections[0].wait_closed()
        peer.pieces = [SOUND]
        assert (await client.post(peer.url, content=b"{}")).status_code == 200
    assert len(peer.connections) == 2


@pytest.mark.parametrize("transport", [HttpTransport, httpx2.AsyncHTTPTransport])
async def test_request_of_a_task_that_is_already_cancelled_is_not_sent(
    transport: type[httpx2.AsyncBaseTransport],
) -> None:
    """A task that cancels itself has yet to wait: nothing more may be asked of the API, which costs."""
    async with serving(Peer([SOUND])) as peer, httpx2.AsyncClient(transport=transport()) as client:
        await client.post(peer.url, content=b"{}")

        async def cancel_and_post() -> None:
            task = asyncio.current_task()
            assert task
            task.cancel()
            await client.post(peer.url, content=b"{}")

        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(cancel_and_post())
        assert (await client.post(peer.url, content=b"last")).status_code == 200
    assert [request.partition(b"\r\n\r\n")[2] for request in peer.requests] == [b"{}", b"last"]


async def test_response_that_is_not_read_to_its_end_closes_its_connection() -> None:
    """A stream may be left early."""
    async with (
        serving(Peer([CHUNKED + b"2\r\nok\r\n"])) as peer,
        httpx2.AsyncClient(transport=HttpTransport(), timeout=None) as client,
    ):
        async with client.stream("POST", peer.url, content=b"{}") as response:
            assert await anext(response.aiter_bytes()) == b"ok"
        await peer.connections[0].wait_closed()


async def test_response_to_half_a_request_is_read() -> None:
    """A gateway may refuse a body by its length, without reading it."""
    refusal = b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n"

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        peer.connections.append(writer)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(refusal)

    peer = Peer([])
    async with serving(peer, refuse), httpx2.AsyncClient(transport=HttpTransport(), timeout=WAIT) as client:
        assert (await client.post(peer.url, content=bytes(32_000_000))).status_code == 413


@pytest.mark.parametrize("transport", [HttpTransport, httpx2.AsyncHTTPTransport])
async def test_silent_server_is_a_timeout(transport: type[httpx2.AsyncBaseTransport]) -> None:
    """The timeout limits the wait for the response, for each piece of its body, and for the TLS handshake."""
    for pieces in ([], [OK], [SOUND[:-5]]):
        async with serving(Peer(pieces)) as peer, httpx2.AsyncClient(transport=transport()) as client:
            with pytest.raises(httpx2.ReadTimeout):
                await client.post(peer.url, content=b"{}", timeout=httpx2.Timeout(WAIT, read=0.05))
            url = peer.url.replace("http:", "https:")
            with pytest.raises(httpx2.ConnectTimeout):
                await client.post(url, content=b"{}", timeout=httpx2.Timeout(WAIT, connect=0.05))


@pytest.mark.parametrize("transport", [HttpTransport, httpx2.AsyncHTTPTransport])
async def test_no_connection_is_a_connect_error(transport: type[httpx2.AsyncBaseTransport]) -> None:
    """A closed port and a server that speaks no TLS are named alike by both transports, other URL schemes are refused."""
    async with httpx2.AsyncClient(transport=transport(), timeout=WAIT) as client:
        with pytest.raises(httpx2.ConnectError, match="All connection attempts failed"):
            await client.post(f"http://127.0.0.1:{free_port()}", content=b"{}")
        with pytest.raises(httpx2.UnsupportedProtocol, match="unsupported protocol 'ftp://'"):
            await client.post("ftp://127.0.0.1", content=b"{}")
        with pytest.raises(httpx2.UnsupportedProtocol, match="missing an 'http://' or 'https://' protocol"):
            await client.post("127.0.0.1:80", content=b"{}")
        async with serving(Peer([]), _say_hello) as peer:
            with pytest.raises(httpx2.ConnectError):
                await client.post(peer.url.replace("http:", "https:"), content=b"{}")


@pytest.mark.parametrize("address", ["127.0.0.1:65536", "a..localhost", ".localhost", f"{'a' * 64}.localhost"])
async def test_impossible_address_is_a_connect_error(address: str) -> None:
    """A base URL, or a redirect, may hold a port above 65535, or a name with a label that is empty or too long."""
    async with httpx2.AsyncClient(transport=HttpTransport(), timeout=WAIT) as client:
        for scheme in ("http", "https"):
            with pytest.raises(httpx2.ConnectError, match=r"port must be at most|idna"):
                await client.post(f"{scheme}://{address}", content=b"{}")


@pytest.mark.parametrize("transport", [HttpTransport, httpx2.AsyncHTTPTransport])
async def test_tls_handshake_may_take_as_long_as_the_timeout(
    monkeypatch: pytest.MonkeyPatch, transport: type[httpx2.AsyncBaseTransport]
) -> None:
    """The time limit is the caller's, not the 60 seconds that asyncio allows a handshake."""
    monkeypatch.setattr("asyncio.constants.SSL_HANDSHAKE_TIMEOUT", 0.01)
    async with serving(Peer([])) as peer, httpx2.AsyncClient(transport=transport(), timeout=0.2) as client:
        with pytest.raises(httpx2.ConnectTimeout):
            await client.post(peer.url.replace("http:", "https:"), content=b"{}")


async def test_time_limit_of_the_system_is_a_connect_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's ETIMEDOUT is not the caller's time limit."""

    async def connect(*_: object) -> socket.socket:
        raise TimeoutError(errno.ETIMEDOUT, "Connection timed out")

    monkeypatch.setattr(http_transport, "connect_socket", connect)
    async with httpx2.AsyncClient(transport=HttpTransport()) as client:
        with pytest.raises(httpx2.ConnectError):
            await client.post("http://127.0.0.1", content=b"{}")


async def _say_hello(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"hello\r\n")
    writer.close()


@pytest.mark.parametrize(
    "name", ["a body with its length", "a body up to the end of the connection", "half of the body"]
)
async def test_tls_server_with_a_trusted_certificate_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Certificates are those of `SSL_CERT_FILE`, as for the SDK's transport, and outcomes are equal over TLS, too."""
    certificate = write_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    data, ending = WIRE[name]
    expected = await outcome(httpx2.AsyncHTTPTransport(), Peer([data], ending), server_context(certificate))
    assert await outcome(HttpTransport(), Peer([data], ending), server_context(certificate)) == expected


@pytest.mark.parametrize("transport", [HttpTransport, httpx2.AsyncHTTPTransport])
async def test_tls_server_is_asked_for_http_1_under_the_name_of_the_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transport: type[httpx2.AsyncBaseTransport]
) -> None:
    """A server that speaks HTTP/2 too answers in HTTP/1.1, and `sni_hostname` replaces the host, which is also verified."""
    certificate = write_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    names: list[str | None] = []
    tls = server_context(certificate)
    tls.set_alpn_protocols(["h2", "http/1.1"])
    tls.sni_callback = lambda _socket, name, _context: names.append(name)
    async with serving(Peer([SOUND]), tls=tls) as peer:
        async with httpx2.AsyncClient(transport=transport(), timeout=WAIT) as client:
            await client.post(peer.url, content=b"{}")
            assert peer.connections[0].get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
        async with httpx2.AsyncClient(transport=transport(), timeout=WAIT) as client:
            with pytest.raises(httpx2.ConnectError, match="certificate is not valid for"):
                await client.post(peer.url, content=b"{}", extensions={"sni_hostname": "my-api.example"})
    assert names == [None, "my-api.example"]


@pytest.mark.parametrize("transport", [HttpTransport, httpx2.AsyncHTTPTransport])
async def test_tls_server_that_is_not_trusted_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transport: type[httpx2.AsyncBaseTransport]
) -> None:
    """An unknown issuer and another host's certificate are connection errors that say so, and nothing is sent."""
    other = write_certificate(tmp_path, "127.0.0.2")
    for trusted, reason in (("", "certificate verify failed"), (str(other), "IP address mismatch")):
        monkeypatch.setenv("SSL_CERT_FILE", trusted)
        async with (
            serving(Peer([SOUND]), tls=server_context(other)) as peer,
            httpx2.AsyncClient(transport=transport(), timeout=WAIT) as client,
        ):
            with pytest.raises(httpx2.ConnectError, match=reason):
                await client.post(peer.url, content=b"{}")
        assert peer.requests == []


HEADERS = [
    (name, b"1") for name in (b"x", b"X-A", b"a b", b"", b"a:", b"a\n", b"a/b", b"(a)", b"a'b", b"a_b")
] + [
    (b"x", value)
    for value in (b"", b"a b", b"a\tb", b"a  b", b" a", b"a ", b"\ta", b"a\r\nb: c", b"a\nb", b"a\r", b"\0", b"a\x01", b"\x7f",
                  b"\xc3\xa9", b"a\x0bb", b"a\x0c", b'"', b"\x85")
]  # fmt: skip


async def test_headers_are_checked_as_the_sdks_transport_checks_them() -> None:
    """A header with a line break, for example from a key's variable, is refused: it would add headers, or a request."""
    refused: dict[type[httpx2.AsyncBaseTransport], list[object]] = {HttpTransport: [], httpx2.AsyncHTTPTransport: []}
    for transport, found in refused.items():
        async with serving(Peer([SOUND])) as peer, httpx2.AsyncClient(transport=transport()) as client:
            for header in HEADERS:
                try:
                    await client.post(peer.url, headers=[header], content=b"{}")
                except httpx2.LocalProtocolError as error:
                    found.append((header, str(error)))
    assert refused[HttpTransport] == refused[httpx2.AsyncHTTPTransport]
    assert 10 < len(refused[HttpTransport]) < len(HEADERS) - 10
