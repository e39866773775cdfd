"""Ray itself (the extra `ray`): a cluster that is joined, or started on this machine, for as long as a run lasts."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
import socket
import threading
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

from mcprun.errors import ErrorKind, RunError, UsageError

try:
    import ray
except ImportError:
    raise UsageError("--ray needs Ray: pip install 'mcprun[ray]'") from None

LOCAL, AUTO = "local", "auto"
"""Addresses: a cluster of this machine alone, started for the run; the one that this machine belongs to."""

_ADDRESS = re.compile(r"(?P<host>[\w.-]+|\[[0-9A-Fa-f:]+\]):(?P<port>\d{1,5})", re.ASCII)

_STORE_BYTES = 100 * 1024 * 1024
"""Ray's store of objects on a cluster of our own. Parcels are small, and go past it."""

_END_SECONDS = 30.0
"""How long a cluster may take to end, or to be left."""


def check_address(address: str, seconds: float) -> None:
    """Find out whether there may be a cluster at an address: `local`, `auto` or `HOST:PORT`.

    Raises `UsageError` for one that is none, and when nothing answers there within so many seconds: Ray itself would
    look for minutes.
    """
    if address in (LOCAL, AUTO):
        return
    found = _ADDRESS.fullmatch(address)
    if not found or int(found["port"]) > 65535:
        raise UsageError(f"--ray {address}: no address of a Ray cluster: write HOST:PORT, auto or local")
    try:
        socket.create_connection((found["host"].strip("[]"), int(found["port"])), timeout=seconds).close()
    except OSError as error:
        raise UsageError(f"no Ray cluster at {address}: {error.strerror or error}") from None


@asynccontextmanager
async def connect_cluster(address: str, seconds: float) -> AsyncIterator[int]:
    """Start a cluster, or join one, and give the CPUs that it has; end or leave it with the context.

    Raises `RunError` when that can't be done, or takes longer than so many seconds.
    """
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    ended, over = asyncio.Event(), threading.Event()

    def live() -> None:
        with _silenced():
            try:
                _join(address)
            except (Exception, SystemExit) as error:  # noqa: BLE001  any exception is passed to the caller
                loop.call_soon_threadsafe(_failed, ready, error)
            else:
                loop.call_soon_threadsafe(_done, ready)
                over.wait()
            ray.shutdown()
        loop.call_soon_threadsafe(ended.set)

    # A thread, since Ray would take SIGTERM for itself in the first one; it stays as long as the cluster, since Linux
    # ends what a thread has started together with it; and it keeps nobody who wants to leave.
    threading.Thread(target=live, name="ray", daemon=True).start()
    try:
        try:
            async with asyncio.timeout(seconds):
                await ready
        except TimeoutError:
            message = f"no Ray cluster answered at {address} within {seconds:g} s, the --connect-timeout"
            over.set()
            raise RunError(ErrorKind.CONNECT_TIMEOUT, message) from None
        _take_back_sigterm()
        yield max(1, int(ray.cluster_resources().get("CPU", 1)))
    finally:
        is_late = over.is_set()  # then nobody knows how long it will still take
        over.set()
        if not is_late:
            with suppress(TimeoutError):  # what is left of it ends with this process
                async with asyncio.timeout(_END_SECONDS):
                    await ended.wait()


@contextmanager
def _silenced() -> Iterator[None]:
    """Silence Ray's own messages on the terminal. Failures are raised, or are events.

    A thread of Ray's (`listen_error_messages`) prints that an actor died, whatever `log_to_driver` says. It obeys the
    switch that Ray's debugger uses.
    """
    logger, worker = logging.getLogger("ray"), ray._private.worker  # noqa: SLF001  there is no public switch
    before = logger.level, getattr(worker, "_worker_logs_enabled", True)
    logger.setLevel(logging.CRITICAL + 1)
    worker._worker_logs_enabled = False  # noqa: SLF001
    warnings.filterwarnings("ignore", module=r"ray(\.|\Z)")
    try:
        yield
    finally:
        logger.setLevel(before[0])
        worker._worker_logs_enabled = before[1]  # noqa: SLF001


def _join(address: str) -> None:
    # Nothing is to be reported to its makers.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    own: dict[str, Any] = {"object_store_memory": _STORE_BYTES, "include_dashboard": False} if address == LOCAL else {}
    ray.init(address=address, log_to_driver=False, configure_logging=False, **own)


def _take_back_sigterm() -> None:
    """Have SIGTERM go where it went before: Ray's core takes it for a crash, and prints its stack."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))


def _done(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def _failed(ready: asyncio.Future[None], error: BaseException) -> None:
    if not ready.done():
        ready.set_exception(RunError(ErrorKind.SERVER_START, f"can't start or join a Ray cluster: {error}"))
