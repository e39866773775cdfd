"""Run commands against a server that requires authorization."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import Result, run_mcprun, script, write_jsonl
from tests.support.oauth import Guarded, guarded, restart

CALL = script(("echo", {"text": "let in"}))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Run a server that requires authorization; `server` resets it for each test."""
    with guarded(tmp_path_factory.mktemp("guarded"), {}) as running:
        yield running


@pytest.fixture
def server(request: pytest.FixtureRequest, running: Guarded, tmp_path: Path) -> Iterator[Guarded]:
    """Return a server without registered clients, with the switches of the test's parameter."""
    switches = getattr(request, "param", {})
    if "json" in switches:
        with guarded(tmp_path, switches) as other:
            yield other
    else:
        yield restart(running, tmp_path, switches)


def switched(*cases: dict[str, Any]) -> pytest.MarkDecorator:
    """Parametrize `server` with these sets of switches."""
    return pytest.mark.parametrize("server", cases, indirect=True, ids=lambda case: json.dumps(case)[1:-1])


def batch(server: Guarded, *args: str | Path, env: dict[str, str] | None = None, query: Any = CALL) -> Result:
    prompts = write_jsonl(server.folder / "p.jsonl", query)
    return run_mcprun("batch", prompts, server.url, *args, cwd=server.folder, env=env or server.env)


def log_in(server: Guarded, *args: str, env: dict[str, str] | None = None) -> Result:
    return run_mcprun("login", server.url, *args, cwd=server.folder, env=env or server.env)
