"""Calls that a person kept from the server, in `mcprun chat`: what the model is told in place of a result. Pure.

A replay must not make them either, and nobody expects them. So they are known again by these words.
"""

from __future__ import annotations

from mcprun.runs.records import Call
from mcprun.tools.results import error_result

REFUSED = "The user refused this call."
NOT_MADE = "This call was not made: the turn was cut short."
"""The result that a chat returns to the model for a call that was never sent. The transcript does not list the call."""

STOPPED = "The user stopped this call."


def user_refusal(call: Call) -> str:
    """Give what the model was told of a call that the user refused or stopped; of any other, nothing."""
    if not call.is_error:
        return ""
    return next((words for words in (REFUSED, STOPPED) if call.content == error_result(words)["content"]), "")
