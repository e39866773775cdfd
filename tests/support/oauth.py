"""Run the server `tests/servers/oauth.py`, and provide the browser for logins."""

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
"""A value for the variable `BROWSER`: a command that requests the URL and follows redirects."""


@dataclass(frozen=True)
class Guarded:
    """A running server, its folder, and the environment of commands that store their tokens there."""

    port: int
    path: str
    folder: Path

    @property
    def url(self) -> str:
        """The URL of the MCP endpoint."""
        return f"http://127.0.0.1:{self.port}{self.path}"

    @property
    def store(self) -> Path:
        """The folder of the stored tokens."""
        return self.folder / "store" / "tokens"

    @property
    def env(self) -> dict[str, str]:
        """The environment variables of commands: a token store, a browser, and no keyring."""
        return {
            "MCPRUN_TOKEN_STORE": str(self.store),
            "BROWSER": BROWSER,
            "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
        }

    @property
    def robot(self) -> dict[str, str]:
        """`env` with the secret of the client `robot`."""
        return {**self.env, "MCPRUN_OAUTH_CLIENT_SECRET": SECRET}

    @property
    def log(self) -> list[dict[str, Any]]:
        """The server's log: one entry per request."""
        file = self.folder / "log.jsonl"
        return read_jsonl(file) if file.exists() else []

    def asked(self, name: str) -> list[dict[str, Any]]:
        """Return the logged requests to one endpoint of the authorization server."""
        return [line for line in self.log if line.get("path", "").endswith(f"/{name}")]

    def revoke(self, what: str) -> None:
        """Revoke the access tokens (`access`), or the refresh tokens as well (`all`)."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/revoke/{what}", b""):
            pass

    @property
    def stored(self) -> list[dict[str, Any]]:
        """The contents of the stored token files."""
        return [json.loads(file.read_bytes()) for file in sorted(self.store.glob("*.json"))]


def encode_config(folder: Path, switches: Mapping[str, Any]) -> bytes:
    """Encode the server's configuration: these switches, and the path of its log."""
    return json.dumps({"log": str(folder / "log.jsonl"), "secrets": {"robot": SECRET}, **switches}).encode()


@contextmanager
def guarded(folder: Path, switches: Mapping[str, Any]) -> Iterator[Guarded]:
    """Run a server with these switches, which logs its requests in the folder."""
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
    """Return the server with these switches on this port."""
    return Guarded(port, "/sse" if switches.get("transport") == "sse" else "/mcp", folder)


def restart(running: Guarded, folder: Path, switches: Mapping[str, Any]) -> Guarded:
    """Reset the server and set these switches, which is faster than starting a new one."""
    with urllib.request.urlopen(f"http://127.0.0.1:{running.port}/begin", encode_config(folder, switches)):
        return at(running.port, folder, switches)
