"""Windows-specific code, tested on every system: signals and pipes."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcprun._util.operating_system import STOP_SIGNALS, lock, on_stop_signals, relative_path
from mcprun.client.pipe_reader import PipeReader, open_pipe


@pytest.mark.parametrize("is_windows", [True, False])
async def test_data_in_a_pipe_triggers_the_callback(is_windows: bool) -> None:
    """Available data and the end are read without blocking, on Windows by a thread."""
    arrived = asyncio.Event()
    reader, write_fd = open_pipe(arrived.set, is_windows=is_windows)
    assert reader.read() is None
    os.write(write_fd, b"some")
    assert await read_next(reader, arrived) == b"some"
    assert reader.read() is None
    os.write(write_fd, b"more")
    os.close(write_fd)
    assert await read_next(reader, arrived) == b"more"
    assert await read_next(reader, arrived) == b""
    reader.close()


async def read_next(reader: PipeReader, arrived: asyncio.Event) -> bytes:
    """Wait for the next data."""
    while (data := reader.read()) is None:
        await asyncio.wait_for(arrived.wait(), 30)
        arrived.clear()
    return data


async def test_closed_reader_ignores_later_data() -> None:
    """A process that a server left behind may hold the write end open."""
    callbacks: list[bool] = []
    reader, write_fd = open_pipe(lambda: callbacks.append(True), is_windows=True)
    reader.close()
    os.write(write_fd, b"late")
    os.close(write_fd)
    await asyncio.sleep(0)
    assert callbacks == []


@pytest.fixture
def restore_handlers() -> Iterator[None]:
    """Restore the handlers of the stop signals after the test."""
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("restore_handlers")
@pytest.mark.parametrize("is_windows", [True, False])
async def test_stop_signals_reach_the_event_loop(is_windows: bool) -> None:
    """Each stop signal is delivered, also through the interpreter's own handler, as on Windows."""
    received: asyncio.Queue[int] = asyncio.Queue()
    before = {number: signal.signal(number, signal.SIG_DFL) for number in STOP_SIGNALS}  # nohup ignores SIGHUP
    on_stop_signals(received.put_nowait, is_windows=is_windows)
    for number in STOP_SIGNALS:
        os.kill(os.getpid(), number)
        assert await asyncio.wait_for(received.get(), 30) == number
    for number, handler in before.items():
        asyncio.get_running_loop().remove_signal_handler(number)
        signal.signal(number, handler)


def test_file_lock_is_exclusive(tmp_path: Path) -> None:
    """A second descriptor gets the lock only after the first is closed."""
    with (tmp_path / "lock").open("w") as first, (tmp_path / "lock").open("w") as second:
        lock(first.fileno())
        with pytest.raises(BlockingIOError):
            lock(second.fileno())
        first.close()
        lock(second.fileno())


def test_relative_path_matches_os_path_relpath(tmp_path: Path) -> None:
    """The path has `..` for the parent folder."""
    assert relative_path(tmp_path / "a", tmp_path / "b") == str(Path("..", "a"))
