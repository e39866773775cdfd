"""`python -m mcprun` is the command `mcprun`."""

from mcprun.cli import main

main(prog_name="mcprun")
