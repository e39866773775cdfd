"""Secrets that are numbers, and redactors sent to another process."""

from __future__ import annotations

import json
import pickle

from mcprun.errors import REDACTED
from mcprun.runs.events import AttemptRef, ToolCall
from mcprun.runs.redaction import Redactor

SECRET = "it's a \"p&ss\\w<rd>/é+100%=~`$(x)\n\t\U0001f600!"
"""Characters that each of the encoders below writes differently."""


def test_numbers_can_be_secrets() -> None:
    """A PIN that a server sends as a number is one; our own numbers and short ones are none."""
    redactor = Redactor(["12345678"], [r"99\d{6}\.5"])
    event = ToolCall(
        where=AttemptRef("q"), turn=0, call=0, tool="t", input={"pin": 12345678, "n": 1234, "f": 99000000.5}, server=1,
        log_offset=12345678, seconds=1.0,
    )  # fmt: skip
    clean = redactor.value(event)
    assert (clean.input, clean.log_offset) == ({"pin": REDACTED, "n": 1234, "f": REDACTED}, 12345678)


def test_a_redactor_goes_to_another_process() -> None:
    """With what it has compiled."""
    redactor = Redactor([SECRET], [r"card-\d+"])
    text = f"{json.dumps(SECRET)} card-1"
    assert pickle.loads(pickle.dumps(redactor)).text(text) == redactor.text(text) == f'"{REDACTED}" {REDACTED}'
