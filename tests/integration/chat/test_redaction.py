"""Streamed text is shown as soon as it cannot be part of a secret."""

from __future__ import annotations

from mcprun.runs.redaction import Redactor
from mcprun.runs.stream_redaction import StreamRedactor


def test_only_text_that_may_begin_a_secret_is_held_back() -> None:
    """Only a suffix that may begin a secret is held back. With patterns, text is emitted in whole lines."""
    by_value = StreamRedactor(Redactor(["secret-one"]))
    assert [by_value.take(piece) for piece in ("a", "b s", "up ", " secret-", "tip ")] == [
        "a",
        "b ",
        "sup ",
        " ",
        "secret-tip ",
    ]
    by_pattern = StreamRedactor(Redactor([], ["id=[0-9]+"]))
    assert [by_pattern.take("id="), by_pattern.take("12"), by_pattern.take("3\nand"), by_pattern.flush()] == [
        "",
        "",
        "[redacted]\n",
        "and",
    ]
