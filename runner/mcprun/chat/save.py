"""What was said in a conversation, as a query that can be run again: with its script and its expectations. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mcprun._util.json_value import JsonObject
from mcprun.checks.matchers import is_matcher
from mcprun.limits import MAX_TURNS
from mcprun.runs.records import Asked, Call, Transcript
from mcprun.tools.refusals import user_refusal

_NOTHING = "(nothing)"
"""What a script says where the model said nothing: it must answer each message of the user."""


def query_from_conversation(transcript: Transcript) -> JsonObject:
    """Make the line of a prompts file that asks the same again.

    The turns become its `script`, so that it runs without a model, and the calls its expectations, with their inputs.
    Calls that the user refused or stopped become neither. There is no script where an input holds a `$from`, which
    would stand for something else in one. What could not be completed is only asked.
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
    if not any(_refers(call.input) for call in calls):
        line["script"] = _script(transcript)
    line["expect"] = {"calls": [{"tool": call.tool, "input": _literal(call.input)} for call in calls]}
    if any(call.is_error for call in transcript.calls):
        line["expect"]["tool_errors"] = "allow"
    return line | _answers_to_server(transcript.asked)


def _answers_to_server(asked: Sequence[Asked]) -> JsonObject:
    """Give what the server was answered as a query's own answers: forms, if one was accepted, and a model's texts."""
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
    """Give the turns: in each answer those with calls, and at its end what was said."""
    script: list[JsonObject] = []
    for answer in _answers(transcript):
        text = ""
        for said, calls in answer:
            text = f"{text}{said}"
            if calls:
                made = [{"tool": call.tool, "input": call.input} for call in calls]
                script.append({"text": text, "calls": made} if text.strip() else {"calls": made})
                text = ""
        script.append({"text": text if text.strip() else _NOTHING})
    return script


def _answers(transcript: Transcript) -> Iterator[list[tuple[str, Sequence[Call]]]]:
    """Give, for each message of the user, the turns that answer it: what was said and which calls were sent."""
    answer: list[tuple[str, Sequence[Call]]] | None = None
    turn = 0
    for message in transcript.messages:
        if message["role"] == "assistant":
            calls = [call for call in transcript.calls if call.turn == turn and not user_refusal(call)]
            if answer is not None:
                answer.append((_said(message["content"]), calls))
            turn += 1
        elif isinstance(message["content"], str):
            if answer is not None:
                yield answer
            answer = []
    if answer is not None:
        yield answer


def _said(content: Sequence[JsonObject]) -> str:
    return "".join(block["text"] for block in content if block.get("type") == "text")


def _literal(value: JsonObject) -> JsonObject:
    """Write an input such that nothing in it is taken for a matcher; a key that would make it one is left out."""
    keys = [key for key in value if not key.startswith("$")]
    return {key: {"$equals": value[key]} if _has_matcher(value[key]) else value[key] for key in keys}


def _has_matcher(value: Any) -> bool:
    if isinstance(value, Mapping):
        return is_matcher(value) or any(map(_has_matcher, value.values()))
    return isinstance(value, list) and any(map(_has_matcher, value))


def _refers(value: Any) -> bool:
    if isinstance(value, Mapping):
        return "$from" in value or any(map(_refers, value.values()))
    return isinstance(value, list) and any(map(_refers, value))
