"""Run the command as users do: in a process of its own, with a clean environment."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PROMPTS = ROOT / "prompts"
SERVERS = ROOT / "tests" / "servers"
RAW = SERVERS / "raw.py"
EXAMPLE_SERVERS = SERVERS / "examples"
"""The servers of the folder `prompts`, rewritten without the SDK so that they start faster."""
QUICKSTART = (PROMPTS / "quickstart.jsonl", EXAMPLE_SERVERS / "quickstart.py")

SECONDS = 120.0
"""Timeout of a command."""

COMMON: dict[str, str] = {}
"""Variables that a fixture adds to the environment of every command."""

_INHERITED = ("HOME", "LANG", "LC_ALL", "LOGNAME", "SHELL", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR", "USER")


@dataclass(frozen=True)
class Result:
    """A command's exit code and output, and the directory of the run that it wrote, else of `outputs/latest`."""

    code: int
    stdout: str
    stderr: str
    run: Path

    @property
    def record(self) -> dict[str, Any]:
        """The parsed `run.json`."""
        return dict(json.loads((self.run / "run.json").read_bytes()))

    @property
    def transcripts(self) -> list[dict[str, Any]]:
        """The parsed lines of `transcripts.jsonl`."""
        return read_jsonl(self.run / "transcripts.jsonl")

    @property
    def trace(self) -> list[dict[str, Any]]:
        """The parsed lines of `trace.jsonl`."""
        return read_jsonl(self.run / "trace.jsonl")

    @property
    def bytes(self) -> bytes:
        """The bytes of `transcripts.jsonl`."""
        return (self.run / "transcripts.jsonl").read_bytes()

    @property
    def verdicts(self) -> dict[str, str]:
        """The verdict of each query, by its id."""
        return {transcript["id"]: transcript["verdict"] for transcript in self.transcripts}


def run_mcprun(*args: str | Path, cwd: Path, env: Mapping[str, str] | None = None, input: str | bytes = b"") -> Result:
    """Run `mcprun ARGS` in the folder `cwd`; `env` is added to a clean environment.

    The command runs in a fork of a process that has imported everything: see `forks.py`.
    """
    from tests.support.forks import Forks

    return Forks.shared().run(*args, cwd=cwd, env=env, input=input)


def stdlib_server(code: str) -> str:
    """Return the source of a server without the SDK. `code` can use the class `StdlibServer` and the module `sys`."""
    root = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n"
    return f"{root}from tests.servers.stdlib_server import StdlibServer\n{code}"


def run_of(stdout: str, cwd: Path) -> Path:
    """Return the run directory that a command's output names, else the target of `outputs/latest`."""
    output = re.search(r"^(.+): transcripts\.jsonl, ", stdout, re.MULTILINE)
    return (cwd / (output[1] if output else "outputs/latest")).resolve()


def clean_environment() -> dict[str, str]:
    """Return the environment of a fresh shell: no keys, no virtual environment, no colours.

    This Python's commands come first on `PATH`.
    """
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    path = os.pathsep.join([commands(), os.environ.get("PATH", os.defpath)])
    return inherited | {"PATH": path, "NO_COLOR": "1", "COLUMNS": "120"} | COMMON


def commands() -> str:
    """Return the folder that contains the commands of installed packages."""
    return str(Path(sys.executable).parent)


def read_jsonl(file: Path) -> list[dict[str, Any]]:
    """Read a JSONL file."""
    return [json.loads(line) for line in file.read_bytes().splitlines()]


def write_jsonl(file: Path, *values: Any) -> Path:
    """Write a JSONL file; return its path."""
    file.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")
    return file


def script(*calls: tuple[str, dict[str, Any]], text: str = "Done.", **more: Any) -> dict[str, Any]:
    """Return a query whose script makes these calls, if any, in one turn, and then answers with `text`."""
    tool_calls = [{"tool": tool, "input": arguments} for tool, arguments in calls]
    turns = [{"calls": tool_calls}] if tool_calls else []
    return {"id": "q", "prompt": "Do it.", "script": [*turns, {"text": text}], **more}


def normalised(text: str) -> str:
    """Replace run folders, durations and absolute paths by placeholders, and squeeze the spaces that align columns."""
    text = re.sub(r"\d{4}-\d\d-\d\d-\d{6}(-\d+)?", "<DATE>", text)
    text = re.sub(r"\b\d+\.\d+(?= s\b)", "<SECONDS>", text)
    text = re.sub(r"(<SECONDS> s|\b\d+ s|\b[\d.]+ ms)(?= *$)", "<DURATION>", text, flags=re.MULTILINE)
    text = re.sub(r"(?<=[ :'\"(])/[^\s:'\")]+/", "<PATH>/", text)
    return "\n".join(squeezed(text))


def squeezed(text: str) -> list[str]:
    """Return the lines that are not blank, without the spaces and rules that align columns."""
    lines = re.sub(r"─+", "─", text).splitlines()
    return [" ".join(line.split()) for line in lines if line.strip()]
