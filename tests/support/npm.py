"""Real servers from npm: installed once a machine, kept in `.cache/npm`."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.loopback import accepts, end, free_port

PACKAGES = (
    "@modelcontextprotocol/server-everything@~2026.8.31",
    "@modelcontextprotocol/server-filesystem@~2026.8.31",
)
CACHE = Path(__file__).parents[2] / ".cache" / "npm"

_INSTALL_SECONDS = 300.0


def missing() -> list[str]:
    """Name the commands that npm servers need and this machine has not."""
    return [command for command in ("node", "npm") if not shutil.which(command)]


def node_modules(folder: Path = CACHE, packages: Sequence[str] = PACKAGES) -> Path:
    """Install packages into a folder, unless they are there; give the folder that they are in.

    Test runs at the same time wait for each other. An install that was cut short is done again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / "installed.txt"
    wanted = "\n".join(packages)
    with (folder / "lock").open("w") as lock:
        if sys.platform == "win32":
            raise NotImplementedError
        fcntl.flock(lock, fcntl.LOCK_EX)  # given back when the file is closed, or its process ends
        if not (done.is_file() and done.read_text() == wanted):
            done.unlink(missing_ok=True)
            _install(folder, packages)
            done.write_text(wanted)
    return folder / "node_modules"


def _install(folder: Path, packages: Sequence[str]) -> None:
    options = ["--no-audit", "--no-fund", "--no-package-lock"]
    npm = subprocess.run(
        ["npm", "install", "--prefix", str(folder), *options, *packages],
        capture_output=True,
        text=True,
        timeout=_INSTALL_SECONDS,
        check=False,
    )
    if npm.returncode:
        raise RuntimeError(f"npm install failed:\n{npm.stdout}{npm.stderr}")


@contextmanager
def everything_over_http(transport: str, log: Path) -> Iterator[int]:
    """Start server-everything with a network transport, give its port, and end it by its id."""
    script = node_modules() / "@modelcontextprotocol" / "server-everything" / "dist" / "index.js"
    for _ in range(5):  # a free port may be taken by the time that the server asks for it
        port = free_port()
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["node", str(script), transport],
                env=os.environ | {"PORT": str(port)},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            if accepts(process, port):
                yield port
                return
        finally:
            end(process)
    raise RuntimeError(f"server-everything does not start:\n{log.read_text()}")
