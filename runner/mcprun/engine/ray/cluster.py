"""Join a Ray cluster, or start one on this machine, for the duration of a run. Needs the extra `ray`."""

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
"""Addresses: a cluster on this machine that is started for the run, and the cluster that this machine belongs to."""

_ADDRESS = re.compile(r"(?P<host>[\w.-]+|\[[0-9A-Fa-f:]+\]):(?P<port>\d{1,5})", re.ASCII)

_STORE_BYTES = 100 * 1024 * 1024
"""Size of Ray's object store on a cluster that mcprun starts. Worker messages are small and bypass the store."""

_SHUTDOWN_SECONDS = 30.0
"""Seconds that shutting down or leaving a cluster may take."""


def check_address(address: str, timeout_s: float) -> None:
    """Check that a cluster may be reached at an address: `local`, `auto` or `HOST:PORT`.

    Raises `UsageError` if the address is invalid or does not accept a connection within `timeout_s`. Ray itself would
    retry for minutes.
    """
    if address in (LOCAL, AUTO):
        return
    match = _ADDRESS.fullmatch(address)
    if not match or int(match["port"]) > 65535:
        raise UsageError(f"--ray {address}: not the address of a Ray cluster; use HOST:PORT, auto or local")
    try:
        socket.create_connection((match["host"].strip("[]"), int(match["port"])), timeout=timeout_s).close()
    except OSError as error:
        raise UsageError(f"no Ray cluster at {address}: {error.strerror or error}") from None


@asynccontextmanager
async def connect_cluster(address: str, timeout_s: float) -> AsyncIterator[int]:
    """Start or join a cluster and yield its number of CPUs. Shut it down or leave it when the context exits.

    Raises `RunError` if that fails or takes longer than `timeout_s`.
    """
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    ended, leaving = asyncio.Event(), threading.Event()

    def hold() -> None:
        with _silence_ray():
            try:
                _join(address)
            except (Exception, SystemExit) as error:  # noqa: BLE001  any exception is passed to the caller
                loop.call_soon_threadsafe(_set_failed, ready, error)
            else:
                loop.call_soon_threadsafe(_set_ready, ready)
                leaving.wait()
            ray.shutdown()
        loop.call_soon_threadsafe(ended.set)

    # Not the main thread, where Ray would replace the SIGTERM handler. The thread lives as long as the cluster, since
    # Linux ends child processes with the thread that started them (PR_SET_PDEATHSIG in prctl(2)). It is a daemon, so
    # that it can't block the exit.
    threading.Thread(target=hold, name="ray", daemon=True).start()
    try:
        try:
            async with asyncio.timeout(timeout_s):
                await ready
        except TimeoutError:
            message = f"no Ray cluster answered at {address} within {timeout_s:g} s (--connect-timeout)"
            leaving.set()
            raise RunError(ErrorKind.CONNECT_TIMEOUT, message) from None
        _restore_sigterm()
        yield max(1, int(ray.cluster_resources().get("CPU", 1)))
    finally:
        timed_out = leaving.is_set()  # Ray may then take any time to finish
        leaving.set()
        if not timed_out:
            with suppress(TimeoutError):  # the rest ends with this process
                async with asyncio.timeout(_SHUTDOWN_SECONDS):
                    await ended.wait()


@contextmanager
def _silence_ray() -> Iterator[None]:
    """Silence Ray's own messages on the terminal. Failures are raised, or are events.

    A thread of Ray (`listen_error_messages`) prints that an actor died, regardless of `log_to_driver`. It honours the
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
    # Ray reports usage statistics by default. They are off unless the user turns them on.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    args: dict[str, Any] = {"object_store_memory": _STORE_BYTES, "include_dashboard": False} if address == LOCAL else {}
    ray.init(address=address, log_to_driver=False, configure_logging=False, **args)


def _restore_sigterm() -> None:
    """Reinstall mcprun's SIGTERM handler: that of Ray's core treats the signal as a crash and prints a stack trace."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))


def _set_ready(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def _set_failed(ready: asyncio.Future[None], error: BaseException) -> None:
    if not ready.done():
        ready.set_exception(RunError(ErrorKind.SERVER_START, f"can't start or join a Ray cluster: {error}"))
