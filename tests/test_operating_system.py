"""What is done in another way on Windows, tried here: its imports, its signals, its pipes and how servers are started."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from mcprun._util.operating_system import STOP_SIGNALS, lock, on_stop_signals, relative_path
from mcprun.client.pipe_reader import PipeReader, open_pipe
from mcprun.client.server_log import ServerLog
from mcprun.client.target import StdioTarget
from mcprun.client.transports.stdio import Stdio
from mcprun.runs.redaction import Redactor
from tests.support.cli import RAW, ROOT, clean_environment

IMPORTS = """
import importlib, importlib.util, os, signal, sys
from pathlib import Path
import mcprun

package = Path(mcprun.__file__).parent
files = [file.relative_to(package.parent).with_suffix("") for file in sorted(package.rglob("*.py"))]
has_ray = importlib.util.find_spec("ray") is not None
names = [".".join(file.parts).removesuffix(".__init__") for file in files if file.name != "__main__"]


def import_all():
    for name in names:
        if has_ray or not name.startswith("mcprun.engine.ray."):  # an extra, which need not be installed
            importlib.import_module(name)


import_all()  # what others import, they import as on this system
for name in [name for name in sys.modules if name.partition(".")[0] == "mcprun"]:
    del sys.modules[name]
sys.platform = "win32"
for name in ("fcntl", "grp", "posix", "pty", "pwd", "resource", "termios", "tty"):
    sys.modules[name] = None
for name in ("fork", "getppid", "killpg", "mkfifo", "setsid", "set_blocking", "waitpid", "WNOHANG"):
    delattr(os, name)
for name in ("SIGALRM", "SIGCHLD", "SIGHUP", "SIGKILL", "pthread_sigmask", "sigwait", "SIG_BLOCK", "SIG_SETMASK"):
    delattr(signal, name)
signal.SIGBREAK = signal.SIGTERM
import_all()
print(len(names))
"""


def test_every_module_is_imported_without_what_windows_lacks(tmp_path: Path) -> None:
    """No module needs a module, a signal or a function of POSIX systems to be imported."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS], cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, timeout=120
    )  # fmt: skip
    files = [file for file in (ROOT / "runner" / "mcprun").rglob("*.py") if file.name != "__main__.py"]
    assert (done.stderr, done.stdout.strip()) == ("", str(len(files)))


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


@pytest.mark.parametrize("is_windows", [True, False])
async def test_servers_are_started_by_the_sdk_too(tmp_path: Path, is_windows: bool) -> None:
    """With the variables and the folder that are asked for; what it says on stderr is in the log, and it is ended."""
    log = ServerLog(tmp_path / "server.log", Redactor(), 10_000)
    script = f"import os, runpy, sys; print(os.getcwd(), os.environ['IT'], file=sys.stderr); runpy.run_path({str(RAW)!r}, run_name='__main__')"
    target = StdioTarget("it", sys.executable, ("-c", script), {"IT": "is set"}, str(tmp_path))
    with log.stderr() as stderr:
        stdio = Stdio(target, stderr, 10_000)
        opened: Any = stdio.open(is_windows=is_windows)
        async with asyncio.timeout(30), Client(opened, mode="legacy", cache=None) as client:
            tools = await client.list_tools()
            result = await client.call_tool("ok", {})
    assert "ok" in [tool.name for tool in tools.tools]
    assert not result.is_error
    assert (tmp_path / "server.log").read_text().startswith(f"{tmp_path} is set\n")


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
