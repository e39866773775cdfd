"""Results of the calls that the user refused or stopped in `mcprun chat`. Pure.

A replay must not make these calls, and `expect` must not list them. They are recognised by these texts.
"""

from __future__ import annotations

from mcprun.runs.records import Call
from mcprun.tools.results import error_result

REFUSED = "The user refused this call."
NOT_MADE = "This call was not made: the turn was cut short."
"""The result that a chat returns to the model for a call that was never sent. The transcript omits the call."""

STOPPED = "The user stopped this call."


def user_refusal(call: Call) -> str:
    """Return the result text of a call that the user refused or stopped; empty for any other call."""
    if not call.is_error:
        return ""
    return next((words for words in (REFUSED, STOPPED) if call.content == error_result(words)["content"]), "")
