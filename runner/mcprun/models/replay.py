"""The model `replay:RUN`: plays the assistant's turns of a recorded run. The server is real, the model is free."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from mcprun.compare import Lens, same
from mcprun.errors import ErrorKind, QueryError
from mcprun.events import ToolCall, Where
from mcprun.models import Reply, Request
from mcprun.queries import Query
from mcprun.records import Call, JsonObject, Transcript
from mcprun.refusals import refusal_of
from mcprun.rundir import Run
from mcprun.scrub import Scrubber
from mcprun.show import Show


class ReplayModel:
    """Answers with what was recorded for the same query and repeat.

    What the `scrubber` takes out does not count when live results are held against recorded ones. So many queries are
    played `at_once`.
    """

    def __init__(self, run: Run, scrubber: Scrubber, show: Show, at_once: int) -> None:
        self._run = run
        self._scrubber = scrubber
        self._show = show
        # Each turn and each call looks there again; twice as many, so that those who come push out nobody who stays.
        self._found = lru_cache(2 * at_once)(self._find)
        self.name = f"replay:{run.path}"

    async def reply(self, request: Request) -> Reply:
        """Give the recorded turn.

        Raises `QueryError` (`not_recorded`) when the recording lacks the query, has it with another prompt, or
        ends before the conversation does.
        """
        recorded = self.recorded(request.query, request.where)
        if request.turn >= len(recorded.turns):
            message = f"the recording of {recorded.id} ends after {len(recorded.turns)} turns ({recorded.stop})"
            raise QueryError(ErrorKind.NOT_RECORDED, message)
        said = [
            message["content"] for message in recorded.messages[recorded.begins :] if message["role"] == "assistant"
        ]
        turn = recorded.turns[request.turn]
        content = _for(request, said[request.turn], recorded)
        return request.told(
            Reply(content=content, stop_reason=turn.stop_reason, model=recorded.model, usage=turn.usage)
        )

    def divergence(self, query: Query, where: Where, number: int, call: Call) -> str:
        """Say how a call differs from the recorded one: in its result, or in that there is none."""
        recorded = self.recorded(query, where)
        if number >= len(recorded.calls):
            return f"call {number}: {self._show.call(call)} was not recorded"
        recorded_call = recorded.calls[number]
        if _same_result(recorded_call, call):
            return ""
        lens = Lens(frozenset({"results"}), self._scrubber)
        before, after = (lens.seen({"calls": [one.line()]}) for one in (recorded_call, call))
        if not any(lens.seen_changes(before, after)):
            return ""
        was, got = self._show.results(recorded_call, call)
        return f"call {number}: {self._show.call(call)} was recorded with {was}, got {got}"

    def given_divergence(self, query: Query, where: Where, messages: list[JsonObject]) -> str:
        """Say how what the server gives to begin with differs from what it gave when the query was recorded."""
        recorded = self.recorded(query, where)
        before = recorded.messages[: recorded.begins]
        lens = Lens(frozenset({"results"}), self._scrubber)
        seen = (
            lens.seen({"calls": [], "messages": one, "given": {"messages": len(one)}}) for one in (before, messages)
        )
        was, got = (one.given for one in seen)
        if same(was, got):
            return ""
        texts = _texts(was), _texts(got)
        was, got = self._show.texts(*texts) if texts[0] != texts[1] else self._show.both(was, got)
        return f"the server's prompt or resources were recorded with {was}, gave {got}"

    async def approve(self, event: ToolCall) -> str:
        """Keep back a call that a person kept back when it was recorded: give what the model was told then."""
        recorded = self._found(event.where.query, event.where.repeat) if event.where else None
        calls = recorded.calls if recorded else []
        return refusal_of(calls[event.call]) if event.call < len(calls) else ""

    def recorded(self, query: Query, where: Where) -> Transcript:
        """Give what was recorded of a query's repeat. Raises `QueryError` (`not_recorded`) where nothing was."""
        recorded = self._found(query.id, where.repeat)
        if recorded is None:
            what = query.id if where.repeat == 1 else f"repeat {where.repeat} of {query.id}"
            raise QueryError(ErrorKind.NOT_RECORDED, f"{what} is not in the recording {self._run.path}")
        if recorded.prompt != query.said:
            message = f"{query.id} was recorded for another prompt: mcprun show {self._run.path} {query.id} tells it"
            raise QueryError(ErrorKind.NOT_RECORDED, message)
        return recorded

    def _find(self, name: str, repeat: int) -> Transcript | None:
        place = self._run.index.get((name, repeat))
        return None if place is None else self._run.at(place)


def _same_result(one: Call, other: Call) -> bool:
    """Tell whether two calls brought the very same, whatever counts of it."""
    return (
        one.is_error is other.is_error and same(one.content, other.content) and same(one.structured, other.structured)
    )


def _texts(messages: Any) -> str:
    """Join the texts of messages; what was taken out of them may have left anything."""
    contents = [message.get("content") for message in messages or () if isinstance(message, dict)]
    blocks = [block for content in contents if isinstance(content, list) for block in content]
    return "\n".join(str(block.get("text", "")) for block in blocks if isinstance(block, dict))


def _for(request: Request, content: list[JsonObject], recorded: Transcript) -> list[JsonObject]:
    """Say a recorded turn to today's server: its calls stand in the recording by the server's own names and keys.

    The names that went over the wire are no guide: what they stood for depends on the tools of that day.
    """
    made = (call for call in recorded.calls if call.turn == request.turn)
    told = []
    for block in content:
        call = next(made, None) if block.get("type") == "tool_use" else None
        if call:
            name, arguments = request.tools.to_api(call.tool, call.input)
            block = {**block, "name": name, "input": arguments}
        told.append(block)
    return told
