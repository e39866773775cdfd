"""Find the calls of a transcript that reached the server, answered or not. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from mcprun.runs.transcript import Call, CallOutcome, Transcript
from mcprun.tools.results import REFUSED, error_result

UNSENT = frozenset({"not allowed", "bad arguments"})
"""The problems of calls that mcprun did not send (`Call.problem`)."""

_COMPLETE = frozenset({"tool_use", "end_turn"})
"""Stop reasons of turns whose calls are made, as in the tool loop."""


def is_sent(call: Call) -> bool:
    """Return whether mcprun sent a call to the server. Of older runs, unsent ones are known by their text."""
    if not call.is_error:
        return True
    if call.problem is not None:
        return call.problem not in UNSENT
    denied = f"The tool {call.tool} is not allowed here."
    return all(call.content != error_result(text)["content"] for text in (denied, REFUSED))


def unanswered(transcript: Transcript, names: Mapping[str, str]) -> Iterator[CallOutcome]:
    """Yield the calls of the last turn that the server did not answer, as failed calls.

    They are in `messages` only, under the names that the API was sent: `names` maps these to the server's. A query
    that did not end in an error has none.
    """
    if transcript.error is None or not transcript.messages or not transcript.turns:
        return
    message, last = transcript.messages[-1], len(transcript.turns) - 1
    content = message.get("content")
    if message.get("role") != "assistant" or not isinstance(content, list):
        return
    if transcript.turns[last].stop_reason not in _COMPLETE:
        return
    answered = Counter(call.tool for call in transcript.calls if call.turn == last)
    for block in content:
        if not isinstance(block, dict) or block.get("type") != "tool_use":
            continue
        tool = names.get(str(block.get("name")), str(block.get("name")))
        if answered[tool]:
            answered[tool] -= 1
        else:
            yield CallOutcome(tool=tool, input={}, is_error=True)
