"""Run pytest with mcprun's plugin on a suite in a temporary folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import QUICKSTART, RAW, read_jsonl, stdlib_server, write_jsonl
from tests.support.forks import Forks

QUICK = ("-p", "no:asyncio", "-p", "no:hypothesispytest", "-W", "error")

DYING = stdlib_server("""
import os, signal

server = StdlibServer("dying")


@server.tool()
def die() -> str:
    print("the disk is on fire", file=sys.stderr, flush=True)
    os._exit(3)


@server.tool()
def interrupt():
    os.kill(int(open("pid").read()), signal.SIGINT)
    while True:
        yield None


server.run()
""")


class Suite:
    """A folder with tests, and methods that run pytest in it."""

    def __init__(self, pytester: pytest.Pytester, forks: Forks) -> None:
        self.path = pytester.path
        self._pytester = pytester
        self._forks = forks

    def run(self, *args: str, env: dict[str, str] | None = None, folder: str = ".") -> pytest.RunResult:
        """Run pytest in a fork of a process that has imported everything, with warnings as errors."""
        late = ("-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning")
        # The plugin unraisableexception runs the garbage collector several times, over all imported modules.
        flags = (*QUICK, *late, "-p", "no:unraisableexception")
        code, stdout, stderr = self._forks.pytest(*flags, *args, cwd=self.path / folder, env=env)
        assert "Exception ignored" not in stderr
        return pytest.RunResult(code, stdout.splitlines(), stderr.splitlines(), duration=0)

    def run_anew(self, *args: str) -> pytest.RunResult:
        """Run pytest in a new Python process, without preloaded modules."""
        return self._pytester.runpytest_subprocess(*QUICK, *args, timeout=120)

    def write(self, name: str, text: str) -> Path:
        """Write a file in the folder; return its path."""
        file = self.path / name
        file.write_text(text, encoding="utf-8")
        return file

    def prompts(self, *queries: Any) -> Path:
        """Write these queries as `prompts.jsonl`; return its path."""
        return write_jsonl(self.path / "prompts.jsonl", *queries)

    @property
    def runs(self) -> list[Path]:
        """The run directories, sorted by name."""
        return sorted(path.parent for path in self.path.glob("outputs/2*/run.json"))

    @property
    def ran(self) -> list[str]:
        """The ids of the queries in all runs."""
        return [one["id"] for run in self.runs for one in read_jsonl(run / "transcripts.jsonl")]

    @property
    def record(self) -> dict[str, Any]:
        """The parsed `run.json` of the only run."""
        (run,) = self.runs
        return dict(json.loads((run / "run.json").read_bytes()))


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, mcprun: Forks) -> Suite:
    """Return a suite with the quickstart and the server `raw.py`, in an environment without API keys and settings."""
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "MCPRUN_MODEL", "PYTEST_ADDOPTS", "VIRTUAL_ENV"):
        monkeypatch.delenv(name, raising=False)
    for file in (QUICKSTART[0], RAW):
        (pytester.path / file.name).write_bytes(file.read_bytes())
    server = f"import runpy\nrunpy.run_path({str(QUICKSTART[1])!r}, run_name='__main__')\n"
    (pytester.path / QUICKSTART[1].name).write_text(server)
    return Suite(pytester, mcprun)
