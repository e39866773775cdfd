"""The model `replay:RUN`: plays the assistant's turns of a recorded run. The server is real, the model is free."""

from __future__ import annotations

from mcprun.errors import ErrorKind, QueryError
from mcprun.models import Reply, Request
from mcprun.records import Transcript
from mcprun.rundir import Run


class ReplayModel:
    """Answers with what was recorded for the same query and repeat."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._index = run.index()
        self.name = f"replay:{run.path}"

    async def reply(self, request: Request) -> Reply:
        """Give the recorded turn.

        Raises `QueryError` (`not_recorded`) when the recording lacks the query, has it with another prompt, or
        ends before the conversation does.
        """
        recorded = self._recorded(request)
        if request.turn >= len(recorded.turns):
            message = f"the recording of {recorded.id} ends after {len(recorded.turns)} turns ({recorded.stop})"
            raise QueryError(ErrorKind.NOT_RECORDED, message)
        said = [message["content"] for message in recorded.messages if message["role"] == "assistant"]
        turn = recorded.turns[request.turn]
        return Reply(content=said[request.turn], stop_reason=turn.stop_reason, model=recorded.model, usage=turn.usage)

    def _recorded(self, request: Request) -> Transcript:
        query = request.query
        place = self._index.get((query.id, request.where.repeat))
        if place is None:
            raise QueryError(ErrorKind.NOT_RECORDED, f"{query.id} is not in the recording {self._run.path}")
        recorded = self._run.at(place)
        if recorded.prompt != query.said:
            message = f"{query.id} was recorded for another prompt: {str(recorded.prompt)[:200]!r}"
            raise QueryError(ErrorKind.NOT_RECORDED, message)
        return recorded
