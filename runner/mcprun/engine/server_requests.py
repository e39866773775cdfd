"""What servers are answered during a query: by its own answers, a recording, the run's model, or `--elicit`."""

from __future__ import annotations

from dataclasses import dataclass, field

from mcp_types import INVALID_PARAMS

from mcprun._util.deadline import Deadline
from mcprun._util.json_value import JsonObject
from mcprun.client.request_owner import ClientFeatures, ClientResponse, PendingCall
from mcprun.errors import DeniedError, ErrorKind, QueryError, RunError
from mcprun.evaluation.bounded import EvaluationError, evaluated
from mcprun.limits import Limits
from mcprun.models.base import Model, ModelRequest
from mcprun.models.replay import ReplayModel
from mcprun.models.script import ScriptModel
from mcprun.prompts.elicitation import Script, by_policy
from mcprun.prompts.query import Query
from mcprun.runs.events import AttemptRef
from mcprun.runs.records import Asked, Turn
from mcprun.tools.sampling import messages_of, problem_of, result_of
from mcprun.tools.toolset import ToolSet


@dataclass(frozen=True, slots=True)
class Answers:
    """What all queries of a run share: what is offered to servers, and the model that answers."""

    model: Model
    limits: Limits
    offers: ClientFeatures = field(default_factory=ClientFeatures)

    def are_own(self, query: Query, where: AttemptRef) -> bool:
        """Tell whether a query has answers that no other query may get: written in it, or recorded of it."""
        if query.elicit is not None:
            return True
        match self.model:
            case ScriptModel():
                return query.sampling is not None
            case ReplayModel():
                return bool(_recorded(self.model, query, where))
        return False

    def asker(self, query: Query, where: AttemptRef, deadline: Deadline, turns: list[Turn]) -> QueryRequestHandler:
        """Make what answers for one try at a query; `turns` are those of its conversation, as they come."""
        recorded = _recorded(self.model, query, where) if isinstance(self.model, ReplayModel) else []
        return QueryRequestHandler(
            answers=self,
            query=query,
            where=where,
            deadline=deadline,
            turns=turns,
            recorded=recorded,
            script=None if query.elicit is None else Script(query.elicit),
            texts=list(query.sampling or ()),
        )


@dataclass(eq=False, slots=True, kw_only=True)
class QueryRequestHandler:
    """Answers for one try at a query.

    `asked` fills with what the transcript tells. `unmet` says what the query's own answers should have answered, and
    did not. `failure` is why a model could not be asked or an answer not be found, where the query can't go on after
    that.
    """

    answers: Answers
    query: Query
    where: AttemptRef
    deadline: Deadline
    turns: list[Turn]
    recorded: list[Asked]
    script: Script | None
    texts: list[str]
    asked: list[Asked] = field(default_factory=list)
    unmet: list[str] = field(default_factory=list)
    failure: QueryError | RunError | None = None
    _sampled: int = 0

    async def answer(
        self, kind: str, request: JsonObject, caller: PendingCall | None, *, is_sure: bool
    ) -> ClientResponse:
        """Answer a request, and note it; see `Asker.answer`.

        What is not sure to be this query's is noted only where the model has answered it: everything else would be
        answered the same as anybody's, and a transcript must not depend on who else happens to be there.
        """
        turn, place = max(len(self.turns) - 1, 0), len(self.asked)
        response = await (self._elicited(request) if kind == "elicitation" else self._sampling(request))
        if is_sure or response.model:
            asked = Asked.model_validate(
                {
                    "kind": kind,
                    "turn": turn,
                    "call": caller.call if caller else None,
                    "request": request,
                    "answer": response.result,
                    "reason": response.reason,
                    "usage": response.usage,
                }
            )
            self.asked.insert(place, asked)
        return response

    def in_order(self) -> list[Asked]:
        """Give what was asked by turn and call, and else as it came: calls of a turn run at the same time."""
        return sorted(self.asked, key=lambda one: (one.turn, one.call is None, one.call or 0))

    async def _elicited(self, request: JsonObject) -> ClientResponse:
        """Answer an elicitation. If a pattern runs out of time, decline; the query ends with that error."""
        try:
            if self.script:
                result, reason = await self.script.answer(request)
            elif recorded := self._taken("elicitation", request):
                return ClientResponse(result=recorded.answer, reason=recorded.reason)
            else:
                result, reason = await evaluated(lambda: by_policy(self.answers.offers.elicit, request))
        except EvaluationError as error:
            self.failure = QueryError(error.kind, f"elicitation {request['message']!r:.200}: {error}")
            return ClientResponse(result={"action": "decline"}, reason=str(error))
        if reason and (self.script or self.answers.offers.elicit == "script"):
            self.unmet.append(f"the server asked {request['message']!r}, and {reason}: declined")
        return ClientResponse(result=result, reason=reason)

    async def _sampling(self, request: JsonObject) -> ClientResponse:
        self._sampled += 1
        if recorded := self._taken("sampling", request):
            return ClientResponse(result=recorded.answer, reason=recorded.reason, usage=recorded.usage)
        if problem := problem_of(request):
            return ClientResponse(code=INVALID_PARAMS, told=problem, reason=problem)
        if self._sampled > self.answers.limits.max_sampling:
            return ClientResponse(reason=f"--max-sampling is {self.answers.limits.max_sampling}")
        match self.answers.model:
            case ScriptModel(name=name):
                return self._scripted(name)
            case ReplayModel():
                return ClientResponse(reason="it was not asked when this was recorded")
        return await self._modelled(request)

    def _scripted(self, model: str) -> ClientResponse:
        """Give the next of the query's own texts."""
        if self.texts:
            text = {"type": "text", "text": self.texts.pop(0)}
            return ClientResponse(result=result_of([text], model, "end_turn"))
        if self.query.sampling is None:
            return ClientResponse(reason="the query has no `sampling`")
        reason = "the query has no text left for it"
        self.unmet.append(f"the server asked the model, and {reason}: refused")
        return ClientResponse(reason=reason)

    async def _modelled(self, request: JsonObject) -> ClientResponse:
        """Ask the run's model. Where it can't be asked, the query ends with that; what it refuses, the server hears."""
        limits = self.answers.limits
        asked = ModelRequest(
            query=self.query,
            where=self.where,
            turn=len(self.turns),
            messages=messages_of(request),
            calls=(),
            tools=ToolSet(),
            system=request.get("systemPrompt"),
            model=self.query.model,
            max_tokens=max(1, min(request["maxTokens"], limits.max_tokens)),
            deadline=self.deadline,
        )
        try:
            reply = await self.answers.model.reply(asked)
        except (QueryError, RunError) as error:
            if isinstance(error, RunError | DeniedError) or error.kind is not ErrorKind.API_REFUSED:
                self.failure = error
            return ClientResponse(reason=f"{error.kind}: {error}", model=self.query.model or self.answers.model.name)
        return ClientResponse(
            result=result_of(reply.content, reply.model, reply.stop_reason),
            usage=reply.usage,
            model=reply.model,
            stop_reason=reply.stop_reason,
        )

    def _taken(self, kind: str, request: JsonObject) -> Asked | None:
        """Find what was recorded of a request: the same one, else the next of its kind; each serves once."""
        left = [one for one in self.recorded if one.kind == kind]
        found = next((one for one in left if one.request == request), left[0] if left else None)
        if found:
            self.recorded.remove(found)
        return found


def _recorded(model: ReplayModel, query: Query, where: AttemptRef) -> list[Asked]:
    """Give what was asked when a query was recorded; nothing where it was not, which its first turn will tell."""
    try:
        return list(model.recorded(query, where).asked)
    except QueryError:
        return []
