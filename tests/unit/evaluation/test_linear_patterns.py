"""mcprun's own patterns take linear time."""

from __future__ import annotations

from mcprun.report.html.conversation import conversation_json
from mcprun.report.workflow_commands import without_commands
from tests.support.runs import call, transcript


def test_mcpruns_own_patterns_take_linear_time() -> None:
    """HTML reports and workflow commands handle a server's text with a million empty lines in linear time."""
    empty_lines = "\n" * 1_000_000
    assert without_commands(empty_lines) == empty_lines
    assert without_commands(f"{empty_lines} ::error::x") == f"{empty_lines} : :error::x"
    image = {"type": "image", "mimeType": "image/png", "data": " " * 1_000_000 + "!"}
    assert "not shown" in str(conversation_json(transcript("a", call("draw", image))))
