"""Run queries against a server that floods its client with output."""

from __future__ import annotations

from pathlib import Path

from tests.support.cli import SERVERS, Result, script, write_jsonl
from tests.support.forks import Forks

SERVER = SERVERS / "flooding.py"


def against(mcprun: Forks, folder: Path, what: str, *flags: str, when: str = "call") -> Result:
    """Run `flood`, whose call makes its server flood, and `calm`, whose call is answered; each has its own server."""
    write_jsonl(folder / "p.jsonl", script(("flood", {}), id="flood"), script(("floodless", {}), id="calm"))
    flags = ("--model", "script", "--fresh-server", "--root", ".", *flags)
    done = mcprun.run("batch", "p.jsonl", SERVER, *flags, "--", what, when, cwd=folder)
    assert "Traceback" not in done.stderr
    return done
