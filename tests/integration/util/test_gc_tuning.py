"""A command skips the garbage collection at exit."""

from __future__ import annotations

import subprocess
import sys


def test_a_command_skips_the_garbage_collection_at_exit() -> None:
    """Garbage is not collected when a command exits. Python would otherwise collect it once more."""
    program = """
import gc, sys
gc.disable()
class Garbage:
    def __del__(self): print("looked for")
one = Garbage()
one.itself = one
del one
if "mcprun" in sys.argv:
    from mcprun.cli import main
    main(["validate", "-"], standalone_mode=False)
"""
    found = [
        subprocess.run([sys.executable, "-c", program, *args], input="{}", capture_output=True, text=True)
        for args in ([], ["mcprun"])
    ]
    assert ["looked for" in one.stdout for one in found] == [True, False]
