"""Interrupting pytest and its xdist workers leaves no process behind."""

from __future__ import annotations

import subprocess
import sys

from tests.support.cli import script
from tests.support.pytest_plugin import DYING, Suite, suite

__all__ = ["suite"]

pytest_plugins = ["pytester"]


def test_an_interrupt_of_workers_leaves_no_process(suite: Suite) -> None:
    """A SIGINT to the process group, as Ctrl-C sends it, ends pytest, its workers and their servers."""
    suite.write("conftest.py", "import os, pathlib; pathlib.Path('pid').write_text(str(os.getpid()))")
    suite.write(
        "dying.py", DYING.replace("os.kill(int(open", "os.killpg(os.getpgid(int(open").replace("()), sig", "())), sig")
    )
    suite.prompts(script(("interrupt", {}), id="interrupted"), script(id="fine"))
    command = [sys.executable, "-m", "pytest", "-p", "no:asyncio", "prompts.jsonl", "--mcp-server", "dying.py", "-n2"]
    done = subprocess.run(command, cwd=suite.path, capture_output=True, text=True, timeout=120, start_new_session=True)
    assert done.returncode == 2
    assert "KeyboardInterrupt" in done.stdout
