"""Published servers from npm, installed once per machine in `.cache/npm`."""

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
    """Return the commands that npm servers need and that this machine lacks."""
    return [command for command in ("node", "npm") if not shutil.which(command)]


def node_modules(folder: Path = CACHE, packages: Sequence[str] = PACKAGES) -> Path:
    """Install packages in a folder unless they are there; return the path of `node_modules`.

    Concurrent test runs wait for each other. An interrupted install is repeated.
    """
    folder.mkdir(parents=True, exist_ok=True)
    marker = folder / "installed.txt"
    expected = "\n".join(packages)
    with (folder / "lock").open("w") as lock:
        if sys.platform == "win32":
            raise NotImplementedError
        fcntl.flock(lock, fcntl.LOCK_EX)  # released when the file is closed
        if not (marker.is_file() and marker.read_text() == expected):
            marker.unlink(missing_ok=True)
            _install(folder, packages)
            marker.write_text(expected)
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
    """Run server-everything with a network transport; yield its port."""
    script = node_modules() / "@modelcontextprotocol" / "server-everything" / "dist" / "index.js"
    for _ in range(5):  # another process may take the port before the server binds it
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
    raise RuntimeError(f"server-everything did not start:\n{log.read_text()}")
