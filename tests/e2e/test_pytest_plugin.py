"""An interrupt of pytest and its workers leaves no process behind."""

from __future__ import annotations

import subprocess
import sys

from tests.support.cli import script
from tests.support.pytest_plugin import DYING, Suite, suite

__all__ = ["suite"]

pytest_plugins = ["pytester"]


def test_an_interrupt_of_workers_leaves_nothing(suite: Suite) -> None:
    """Ctrl-C at a terminal reaches all processes of pytest at once, and no server outlives them."""
    suite.write("conftest.py", "import os, pathlib; pathlib.Path('pid').write_text(str(os.getpid()))")
    suite.write(
        "dying.py", DYING.replace("os.kill(int(open", "os.killpg(os.getpgid(int(open").replace("()), sig", "())), sig")
    )
    suite.prompts(script(("interrupt", {}), id="interrupted"), script(id="fine"))
    command = [sys.executable, "-m", "pytest", "-p", "no:asyncio", "prompts.jsonl", "--mcp-server", "dying.py", "-n2"]
    done = subprocess.run(command, cwd=suite.path, capture_output=True, text=True, timeout=120, start_new_session=True)
    assert done.returncode == 2
    assert "KeyboardInterrupt" in done.stdout
