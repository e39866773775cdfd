"""Calls that a person kept from the server, in `mcprun chat`: what the model is told in place of a result. Pure.

A replay must not make them either, and nobody expects them. So they are known again by these words.
"""

from __future__ import annotations

from mcprun.content import error_result
from mcprun.records import Call

REFUSED = "The user refused this call."
NOT_MADE = "This call was not made: the turn was cut short."
"""What a chat tells the model of a call that was never sent; it has no result, and is no call of the transcript."""

STOPPED = "The user stopped this call."


def refusal_of(call: Call) -> str:
    """Give what the model was told of a call that the user refused or stopped; of any other, nothing."""
    if not call.is_error:
        return ""
    return next((words for words in (REFUSED, STOPPED) if call.content == error_result(words)["content"]), "")
