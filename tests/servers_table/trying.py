"""Test servers with mcprun, without a network: `python -m tests.servers_table.trying STARTS [PART ...]`.

Prints one JSON line per server. Must run in its own network namespace, which guarantees that no server has network access.
The loopback device is started here.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.release.environments import BrokenError
from tests.servers_table.candidates import CANDIDATES, Candidate
from tests.servers_table.installing import Installed, install
from tests.servers_table.table import Row
from tests.support.cli import clean_environment, read_jsonl, write_jsonl
from tests.support.loopback import accepts, end, free_port

_SECONDS = 120.0
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1

_GIT = ("git", "-c", "user.name=a", "-c", "user.email=a@example.com")


def main(starts: int, parts: Sequence[str]) -> int:
    """Test the servers whose package names contain one of the parts. Return 1 if one fails, else 0."""
    start_loopback()
    code = 0
    for candidate in select(parts):
        with tempfile.TemporaryDirectory() as name:
            try:
                print(
                    json.dumps(asdict(attempt(candidate, install(candidate), Path(name).resolve(), starts))), flush=True
                )
            except (BrokenError, subprocess.TimeoutExpired) as error:
                print(f"{candidate.package}: {error}", file=sys.stderr, flush=True)
                code = 1
    return code


def select(parts: Sequence[str]) -> list[Candidate]:
    """Return the candidates whose package names contain one of the parts, or all if there are no parts."""
    return [one for one in CANDIDATES if not parts or any(part in one.package for part in parts)]


def attempt(candidate: Candidate, installed: Installed, folder: Path, starts: int) -> Row:
    """Test a server in a new folder: list its tools, then run a query `starts` times, each on a new server.

    Raise `BrokenError` if mcprun fails or a query does not pass.
    """
    here = prepare_folder(folder)
    port = free_port()
    filled: Candidate = fill_placeholders(candidate, {"{here}": str(here), "{port}": str(port)})
    env = {**filled.env, "HOME": str(folder / "home")}
    command = [str(installed.program), *filled.args]
    if candidate.transport == "stdio":
        _write(folder, {"command": command[0], "args": command[1:], "env": env, "cwd": str(here)})
        return _run_queries(filled, installed, folder, starts)
    _write(
        folder,
        {
            "type": "sse" if candidate.transport == "SSE" else "http",
            "url": f"http://{candidate.host}:{port}{candidate.path}",
        },
    )
    with _serving(command, env, here, port):
        return _run_queries(filled, installed, folder, starts)


def prepare_folder(folder: Path) -> Path:
    """Make a home folder, and a folder to look at: a repository with one commit. Return the latter."""
    here = folder / "here"
    (folder / "home").mkdir()
    here.mkdir()
    (here / "README.md").write_text("# A folder to look at\n")
    for step in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "Begin")):
        subprocess.run([*_GIT, *step], cwd=here, check=True)
    return here


def fill_placeholders(candidate: Candidate, values: dict[str, str]) -> Candidate:
    """Return the candidate with its placeholders replaced by values."""

    def fill(value: Any) -> Any:
        if isinstance(value, str):
            for name, text in values.items():
                value = value.replace(name, text)
        if isinstance(value, dict):
            return {key: fill(item) for key, item in value.items()}
        return tuple(map(fill, value)) if isinstance(value, tuple) else value

    return Candidate(**{key: fill(value) for key, value in vars(candidate).items()})


def _write(folder: Path, entry: dict[str, Any]) -> None:
    (folder / "servers.json").write_text(json.dumps({"mcpServers": {"tried": entry}}))


@contextmanager
def _serving(command: list[str], env: dict[str, str], here: Path, port: int) -> Iterator[None]:
    """Start a server, and wait until it listens on the port. End it afterwards."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, env=clean_environment() | env, cwd=here, stdout=log, stderr=log)
        try:
            if not accepts(process, port):
                log.seek(0)
                raise BrokenError(f"the server does not listen on its port:\n{log.read().decode(errors='replace')}")
            yield
        finally:
            end(process)


def _run_queries(candidate: Candidate, installed: Installed, folder: Path, starts: int) -> Row:
    listed = json.loads(_mcprun(folder, "tools", "servers.json", "--json", "--lint", allowed=(0, 1)))
    calls = [{"tool": tool, "input": arguments} for tool, arguments in filter(None, [candidate.call])]
    turns = [{"calls": calls}] if calls else []
    write_jsonl(folder / "p.jsonl", {"id": "q", "prompt": "Do it.", "script": [*turns, {"text": "Done."}]})
    runs = [folder / f"run-{number}" for number in range(starts)]
    for run in runs:
        _mcprun(folder, "batch", "p.jsonl", "servers.json", "--model", "script", "--out", run.name)
    events = [event for run in runs for event in read_jsonl(run / "trace.jsonl")]
    errors = [one["tool"] for one in listed["findings"] if one["severity"] == "error"]
    return Row(
        package=candidate.package,
        registry=candidate.registry,
        version=installed.version,
        transport=candidate.transport,
        protocol=listed["server"]["protocol"],
        reported_version=listed["server"]["version"] or "",
        tools=len(listed["tools"]),
        tokens=listed["tokens"]["total"],
        seconds=round(statistics.median(event["seconds"] for event in events if event["event"] == "server_start"), 2),
        refused=tuple(dict.fromkeys(errors)),
        noise=any(event["event"] == "noise" for event in events),
        stays=candidate.transport == "stdio" and "[the server " not in (runs[0] / "server.log").read_text(),
        call=candidate.call[0] if candidate.call else None,
        note=candidate.note,
    )


def _mcprun(folder: Path, *arguments: str, allowed: tuple[int, ...] = (0,)) -> str:
    """Run mcprun as a user does, and return its stdout. Raise `BrokenError` for an exit code that is not allowed."""
    done = subprocess.run(
        [sys.executable, "-m", "mcprun", *arguments],
        cwd=folder, env=clean_environment(), capture_output=True, text=True, timeout=_SECONDS, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if done.returncode not in allowed:
        raise BrokenError(f"mcprun {arguments[0]} exited with {done.returncode}\n{done.stderr}{done.stdout}")
    return done.stdout


def start_loopback() -> None:
    """Start the loopback device, which is down in a new network namespace (netdevice(7))."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        if sys.platform == "win32":
            raise NotImplementedError
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP))


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
