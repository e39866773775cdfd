"""The model `replay:RUN`, which returns the assistant's turns of a recorded run: a live server at no model cost."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from mcprun._util.json_value import JsonObject, json_same, json_type
from mcprun.analysis.diff.describe import describe_differences
from mcprun.analysis.diff.scrub import Scrubber
from mcprun.analysis.diff.transcripts import CompareOptions
from mcprun.analysis.diff.variables import VariablePairs
from mcprun.errors import ErrorKind, QueryError
from mcprun.models.base import ModelReply, ModelRequest
from mcprun.prompts.query import Query
from mcprun.runs.events import AttemptRef, ToolCall
from mcprun.runs.run import Run
from mcprun.runs.transcript import Call, Transcript
from mcprun.tools.format import ValueFormatter
from mcprun.tools.results import NOT_MADE, error_result, tool_result, user_refusal

_CALLING = frozenset({"tool_use", "end_turn"})
"""Stop reasons of turns whose calls mcprun makes."""

_ADVICE = "record the query again, or replay another run"


class ReplayModel:
    """A model that returns the recorded turns of the same query and repeat.

    What `scrubber` removes is ignored when live results are compared with recorded ones. `formatter` formats values for
    messages. `at_once` is the number of queries that run concurrently.
    """

    def __init__(self, run: Run, scrubber: Scrubber, formatter: ValueFormatter, at_once: int) -> None:
        self._run = run
        self._scrubber = scrubber
        self._formatter = formatter
        # Each turn and each call looks up its query. Twice the concurrency, so that new queries evict no active one.
        self._cached = lru_cache(2 * at_once)(self._find)
        self.name = f"replay:{run.path}"

    async def reply(self, request: ModelRequest) -> ModelReply:
        """Return the recorded turn.

        Raises `QueryError` (`not_recorded`) if the recording lacks the query, has it with another prompt, is damaged,
        or ends before the conversation does.
        """
        recorded = self.recorded(request.query, request.where)
        if request.turn >= len(recorded.turns):
            count = len(recorded.turns)
            turns = "1 turn" if count == 1 else f"{count} turns"
            message = (
                f"expected turn {request.turn} of {recorded.id}, counted from 0, but its recording in {self._run.path}"
                f" has {turns} (stop: {recorded.stop})"
            )
            raise QueryError(ErrorKind.NOT_RECORDED, f"{message}; {_ADVICE}")
        turn = recorded.turns[request.turn]
        pairs = VariablePairs.of(recorded.vars, request.query.bindings.names)
        content = _with_live_inputs(request, _assistant_contents(recorded)[request.turn], recorded, pairs)
        return request.stream_whole(
            ModelReply(content=content, stop_reason=turn.stop_reason, model=recorded.model, usage=turn.usage)
        )

    def divergence(self, query: Query, where: AttemptRef, number: int, call: Call) -> str:
        """Describe how a call differs from the recorded one, or that none was recorded; empty if it does not differ."""
        recorded = self.recorded(query, where)
        if number >= len(recorded.calls):
            return f"call {number}: {self._formatter.call(call)} was not recorded"
        recorded_call = recorded.calls[number]
        if _same_result(recorded_call, call):
            return ""
        options = CompareOptions(frozenset({"results"}), self._scrubber)
        base = {"calls": [recorded_call.line()], "vars": recorded.vars, "text": ""}
        head = {"calls": [call.line()], "vars": dict(query.bindings.names), "text": ""}
        change = next(options.comparable_changes(options.comparable(base), options.comparable(head, base)), None)
        if not change:
            return ""
        what = f"call {number}: {self._formatter.call(call)}"
        if recorded_call.is_error is call.is_error and json_type(change.before) == json_type(change.after):
            return f"{what} differs from the recording: {describe_differences(change, self._formatter)}"
        was, got = self._formatter.results(recorded_call, call)
        return f"{what} was recorded with {was}, got {got}"

    def opening_divergence(self, query: Query, where: AttemptRef, messages: list[JsonObject]) -> str:
        """Describe how the server's initial prompt or resources differ from the recorded ones; empty if they do not."""
        recorded = self.recorded(query, where)
        before = recorded.messages[: recorded.begins]
        options = CompareOptions(frozenset({"results"}), self._scrubber)
        base, head = (
            {"calls": [], "text": "", "messages": one, "given": {"messages": len(one)}, "vars": names}
            for one, names in ((before, recorded.vars), (messages, dict(query.bindings.names)))
        )
        was, got = options.comparable(base).opening, options.comparable(head, base).opening
        if json_same(was, got):
            return ""
        texts = _texts(was), _texts(got)
        was, got = self._formatter.texts(*texts) if texts[0] != texts[1] else self._formatter.both(was, got)
        return f"the server's prompt or resources were recorded with {was}, got {got}"

    async def approve(self, event: ToolCall) -> str:
        """Return the recorded refusal if a person refused or stopped the recorded call; else an empty string."""
        found = self._cached(event.where.query, event.where.repeat) if event.where else None
        calls = found[0].calls if found else []
        return user_refusal(calls[event.call]) if event.call < len(calls) else ""

    def recorded(self, query: Query, where: AttemptRef) -> Transcript:
        """Return the recorded transcript of a query's repeat.

        Raises `QueryError` (`not_recorded`) if there is none, it is damaged, or it was recorded with another prompt.
        """
        found = self._cached(query.id, where.repeat)
        if found is None:
            what = query.id if where.repeat == 1 else f"repeat {where.repeat} of {query.id}"
            raise QueryError(ErrorKind.NOT_RECORDED, f"{what} is not in the recording {self._run.path}")
        recorded, damage = found
        if damage:
            message = f"the recording of {recorded.id} in {self._run.path} is damaged: {damage}; {_ADVICE}"
            raise QueryError(ErrorKind.NOT_RECORDED, message)
        if not json_same(recorded.prompt, query.source.prompt_value):
            message = f"{query.id} was recorded with another prompt: see mcprun show {self._run.path} {query.id}"
            raise QueryError(ErrorKind.NOT_RECORDED, message)
        return recorded

    def _find(self, name: str, repeat: int) -> tuple[Transcript, str] | None:
        """Return the recorded transcript, and why it can't be replayed (empty if it can); None if there is none."""
        place = self._run.index.get((name, repeat))
        if place is None:
            return None
        recorded = self._run.at(place)
        return recorded, _damage(recorded)


def _assistant_contents(recorded: Transcript) -> list[Any]:
    """Return the content of each of the model's turns."""
    messages = recorded.messages[recorded.begins :]
    return [message.get("content") for message in messages if message.get("role") == "assistant"]


def _damage(recorded: Transcript) -> str:
    """Return why a recording can't be replayed; empty if it can."""
    contents = _assistant_contents(recorded)
    if recorded.begins > len(recorded.messages):
        return f"{recorded.begins} messages from the server, but only {len(recorded.messages)} in all"
    if len(contents) != len(recorded.turns):
        return f"turns of the model: {len(recorded.turns)}, messages of the model: {len(contents)}"
    for number, (turn, content) in enumerate(zip(recorded.turns, contents, strict=True)):
        if not isinstance(content, list) or not all(isinstance(block, dict) for block in content):
            return f"the message of turn {number} is not a list of content blocks"
        requested = sum(block.get("type") == "tool_use" for block in content)
        recorded_calls = sum(call.turn == number for call in recorded.calls)
        # The last turn may have been cut short, by a limit or an error, before its calls were made.
        is_cut = turn.stop_reason not in _CALLING or number == len(contents) - 1
        if recorded_calls > requested or (
            recorded_calls < requested and not is_cut and not _were_not_made(recorded, content)
        ):
            return f"calls in turn {number}: {requested}, calls recorded: {recorded_calls}"
    return ""


def _were_not_made(recorded: Transcript, content: list[JsonObject]) -> bool:
    """Return whether a chat sent the model a `NOT_MADE` result for each call of a turn."""
    ids = [block.get("id") for block in content if block.get("type") == "tool_use"]
    blocks = [
        block
        for message in recorded.messages
        if message.get("role") == "user" and isinstance(message.get("content"), list)
        for block in message["content"]
        if isinstance(block, dict)
    ]
    refusals = [tool_result(str(name), error_result(NOT_MADE)) for name in ids]
    return all(result in blocks for result in refusals)


def _same_result(one: Call, other: Call) -> bool:
    """Return whether two calls have exactly the same result, with nothing ignored."""
    return (
        one.is_error is other.is_error
        and json_same(one.content, other.content)
        and json_same(one.structured, other.structured)
    )


def _texts(messages: Any) -> str:
    """Join the texts of messages. Check every type: the scrubber may have removed any part of them."""
    contents = [message.get("content") for message in messages or () if isinstance(message, dict)]
    blocks = [block for content in contents if isinstance(content, list) for block in content]
    return "\n".join(str(block.get("text", "")) for block in blocks if isinstance(block, dict))


def _with_live_inputs(
    request: ModelRequest, content: list[JsonObject], recorded: Transcript, pairs: VariablePairs
) -> list[JsonObject]:
    """Return a recorded turn with the tool names and property keys that current requests use, and live values.

    The recorded calls hold the server's own names and keys. The names that were sent to the API can't be used: what
    they stand for depends on the tools at that time. A value of a variable is replaced by its live one.
    """
    calls = (call for call in recorded.calls if call.turn == request.turn)
    blocks = []
    for block in content:
        call = next(calls, None) if block.get("type") == "tool_use" else None
        if call:
            name, arguments = request.tools.to_api(call.tool, pairs.to_head(call.input))
            block = {**block, "name": name, "input": arguments}
        blocks.append(block)
    return blocks
