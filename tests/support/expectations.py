"""Build calls and the `expect` of a query."""

from __future__ import annotations

from typing import Any

from mcprun.checks.expect import ExpectedCall
from mcprun.runs.transcript import Call


def call(tool: str, is_error: bool = False, text: str = "", **arguments: Any) -> Call:
    """Make a call that was made."""
    content = [{"type": "text", "text": text}]
    return Call(turn=0, tool=tool, input=arguments, is_error=is_error, content=content)


def expected(tool: str, **arguments: Any) -> ExpectedCall:
    """Make a call that is expected."""
    return ExpectedCall(tool=tool, input=arguments)
