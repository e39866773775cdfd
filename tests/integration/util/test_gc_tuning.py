"""A command collects nothing at its end."""

from __future__ import annotations

import subprocess
import sys


def test_what_is_left_at_the_end_of_a_command_is_not_looked_through() -> None:
    """Garbage is left where it is when the process ends; Python else looks for it once more."""
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
        subprocess.run([sys.executable, "-c", program, *who], input="{}", capture_output=True, text=True)
        for who in ([], ["mcprun"])
    ]
    assert ["looked for" in one.stdout for one in found] == [True, False]
