"""Build the calls of a transcript and expected calls, for tests of the evaluation of checks."""

from __future__ import annotations

from typing import Any

from mcprun.checks.expect import ExpectedCall
from mcprun.runs.transcript import Call


def call(tool: str, is_error: bool = False, text: str = "", **arguments: Any) -> Call:
    """Return a call as a transcript records it."""
    content = [{"type": "text", "text": text}]
    return Call(turn=0, tool=tool, input=arguments, is_error=is_error, content=content)


def expected(tool: str, **arguments: Any) -> ExpectedCall:
    """Return an expected call."""
    return ExpectedCall(tool=tool, input=arguments)
