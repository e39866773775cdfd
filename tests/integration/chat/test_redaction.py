"""Streamed text is shown as soon as it cannot be part of a secret."""

from __future__ import annotations

from mcprun.runs.redaction import Redactor
from mcprun.runs.stream_redaction import StreamRedactor


def test_what_can_be_no_secret_is_shown_at_once() -> None:
    """Only an end with which a secret may begin waits; with patterns, whole lines are shown."""
    hearing = StreamRedactor(Redactor(["secret-one"]))
    assert [hearing.take(piece) for piece in ("a", "b s", "up ", " secret-", "tip ")] == [
        "a",
        "b ",
        "sup ",
        " ",
        "secret-tip ",
    ]
    lines = StreamRedactor(Redactor([], ["id=[0-9]+"]))
    assert [lines.take("id="), lines.take("12"), lines.take("3\nand"), lines.flush()] == ["", "", "[redacted]\n", "and"]
