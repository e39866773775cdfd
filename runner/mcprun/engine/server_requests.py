"""Answer elicitation and sampling requests during a query: from the query, a recording, the model, or `--elicit`."""

from __future__ import annotations

from dataclasses import dataclass, field

from mcp_types import INVALID_PARAMS

from mcprun._util.json_value import JsonObject
from mcprun.client.elicitation import ScriptedAnswers, answer_by_policy
from mcprun.client.request_owner import ClientFeatures, ClientResponse, PendingCall
from mcprun.engine.conversation import Attempt
from mcprun.errors import DeniedError, ErrorKind, QueryError, RunError
from mcprun.evaluation.evaluator import EvaluationError, evaluated
from mcprun.limits import Limits
from mcprun.models.base import Model, ModelRequest
from mcprun.models.replay import ReplayModel
from mcprun.models.script import ScriptModel
from mcprun.prompts.query import Query
from mcprun.runs.events import AttemptRef
from mcprun.runs.transcript import Asked
from mcprun.tools.sampling import messages_of, problem_of, result_of
from mcprun.tools.toolset import ToolSet


@dataclass(frozen=True, slots=True)
class Answers:
    """Makes the request handlers of a run. Holds what they share: the model, and the features declared to servers."""

    model: Model
    limits: Limits
    features: ClientFeatures = field(default_factory=ClientFeatures)

    def are_own(self, query: Query, where: AttemptRef) -> bool:
        """Return whether a query has answers that no other may get: its `elicit` or `sampling`, or recorded ones."""
        if query.elicit is not None:
            return True
        match self.model:
            case ScriptModel():
                return query.sampling is not None
            case ReplayModel():
                return bool(_recorded_requests(self.model, query, where))
        return False

    def handler_for(self, attempt: Attempt) -> QueryRequestHandler:
        """Return a request handler for one attempt."""
        query = attempt.query
        recorded = _recorded_requests(self.model, query, attempt.where) if isinstance(self.model, ReplayModel) else []
        return QueryRequestHandler(
            answers=self,
            attempt=attempt,
            recorded=recorded,
            script=None if query.elicit is None else ScriptedAnswers(query.elicit),
            texts=list(query.sampling or ()),
        )


@dataclass(eq=False, slots=True, kw_only=True)
class QueryRequestHandler:
    """Answers the requests that servers send on behalf of one attempt at a query.

    `asked` collects the requests and answers for the transcript. `unmet` collects those that the query's own answers
    should have answered and did not. `failure` is set if a request failed in a way that ends the query.
    """

    answers: Answers
    attempt: Attempt
    recorded: list[Asked]
    script: ScriptedAnswers | None
    texts: list[str]
    asked: list[Asked] = field(default_factory=list)
    unmet: list[str] = field(default_factory=list)
    failure: QueryError | RunError | None = None
    _sampled: int = 0

    @property
    def where(self) -> AttemptRef:
        """The query, repeat and attempt."""
        return self.attempt.where

    async def answer(
        self, kind: str, request: JsonObject, caller: PendingCall | None, *, is_sure: bool
    ) -> ClientResponse:
        """Answer a request and record it; see `RequestHandler.answer`.

        A request that may belong to another query (not `is_sure`) is recorded only if the model answered it. Any other
        answer does not depend on the query, and a transcript must not depend on which queries run at the same time.
        """
        turn, position = max(len(self.attempt.conversation.turns) - 1, 0), len(self.asked)
        response = await (self._elicit(request) if kind == "elicitation" else self._sample(request))
        if is_sure or response.model:
            exchange = Asked.model_validate(
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
            self.asked.insert(position, exchange)
        return response

    def in_order(self) -> list[Asked]:
        """Return the requests by turn and call, then by arrival, since the calls of a turn run concurrently."""
        return sorted(self.asked, key=lambda one: (one.turn, one.call is None, one.call or 0))

    async def _elicit(self, request: JsonObject) -> ClientResponse:
        """Answer an elicitation request. If a pattern runs out of time, decline, and set `failure`."""
        try:
            if self.script:
                result, reason = await self.script.answer(request)
            elif recorded := self._next_recorded("elicitation", request):
                return ClientResponse(result=recorded.answer, reason=recorded.reason)
            else:
                result, reason = await evaluated(lambda: answer_by_policy(self.answers.features.elicit, request))
        except EvaluationError as error:
            self.failure = QueryError(error.kind, f"elicitation {request['message']!r:.200}: {error}")
            return ClientResponse(result={"action": "decline"}, reason=str(error))
        if reason and (self.script or self.answers.features.elicit == "script"):
            self.unmet.append(f"declined the elicitation {request['message']!r}: {reason}")
        return ClientResponse(result=result, reason=reason)

    async def _sample(self, request: JsonObject) -> ClientResponse:
        self._sampled += 1
        if recorded := self._next_recorded("sampling", request):
            return ClientResponse(result=recorded.answer, reason=recorded.reason, usage=recorded.usage)
        if problem := problem_of(request):
            return ClientResponse(code=INVALID_PARAMS, error_message=problem, reason=problem)
        if self._sampled > self.answers.limits.max_sampling:
            return ClientResponse(reason=f"the limit of --max-sampling {self.answers.limits.max_sampling} is reached")
        match self.answers.model:
            case ScriptModel(name=name):
                return self._next_text(name)
            case ReplayModel():
                return ClientResponse(reason="the recording has no such request")
        return await self._sample_model(request)

    def _next_text(self, model: str) -> ClientResponse:
        """Answer with the next of the query's `sampling` texts, or refuse."""
        if self.texts:
            text = {"type": "text", "text": self.texts.pop(0)}
            return ClientResponse(result=result_of([text], model, "end_turn"))
        if self.attempt.query.sampling is None:
            return ClientResponse(reason="the query has no `sampling`")
        reason = "the query has no `sampling` text left"
        self.unmet.append(f"refused a sampling request: {reason}")
        return ClientResponse(reason=reason)

    async def _sample_model(self, request: JsonObject) -> ClientResponse:
        """Answer with the run's model, or refuse if it fails. Set `failure` unless the API rejected its content."""
        attempt, limits = self.attempt, self.answers.limits
        model_request = ModelRequest(
            query=attempt.query,
            where=attempt.where,
            turn=len(attempt.conversation.turns),
            messages=messages_of(request),
            calls=(),
            tools=ToolSet(),
            system=request.get("systemPrompt"),
            model=attempt.query.model,
            max_tokens=max(1, min(request["maxTokens"], limits.max_tokens)),
            deadline=attempt.deadline,
        )
        try:
            reply = await self.answers.model.reply(model_request)
        except (QueryError, RunError) as error:
            if isinstance(error, RunError | DeniedError) or error.kind is not ErrorKind.API_REFUSED:
                self.failure = error
            return ClientResponse(reason=f"{error.kind}: {error}", model=attempt.query.model or self.answers.model.name)
        return ClientResponse(
            result=result_of(reply.content, reply.model, reply.stop_reason),
            usage=reply.usage,
            model=reply.model,
            stop_reason=reply.stop_reason,
        )

    def _next_recorded(self, kind: str, request: JsonObject) -> Asked | None:
        """Return the recorded exchange of an equal request, else the next one of its kind. Each is used once."""
        candidates = [one for one in self.recorded if one.kind == kind]
        found = next((one for one in candidates if one.request == request), candidates[0] if candidates else None)
        if found:
            self.recorded.remove(found)
        return found


def _recorded_requests(model: ReplayModel, query: Query, where: AttemptRef) -> list[Asked]:
    """Return the recorded requests of a query; none if it was not recorded, which its first turn reports."""
    try:
        return list(model.recorded(query, where).asked)
    except QueryError:
        return []
