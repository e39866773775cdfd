"""Secrets that are numbers, and redactors that are sent to another process."""

from __future__ import annotations

import json
import pickle

from mcprun.errors import REDACTED
from mcprun.runs.events import AttemptRef, ToolCall
from mcprun.runs.redaction import Redactor

SECRET = "it's a \"p&ss\\w<rd>/é+100%=~`$(x)\n\t\U0001f600!"
"""Characters that JSON escapes or encodes."""


def test_numbers_from_a_server_are_redacted() -> None:
    """A secret that a server sends as a number is redacted; mcprun's own numbers and short ones are not."""
    redactor = Redactor(["12345678"], [r"99\d{6}\.5"])
    event = ToolCall(
        where=AttemptRef("q"), turn=0, call=0, tool="t", input={"pin": 12345678, "n": 1234, "f": 99000000.5}, server=1,
        log_offset=12345678, seconds=1.0,
    )  # fmt: skip
    clean = redactor.value(event)
    assert (clean.input, clean.log_offset) == ({"pin": REDACTED, "n": 1234, "f": REDACTED}, 12345678)


def test_redactor_can_be_pickled() -> None:
    """A pickled redactor redacts the same secrets and patterns."""
    redactor = Redactor([SECRET], [r"card-\d+"])
    text = f"{json.dumps(SECRET)} card-1"
    assert pickle.loads(pickle.dumps(redactor)).text(text) == redactor.text(text) == f'"{REDACTED}" {REDACTED}'
