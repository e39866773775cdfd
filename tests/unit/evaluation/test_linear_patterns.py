"""mcprun's own patterns take linear time."""

from __future__ import annotations

from mcprun.report.html.conversation import conversation_json
from mcprun.report.workflow_commands import without_commands
from tests.support.runs import call, transcript


def test_patterns_of_our_own_take_linear_time() -> None:
    """A page and a workflow's log look at text of servers, which may be a million empty lines."""
    lines = "\n" * 1_000_000
    assert without_commands(lines) == lines
    assert without_commands(f"{lines} ::error::x") == f"{lines} : :error::x"
    image = {"type": "image", "mimeType": "image/png", "data": " " * 1_000_000 + "!"}
    assert "not shown" in str(conversation_json(transcript("a", call("draw", image))))
