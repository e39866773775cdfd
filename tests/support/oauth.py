"""Runs the server of `tests/servers/oauth.py`, and is the browser of a login."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.cli import SERVERS, clean_environment, read_jsonl

SECRET = "s3cret-of-robot"
"""The secret of the client `robot`."""

BROWSER = shlex.join([sys.executable, "-c", "import sys, urllib.request as r; r.urlopen(sys.argv[1])", "%s"])
"""A browser that goes where it is sent to, for the variable of that name."""


@dataclass(frozen=True)
class Guarded:
    """A server that runs, its folder, and the environment of commands that keep their tokens there."""

    port: int
    path: str
    folder: Path

    @property
    def url(self) -> str:
        """Where the server is."""
        return f"http://127.0.0.1:{self.port}{self.path}"

    @property
    def store(self) -> Path:
        """The folder of the tokens."""
        return self.folder / "store" / "tokens"

    @property
    def env(self) -> dict[str, str]:
        """What commands are to have in their environment: a store of their own, and a browser."""
        return {
            "MCPRUN_TOKEN_STORE": str(self.store),
            "BROWSER": BROWSER,
            "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
        }

    @property
    def robot(self) -> dict[str, str]:
        """The same, with the secret of the client `robot`."""
        return {**self.env, "MCPRUN_OAUTH_CLIENT_SECRET": SECRET}

    @property
    def log(self) -> list[dict[str, Any]]:
        """What was asked of the server so far."""
        file = self.folder / "log.jsonl"
        return read_jsonl(file) if file.exists() else []

    def asked(self, name: str) -> list[dict[str, Any]]:
        """Return the requests to one endpoint of the authorization server."""
        return [line for line in self.log if line.get("path", "").endswith(f"/{name}")]

    def revoke(self, what: str) -> None:
        """Make the server forget the access tokens (`access`), or the refresh tokens as well (`all`)."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/revoke/{what}", b""):
            pass

    @property
    def stored(self) -> list[dict[str, Any]]:
        """Return the stored tokens."""
        return [json.loads(file.read_bytes()) for file in sorted(self.store.glob("*.json"))]


def encode_config(folder: Path, switches: Mapping[str, Any]) -> bytes:
    """Encode the server's configuration: these switches, and a log in the folder."""
    return json.dumps({"log": str(folder / "log.jsonl"), "secrets": {"robot": SECRET}, **switches}).encode()


@contextmanager
def guarded(folder: Path, switches: Mapping[str, Any]) -> Iterator[Guarded]:
    """Run a server with these switches, which tells in the folder what it was asked."""
    with subprocess.Popen(
        [sys.executable, SERVERS / "oauth.py", encode_config(folder, switches)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=clean_environment(),
    ) as process:  # fmt: skip
        assert process.stdout
        try:
            yield at(int(process.stdout.readline()), folder, switches)
        finally:
            if sys.platform == "win32":
                raise NotImplementedError
            process.send_signal(signal.SIGKILL)


def at(port: int, folder: Path, switches: Mapping[str, Any]) -> Guarded:
    """Describe the server with these switches at a port."""
    return Guarded(port, "/sse" if switches.get("transport") == "sse" else "/mcp", folder)


def restart(running: Guarded, folder: Path, switches: Mapping[str, Any]) -> Guarded:
    """Reset the server and set these switches, which is faster than starting a new one."""
    with urllib.request.urlopen(f"http://127.0.0.1:{running.port}/begin", encode_config(folder, switches)):
        return at(running.port, folder, switches)
