"""Grade a conversation by its rubrics (`expect.judge`), with a model or from a recording."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from mcprun.engine.conversation import Attempt
from mcprun.engine.grading import INSTRUCTIONS, SCHEMA, case, verdict
from mcprun.errors import ErrorKind, QueryError, RequestError, RunError
from mcprun.models.access_policy import JUDGE_CLIENT
from mcprun.models.base import Model, ModelReply, ModelRequest
from mcprun.models.model_context import ModelContext
from mcprun.models.replay import ReplayModel
from mcprun.models.select import SelectedModel
from mcprun.runs.events import Emit, JudgeCall
from mcprun.runs.transcript import Check
from mcprun.tools.format import ValueFormatter
from mcprun.tools.toolset import ToolSet

_TRIES = 2
"""Requests for one verdict: a judge whose answer is not a verdict is asked once more."""


class Judge(Protocol):
    """Grades conversations."""

    async def grade(self, attempt: Attempt) -> list[Check]:
        """Grade an ended conversation by the rubrics of its query, and return one `Check` per rubric, in their order.

        Raises `QueryError` if this conversation can't be graded, `RunError` if none could be.
        """
        ...


@dataclass(frozen=True, slots=True)
class ModelJudge:
    """Grades with a model. `name` is its API name. `emit` receives a `JudgeCall` for each request."""

    model: Model
    name: str
    max_tokens: int
    formatter: ValueFormatter
    emit: Emit

    async def grade(self, attempt: Attempt) -> list[Check]:
        """Ask the model about each rubric in turn; see `Judge.grade`."""
        return [await self._check(attempt, rubric) for rubric in attempt.rubrics]

    async def _check(self, attempt: Attempt, rubric: str) -> Check:
        request = ModelRequest(
            query=attempt.query,
            where=attempt.where,
            turn=len(attempt.conversation.turns),
            messages=[{"role": "user", "content": case(rubric, attempt.conversation)}],
            calls=(),
            tools=ToolSet(),
            system=INSTRUCTIONS,
            model=self.name,
            max_tokens=self.max_tokens,
            deadline=attempt.deadline,
            schema=SCHEMA,
        )
        for _ in range(_TRIES):
            passed, reason = verdict(await self._reply(request, rubric))
            if passed is not None:
                message = reason if passed else f"expected {self.formatter.text(rubric)}, judged: {reason}"
                return Check(check="judge", passed=passed, message=message, rubric=rubric)
        message = f"the judge {self.name} returned no verdict; it replied {self.formatter.text(reason)}"
        raise QueryError(ErrorKind.API_ERROR, message)

    async def _reply(self, request: ModelRequest, rubric: str) -> ModelReply:
        event = JudgeCall(where=request.where, model=self.name, rubric=rubric)
        started = time.monotonic()
        try:
            reply = await self.model.reply(request)
        except QueryError as error:
            self.emit(replace(event, seconds=time.monotonic() - started, error=f"{error.kind}: {error}"))
            if isinstance(error, RequestError) and error.status == 404:  # the same for every query
                raise RunError(error.kind, f"the API has no model {self.name!r} (--judge-model): {error}") from None
            raise QueryError(error.kind, f"the request to the judge failed: {error}") from None
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
    """Grades with the checks that the recording has for the same conversation, without a model."""

    recording: ReplayModel

    async def grade(self, attempt: Attempt) -> list[Check]:
        """Return the recorded check of each rubric.

        Raises `QueryError` (`not_recorded`) for a rubric that was not graded in the recording. Also raises it for a
        conversation that diverged, since the recorded checks are those of a different one.
        """
        if where := next(iter(attempt.conversation.diverged), None):
            message = f"{where} diverged from the graded recording; grade it again with --judge-model MODEL"
            raise QueryError(ErrorKind.NOT_RECORDED, message)
        recorded = self.recording.recorded(attempt.query, attempt.where)
        by_rubric = {check.rubric: check for check in recorded.checks if check.rubric}
        for rubric in attempt.rubrics:
            if rubric not in by_rubric:
                message = f"a rubric of {recorded.id} was not graded in the recording"
                raise QueryError(ErrorKind.NOT_RECORDED, f"{message}; grade it with --judge-model MODEL")
        return [by_rubric[rubric] for rubric in attempt.rubrics]


@asynccontextmanager
async def open_judge(choice: SelectedModel | None, model: Model, context: ModelContext) -> AsyncIterator[Judge | None]:
    """Open the judge of a run and yield it, or `None` if the run has none. Close it when the context exits.

    `choice` is the judge's model. `model` is the run's own, whose client a judge from the same provider uses.
    """
    if choice is None:
        yield None
    elif choice.record.kind == "replay":
        assert isinstance(model, ReplayModel)  # noqa: S101  checked by `choose_judge`
        yield RecordedJudge(model)
    elif choice.shares_client:
        yield _model_judge(choice, model, context)
    else:
        async with choice.open(context, JUDGE_CLIENT) as judge_model:
            yield _model_judge(choice, judge_model, context)


def _model_judge(choice: SelectedModel, model: Model, context: ModelContext) -> ModelJudge:
    return ModelJudge(model, choice.api_name, context.limits.max_tokens, context.formatter, context.emit)
