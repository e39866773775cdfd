"""Runs the command as its users do: in a process of its own, with an environment that holds nothing of ours."""

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
"""The servers of the folder `prompts`, without the SDK: they start sooner."""
QUICKSTART = (PROMPTS / "quickstart.jsonl", EXAMPLE_SERVERS / "quickstart.py")

SECONDS = 120.0
"""After this long, a command counts as hanging."""

_INHERITED = ("HOME", "LANG", "LC_ALL", "LOGNAME", "SHELL", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR", "USER")


@dataclass(frozen=True)
class Result:
    """What a command printed and returned; `run` is the run that `outputs/latest` named when it was done."""

    code: int
    stdout: str
    stderr: str
    run: Path

    @property
    def record(self) -> dict[str, Any]:
        """`run.json`."""
        return dict(json.loads((self.run / "run.json").read_bytes()))

    @property
    def transcripts(self) -> list[dict[str, Any]]:
        """The lines of `transcripts.jsonl`."""
        return read_jsonl(self.run / "transcripts.jsonl")

    @property
    def trace(self) -> list[dict[str, Any]]:
        """The lines of `trace.jsonl`."""
        return read_jsonl(self.run / "trace.jsonl")

    @property
    def bytes(self) -> bytes:
        """The bytes of `transcripts.jsonl`."""
        return (self.run / "transcripts.jsonl").read_bytes()

    @property
    def verdicts(self) -> dict[str, str]:
        """The verdict of each query."""
        return {transcript["id"]: transcript["verdict"] for transcript in self.transcripts}


def run_mcprun(*args: str | Path, cwd: Path, env: Mapping[str, str] | None = None, input: str | bytes = b"") -> Result:
    """Run `mcprun ARGS` in the folder `cwd`; `env` comes on top of a clean environment.

    It runs in a process of its own, which is forked from one that has imported everything: see `forks.py`.
    """
    from tests.support.forks import Forks

    return Forks.shared().run(*args, cwd=cwd, env=env, input=input)


def stdlib_server(code: str) -> str:
    """Make the text of a server that starts without the SDK: `code` has the class `StdlibServer` and the module `sys`."""
    root = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n"
    return f"{root}from tests.servers.stdlib_server import StdlibServer\n{code}"


def run_of(stdout: str, cwd: Path) -> Path:
    """Find the run that a command says it has written, else the one that `outputs/latest` names."""
    output = re.search(r"^(.+): transcripts\.jsonl, ", stdout, re.MULTILINE)
    return (cwd / (output[1] if output else "outputs/latest")).resolve()


def clean_environment() -> dict[str, str]:
    """What a fresh shell has: no keys, no active virtual environment, no colours, this Python's commands first."""
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    path = os.pathsep.join([commands(), os.environ.get("PATH", os.defpath)])
    return kept | {"PATH": path, "NO_COLOR": "1", "COLUMNS": "120"}


def commands() -> str:
    """Name the folder that the commands of installed packages are in."""
    return str(Path(sys.executable).parent)


def read_jsonl(file: Path) -> list[dict[str, Any]]:
    """Read a JSONL file."""
    return [json.loads(line) for line in file.read_bytes().splitlines()]


def write_jsonl(file: Path, *values: Any) -> Path:
    """Write a JSONL file and give its path."""
    file.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")
    return file


def script(*calls: tuple[str, dict[str, Any]], text: str = "Done.", **more: Any) -> dict[str, Any]:
    """Make a query whose script makes some calls (if any), all in one turn, and says something."""
    made = [{"tool": tool, "input": arguments} for tool, arguments in calls]
    turns = [{"calls": made}] if made else []
    return {"id": "q", "prompt": "Do it.", "script": [*turns, {"text": text}], **more}


def normalised(text: str) -> str:
    """Replace what differs between runs (run folders, seconds, absolute paths) and the spaces that align columns."""
    text = re.sub(r"\d{4}-\d\d-\d\d-\d{6}(-\d+)?", "<DATE>", text)
    text = re.sub(r"\b\d+\.\d+(?= s\b|\s*$)", "<SECONDS>", text, flags=re.MULTILINE)
    text = re.sub(r"(<SECONDS> s|\b[\d.]+ ms)(?= *$)", "<DURATION>", text, flags=re.MULTILINE)
    text = re.sub(r"(?<=[ :'\"(])/[^\s:'\")]+/", "<PATH>/", text)
    return "\n".join(squeezed(text))


def squeezed(text: str) -> list[str]:
    """Return the lines that are not blank, without the spaces and rules that align columns."""
    lines = re.sub(r"─+", "─", text).splitlines()
    return [" ".join(line.split()) for line in lines if line.strip()]
