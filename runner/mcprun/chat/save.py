"""Convert a conversation to a query that can be run again, with its script and its expectations. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mcprun._util.json_value import JsonObject
from mcprun.checks.matchers import is_matcher
from mcprun.limits import MAX_TURNS
from mcprun.runs.transcript import Asked, Call, Transcript
from mcprun.tools.results import user_refusal

_NOTHING = "(nothing)"
"""The text of a scripted turn in which the model said nothing: a script must answer each message of the user."""


def query_from_conversation(transcript: Transcript) -> JsonObject:
    """Return the line of a prompts file that repeats a conversation.

    The turns become its `script`, so that it runs without a model; the calls and their inputs become its expectations.
    Calls that the user refused or stopped are left out of both. There is no script if an input holds a `$from`, which
    has a meaning of its own in a script. A conversation that ended with an error is reduced to its prompts.
    """
    calls = [call for call in transcript.calls if not user_refusal(call)]
    line: JsonObject = {"id": transcript.id}
    line["prompts" if isinstance(transcript.prompt, list) else "prompt"] = transcript.prompt
    if transcript.system:
        line["system"] = transcript.system
    if transcript.error:
        return line
    if len(transcript.turns) > MAX_TURNS:
        line["max_turns"] = len(transcript.turns)
    if not any(_has_reference(call.input) for call in calls):
        line["script"] = _script(transcript)
    line["expect"] = {"calls": [{"tool": call.tool, "input": _literal(call.input)} for call in calls]}
    if any(call.is_error for call in transcript.calls):
        line["expect"]["tool_errors"] = "allow"
    return line | _answers_to_server(transcript.asked)


def _answers_to_server(asked: Sequence[Asked]) -> JsonObject:
    """Return the query's `elicit`, if a form was accepted, and its `sampling`, from the answers to the server."""
    answered = [(one.kind, one.request, one.answer) for one in asked if one.answer]
    forms = [
        {"match": re.escape(request["message"]), **{key: answer[key] for key in ("action", "content") if key in answer}}
        for kind, request, answer in answered
        if kind == "elicitation"
    ]
    texts = [answer["content"]["text"] for kind, _, answer in answered if kind == "sampling"]
    answers: JsonObject = {"elicit": forms} if any(form["action"] == "accept" for form in forms) else {}
    return answers | ({"sampling": texts} if texts else {})


def _script(transcript: Transcript) -> list[JsonObject]:
    """Return the turns of the script: for each answer, those with calls, and a last one with the final text."""
    script: list[JsonObject] = []
    for answer in _answers(transcript):
        text = ""
        for part, calls in answer:
            text = f"{text}{part}"
            if calls:
                script_calls = [{"tool": call.tool, "input": call.input} for call in calls]
                script.append({"text": text, "calls": script_calls} if text.strip() else {"calls": script_calls})
                text = ""
        script.append({"text": text if text.strip() else _NOTHING})
    return script


def _answers(transcript: Transcript) -> Iterator[list[tuple[str, Sequence[Call]]]]:
    """Yield, for each message of the user, the turns that answer it: pairs of the text and the calls that were sent."""
    answer: list[tuple[str, Sequence[Call]]] | None = None
    turn = 0
    for message in transcript.messages:
        if message["role"] == "assistant":
            calls = [call for call in transcript.calls if call.turn == turn and not user_refusal(call)]
            if answer is not None:
                answer.append((_text_of(message["content"]), calls))
            turn += 1
        elif isinstance(message["content"], str):
            if answer is not None:
                yield answer
            answer = []
    if answer is not None:
        yield answer


def _text_of(content: Sequence[JsonObject]) -> str:
    return "".join(block["text"] for block in content if block.get("type") == "text")


def _literal(value: JsonObject) -> JsonObject:
    """Write an input so that no part of it is taken for a matcher. Keys that begin with `$` are left out."""
    keys = [key for key in value if not key.startswith("$")]
    return {key: {"$equals": value[key]} if _has_matcher(value[key]) else value[key] for key in keys}


def _has_matcher(value: Any) -> bool:
    if isinstance(value, Mapping):
        return is_matcher(value) or any(map(_has_matcher, value.values()))
    return isinstance(value, list) and any(map(_has_matcher, value))


def _has_reference(value: Any) -> bool:
    if isinstance(value, Mapping):
        return "$from" in value or any(map(_has_reference, value.values()))
    return isinstance(value, list) and any(map(_has_reference, value))
