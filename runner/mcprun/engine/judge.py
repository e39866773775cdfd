"""Grading a conversation by a rubric (`expect.judge`): a model is asked, or what it said when the run was recorded."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from mcprun._util.deadline import Deadline
from mcprun.analysis.diff.scrub import Scrubber
from mcprun.engine.conversation import Conversation
from mcprun.engine.grading import INSTRUCTIONS, SCHEMA, case, verdict
from mcprun.errors import ErrorKind, QueryError, RequestError, RunError
from mcprun.limits import Limits
from mcprun.models.access_policy import JUDGE_CLIENT, Access
from mcprun.models.base import Model, ModelReply, ModelRequest
from mcprun.models.budget import Budget
from mcprun.models.rate_limit import AdaptiveLimiter
from mcprun.models.replay import ReplayModel
from mcprun.models.select import SelectedModel
from mcprun.prompts.query import Query
from mcprun.runs.events import AttemptRef, Emit, JudgeCall
from mcprun.runs.records import Check
from mcprun.tools.format import ValueFormatter
from mcprun.tools.toolset import ToolSet

_TRIES = 2
"""A model that answers with something else is asked once more."""


@dataclass(frozen=True, slots=True)
class GradingRequest:
    """A conversation to be graded, which try at which query it was, and the time that is left for it."""

    query: Query
    where: AttemptRef
    conversation: Conversation
    deadline: Deadline

    @property
    def rubrics(self) -> Sequence[str]:
        """What it is graded by."""
        return self.query.expect.judge or ()


class Judge(Protocol):
    """Somebody who grades."""

    async def grade(self, exam: GradingRequest) -> list[Check]:
        """Grade a conversation that has ended by each rubric of its query; a `Check` each, in their order.

        Raises `QueryError` when it can't be graded, `RunError` when none could be.
        """
        ...


@dataclass(frozen=True, slots=True)
class ModelJudge:
    """Asks a model, by its API name; `emit` is told of each request."""

    model: Model
    name: str
    max_tokens: int
    show: ValueFormatter
    emit: Emit

    async def grade(self, exam: GradingRequest) -> list[Check]:
        """Ask once for each rubric; see `Judge.grade`."""
        return [await self._check(exam, rubric) for rubric in exam.rubrics]

    async def _check(self, exam: GradingRequest, rubric: str) -> Check:
        request = ModelRequest(
            query=exam.query,
            where=exam.where,
            turn=len(exam.conversation.turns),
            messages=[{"role": "user", "content": case(rubric, exam.conversation)}],
            calls=(),
            tools=ToolSet(),
            system=INSTRUCTIONS,
            model=self.name,
            max_tokens=self.max_tokens,
            deadline=exam.deadline,
            schema=SCHEMA,
        )
        for _ in range(_TRIES):
            passed, reason = verdict(await self._reply(request, rubric))
            if passed is not None:
                message = reason if passed else f"expected {self.show.text(rubric)}, judged: {reason}"
                return Check(check="judge", passed=passed, message=message, rubric=rubric)
        message = f"the judge {self.name} gave no verdict, but {self.show.text(reason)}"
        raise QueryError(ErrorKind.API_ERROR, message)

    async def _reply(self, request: ModelRequest, rubric: str) -> ModelReply:
        event = JudgeCall(where=request.where, model=self.name, rubric=rubric)
        started = time.monotonic()
        try:
            reply = await self.model.reply(request)
        except QueryError as error:
            self.emit(replace(event, seconds=time.monotonic() - started, error=f"{error.kind}: {error}"))
            if isinstance(error, RequestError) and error.status == 404:  # the same for every query
                raise RunError(error.kind, f"the API does not know the judge {self.name!r}: {error}") from None
            raise QueryError(error.kind, f"the judge could not be asked: {error}") from None
        self.emit(
            replace(
                event,
                seconds=time.monotonic() - started,
                model=reply.model,
                stop_reason=reply.stop_reason,
                usage=reply.usage,
                request_id=reply.request_id,
                batch=reply.batch,
            )
        )
        return reply


@dataclass(frozen=True, slots=True)
class RecordedJudge:
    """Says what was said of the same conversation when it was recorded: a replay asks nobody."""

    recording: ReplayModel

    async def grade(self, exam: GradingRequest) -> list[Check]:
        """Find each rubric's check.

        Raises `QueryError` (`not_recorded`) for a rubric that was not graded then, and for a conversation that has
        diverged: of that one, nobody has judged anything.
        """
        if where := next(iter(exam.conversation.diverged), None):
            message = f"{where} brought something else than what was judged: --judge-model MODEL asks anew"
            raise QueryError(ErrorKind.NOT_RECORDED, message)
        recorded = self.recording.recorded(exam.query, exam.where)
        known = {check.rubric: check for check in recorded.checks if check.rubric}
        for rubric in exam.rubrics:
            if rubric not in known:
                message = f"what {recorded.id} is judged by was not judged in the recording"
                raise QueryError(ErrorKind.NOT_RECORDED, f"{message}: --judge-model MODEL asks anew")
        return [known[rubric] for rubric in exam.rubrics]


@asynccontextmanager
async def open_judge(
    choice: SelectedModel | None,
    model: Model,
    limits: Limits,
    emit: Emit,
    show: ValueFormatter,
    budget: Budget,
    throttle: AdaptiveLimiter | None = None,
    *,
    access: Access,
) -> AsyncIterator[Judge | None]:
    """Make the judge of a run, if it has one. `model` is the run's own: another Claude is asked by the same client.

    What it takes is taken of the run's `budget`. A `throttle` is one that others obey as well. `access` judges refusals
    of its credentials.
    """
    if choice is None:
        yield None
    elif choice.record.kind == "replay":
        assert isinstance(model, ReplayModel)  # noqa: S101  `choose_judge` has seen to it
        yield RecordedJudge(model)
    elif choice.shares_client:
        yield ModelJudge(model, choice.api_name, limits.max_tokens, show, emit)
    else:
        opening = choice.open(
            limits, emit, Scrubber(), show, budget, throttle=throttle, access=access, client=JUDGE_CLIENT
        )
        async with opening as own:
            yield ModelJudge(own, choice.api_name, limits.max_tokens, show, emit)
