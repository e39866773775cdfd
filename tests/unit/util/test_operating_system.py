"""Windows-specific code, tried here: signals and pipes."""

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
async def test_what_arrives_in_a_pipe_is_announced(is_windows: bool) -> None:
    """What has arrived is read at once, and the end is told; by a thread, too, which the event loop does not need."""
    arrived = asyncio.Event()
    reader, writing = open_pipe(arrived.set, is_windows=is_windows)
    assert reader.read() is None
    os.write(writing, b"some")
    assert await next_of(reader, arrived) == b"some"
    assert reader.read() is None
    os.write(writing, b"more")
    os.close(writing)
    assert await next_of(reader, arrived) == b"more"
    assert await next_of(reader, arrived) == b""
    reader.close()


async def next_of(reader: PipeReader, arrived: asyncio.Event) -> bytes:
    """Wait for what is read next."""
    while (data := reader.read()) is None:
        await asyncio.wait_for(arrived.wait(), 30)
        arrived.clear()
    return data


async def test_a_pipe_may_outlive_its_reader() -> None:
    """A process that a server has left behind holds the writing end: nobody waits for it, and nothing is announced."""
    announced: list[bool] = []
    reader, writing = open_pipe(lambda: announced.append(True), is_windows=True)
    reader.close()
    os.write(writing, b"late")
    os.close(writing)
    await asyncio.sleep(0)
    assert announced == []


@pytest.fixture
def handlers() -> Iterator[None]:
    """Restore the handlers of the signals that ask a process to stop."""
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("is_windows", [True, False])
async def test_signals_reach_the_event_loop(is_windows: bool) -> None:
    """Each of them, by the interpreter's own handler too, as on Windows."""
    taken: asyncio.Queue[int] = asyncio.Queue()
    before = {number: signal.signal(number, signal.SIG_DFL) for number in STOP_SIGNALS}  # nohup ignores SIGHUP
    on_stop_signals(taken.put_nowait, is_windows=is_windows)
    for number in STOP_SIGNALS:
        os.kill(os.getpid(), number)
        assert await asyncio.wait_for(taken.get(), 30) == number
    for number, handler in before.items():
        asyncio.get_running_loop().remove_signal_handler(number)
        signal.signal(number, handler)


def test_a_file_is_locked_by_one_at_a_time(tmp_path: Path) -> None:
    """A second descriptor does not get the lock until the first is closed."""
    with (tmp_path / "lock").open("w") as first, (tmp_path / "lock").open("w") as second:
        lock(first.fileno())
        with pytest.raises(BlockingIOError):
            lock(second.fileno())
        first.close()
        lock(second.fileno())


def test_relative_paths(tmp_path: Path) -> None:
    """As `os.path.relpath` has them."""
    assert relative_path(tmp_path / "a", tmp_path / "b") == str(Path("..", "a"))
