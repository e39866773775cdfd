"""Run the steps of a query on its server: those before the conversation, those after it, and the cleanup.

A step is a call or read that mcprun makes itself. The model never sees it, no limit of the query counts it, and it may
use any tool of the server.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import mcp_types
from pydantic import ValidationError

from mcprun._util.json_value import JsonObject
from mcprun._util.run_stop import RunStop
from mcprun.checks.evaluate import check_text
from mcprun.checks.one_call import mismatch
from mcprun.client.request_errors import RequestFailed
from mcprun.client.request_owner import PendingCall
from mcprun.client.results import read_resource
from mcprun.client.session import ServerSession
from mcprun.engine.conversation import Attempt, Conversation
from mcprun.engine.server_requests import QueryRequestHandler
from mcprun.engine.tool_loop import ToolLoop
from mcprun.errors import ErrorKind, QueryError, describe
from mcprun.evaluation.evaluator import EvaluationError, evaluated
from mcprun.models.references import UnresolvedReferenceError, holds_reference, resolve
from mcprun.models.replay import ReplayModel
from mcprun.prompts.bindings import Bindings, as_call
from mcprun.prompts.names import STEP, UNIQUE, names_in, unique_text
from mcprun.prompts.scope import sources_of
from mcprun.prompts.steps import Step
from mcprun.runs import events
from mcprun.runs.events import WarningEvent
from mcprun.runs.transcript import Call, Check, StepCall, step_name
from mcprun.tools.format import ValueFormatter
from mcprun.tools.results import error_result, result_text
from mcprun.tools.toolset import is_read_only

CLEANUP_SECONDS = 5.0
"""Time that the cleanups of all queries have together once a run is cancelled."""


class _NotRun(Exception):  # noqa: N818  an outcome that the caller reports
    """A step that can't be sent, with the reason: a name or reference without a value, or a value that does not fit.

    `is_expected` is whether this can be so because something before the step failed.
    """

    def __init__(self, reason: str, *, is_expected: bool = True) -> None:
        super().__init__(reason)
        self.is_expected = is_expected


@dataclass(frozen=True, slots=True)
class StepRunner:
    """Runs the steps of queries. `formatter` formats values in messages, and redacts secrets in them."""

    loop: ToolLoop
    formatter: ValueFormatter
    run_stop: RunStop

    @asynccontextmanager
    async def around(self, attempt: Attempt, server: ServerSession) -> AsyncIterator[QuerySteps]:
        """Run the steps before a conversation, and the cleanup when the context exits, however it does.

        Once the run is cancelled, all cleanups together have `CLEANUP_SECONDS`. Raises `QueryError` (`setup`) if a step
        before the conversation fails.
        """
        steps = QuerySteps(self, attempt, server)
        try:
            if attempt.query.has_names:
                await steps.prepare()
            yield steps
        finally:
            if attempt.query.cleanup:
                with attempt.deadline.pause():
                    await self.run_stop.outlive(steps.clean_up(), CLEANUP_SECONDS)


@dataclass(slots=True)
class QuerySteps:
    """The steps of one attempt. `attempt` is the attempt with the names in its query replaced, once they have values.

    `bindings` holds the values of names so far, and the results of steps.
    """

    runner: StepRunner
    attempt: Attempt
    server: ServerSession
    bindings: Bindings = field(init=False)

    def __post_init__(self) -> None:
        where = self.attempt.where
        self.bindings = Bindings({UNIQUE: unique_text(where.query, where.repeat)})

    @property
    def conversation(self) -> Conversation:
        """The conversation of the attempt, which collects the steps and the values of names."""
        return self.attempt.conversation

    async def prepare(self) -> None:
        """Run the steps before the conversation, and replace the names of the query.

        Raises `QueryError`: `setup` if a step fails or a name has no value, or an error of the server or the recording.
        """
        query = self.attempt.query.source
        recorded = self._recorded_names()
        with self.attempt.deadline.pause():
            await self._set_names()
            for number, step in enumerate(query.before or ()):
                if problem := await self._problem("before", number, step):
                    raise QueryError(ErrorKind.SETUP, f"{step_name('before', number, step.id)}: {problem}")
                await self._set_names()
        try:
            bound = query.bind(self.bindings, {**self.bindings.names, **recorded})
        except ValidationError as error:
            raise QueryError(ErrorKind.SETUP, f"the query can't be asked with these values: {_first(error)}") from None
        self.attempt = replace(self.attempt, query=bound)

    async def verify(self) -> None:
        """Run the steps after the conversation, and store a check of each in the conversation."""
        self._add_calls()
        with self.attempt.deadline.pause():
            for number, step in enumerate(self.attempt.query.source.after or ()):
                problem = await self._problem("after", number, step)
                name = step_name("after", number, step.id)
                message = f"{name}: {problem}" if problem else None
                self.conversation.verified.append(Check(check=name, passed=not problem, message=message))

    async def clean_up(self) -> None:
        """Run the cleanup. Failures are warnings. A step without a value for a `$from` or a name is skipped."""
        if self.server.dead:
            self._warn("the cleanup was skipped, since the connection to the server was lost")
            return
        self._add_calls()
        for number, step in enumerate(self.attempt.query.source.cleanup or ()):
            what = step_name("cleanup", number, step.id)
            try:
                call = await self._run("cleanup", number, step)
                if problem := await evaluated(partial(self._mismatch, step, call)):
                    self._warn(f"{what}: {problem}")
            except _NotRun as error:
                self._emit_skipped("cleanup", number, step, str(error))
                if not error.is_expected:
                    self._warn(f"{what}: not sent: {error}")
            except asyncio.CancelledError:
                self._warn(f"{what}: not finished within the {CLEANUP_SECONDS:g} s that all cleanups of the run had")
                raise
            except Exception as error:  # noqa: BLE001  a cleanup must not change the result of a query
                self._warn(f"{what}: {error if isinstance(error, QueryError) else describe(error)}")
                if self.server.dead:
                    return

    async def _problem(self, phase: str, number: int, step: Step) -> str:
        """Run a step and return why it failed; empty if it did not. Raises `QueryError` if the server is gone."""
        try:
            call = await self._run(phase, number, step)
            return await evaluated(partial(self._mismatch, step, call))
        except _NotRun as error:
            self._emit_skipped(phase, number, step, str(error))
            return str(error)
        except EvaluationError as error:
            raise QueryError(error.kind, f"{step_name(phase, number, step.id)}: {error}") from None

    def _mismatch(self, step: Step, made: StepCall) -> str:
        """Return how the result of a step differs from what it must be; empty if it does not."""
        call, formatter = as_call(made), self.runner.formatter
        wanted = step.with_values(self.bindings.names)
        if problem := mismatch(wanted.expected_call, call, formatter):
            return f"{problem} ({_described(step, call, formatter)})"
        checks = check_text(wanted.text, result_text(call.content), formatter) if wanted.text else ()
        problems = "; ".join(check.message or "" for check in checks if not check.passed)
        return f"{problems} ({_described(step, call, formatter)})" if problems else ""

    async def _run(self, phase: str, number: int, step: Step) -> StepCall:
        """Run a step, record it and emit its event. Raises `_NotRun`, or `QueryError` if the server is gone."""
        if self.runner.loop.permit.read_only and step.tool is not None and not self._is_read_only(step.tool):
            raise _NotRun("--read-only: the server does not mark the tool as read-only (readOnlyHint)")
        names = {name for name, _ in names_in(step.model_dump(exclude_unset=True), STEP)}
        if missing := names - self.bindings.names.keys():
            raise _NotRun(f"{{{{{min(missing)}}}}} has no value")
        try:
            written, arguments = step.with_values(self.bindings.names), step.input
            if names or holds_reference(arguments):
                arguments = await evaluated(partial(resolve, arguments, self.bindings, self.runner.formatter))
        except UnresolvedReferenceError as error:
            raise _NotRun(str(error), is_expected=not error.lacks_part) from None
        except ValidationError as error:
            raise _NotRun(_first(error)) from None
        event = replace(self._event(phase, number, written), input=arguments if step.tool else None)
        async with self.runner.loop.hold_gate(self.attempt.deadline):
            made = await self._send(event)
        self.conversation.steps.append(made)
        self.bindings = self.bindings.with_step(made)
        return made

    async def _send(self, event: events.Step) -> StepCall:
        """Send the call or read of an event, and emit the event with its result."""
        attempt, loop, started = self.attempt, self.runner.loop, time.monotonic()
        handler = QueryRequestHandler(answers=loop.answers, attempt=attempt, recorded=[], script=None, texts=[])
        caller = PendingCall(handler, 0, None, loop.clock(), attempt.deadline)
        what = f"{event.phase}[{event.step}], `{event.tool or event.resource}`"
        try:
            # An interrupted conversation waits for what interrupted it, not for its cleanup.
            is_shown = event.phase != "cleanup" or not self.conversation.place
            waiting = self.conversation.waiting_for(what) if is_shown else nullcontext()
            with self.server.register(handler), waiting:
                made, error = await self._answer(event, caller)
        except (QueryError, asyncio.CancelledError) as failure:
            problem = str(failure.kind) if isinstance(failure, QueryError) else "cancelled"
            loop.emit(replace(event, seconds=time.monotonic() - started, is_error=True, problem=problem))
            raise
        loop.emit(
            replace(
                event,
                seconds=time.monotonic() - started,
                progress=caller.progress or None,
                is_error=made.is_error,
                problem=made.problem,
                error=error,
            )
        )
        if handler.failure:
            raise handler.failure
        return made

    async def _answer(self, event: events.Step, caller: PendingCall) -> tuple[StepCall, str | None]:
        """Return what a step returned, and the JSON-RPC error that the server sent, if any."""
        made = StepCall.model_validate(
            {"phase": event.phase, "step": event.step, "id": event.id, "tool": event.tool, "resource": event.resource}
            | {"input": event.input or {}, "is_error": False, "content": []}
        )
        limit = caller.clock.limit_s
        if event.tool is not None:
            answer = await self.server.call(event.tool, event.input or {}, limit, caller)
            result, problem = answer.result, answer.worded_problem
            update = {"content": result["content"], "structured": result.get("structuredContent")}
            return made.model_copy(update={**update, "is_error": answer.is_error, "problem": problem}), answer.error
        request = mcp_types.ReadResourceRequest(params=mcp_types.ReadResourceRequestParams(uri=str(event.resource)))
        try:
            if not self.server.has("resources"):
                raise RequestFailed("the server does not support resources", "unsupported")
            reading = read_resource(await self.server.request(request, f"resource {event.resource}", limit, caller))
        except RequestFailed as failure:
            return made.model_copy(update=_failed(str(failure), failure.problem)), failure.error
        if reading.problems:
            return made.model_copy(update=_failed("; ".join(reading.problems), "invalid result")), None
        return made.model_copy(update={"content": reading.result["contents"]}), None

    async def _set_names(self) -> None:
        """Give values to the names whose references have results now. Raises `QueryError` (`setup`) if one has none."""
        variables = self.attempt.query.source.vars
        for name, value in variables.items():
            if name in self.bindings.names or not sources_of(value) <= self.bindings.results.keys():
                continue
            try:
                found = await evaluated(partial(resolve, value, self.bindings, self.runner.formatter))
            except UnresolvedReferenceError as error:
                raise QueryError(ErrorKind.SETUP, f"vars.{name}: {error}") from None
            except EvaluationError as error:
                raise QueryError(error.kind, f"vars.{name}: {error}") from None
            self.bindings = self.bindings.with_names({name: found})
        names = self.bindings.names
        self.conversation.vars = {name: names[name] for name in variables if name in names}

    def _is_read_only(self, name: str) -> bool:
        return any(tool["name"] == name and is_read_only(tool) for tool in self.server.tools.listed)

    def _add_calls(self) -> None:
        """Add the results of the conversation's calls. Only a script's calls have ids; others have numbers."""
        conversation = self.conversation
        ids = self.attempt.query.source.call_ids if conversation.model == "script" else {}
        self.bindings = self.bindings.with_calls(conversation.calls, ids)

    def _recorded_names(self) -> Mapping[str, Any]:
        """Return the values of names in the recording, in a replay. Raises `QueryError` if there is no recording."""
        model, attempt = self.runner.loop.model, self.attempt
        return model.recorded(attempt.query, attempt.where).vars if isinstance(model, ReplayModel) else {}

    def _event(self, phase: str, number: int, step: Step) -> events.Step:
        return events.Step(
            where=self.attempt.where,
            phase=phase,
            step=number,
            id=step.id,
            tool=step.tool,
            resource=step.resource,
            server=self.server.number,
            log_offset=self.server.log_offset,
        )

    def _emit_skipped(self, phase: str, number: int, step: Step, reason: str) -> None:
        self.runner.loop.emit(replace(self._event(phase, number, step), skipped=reason))

    def _warn(self, message: str) -> None:
        where = self.attempt.where
        self.runner.loop.emit(WarningEvent(where=where, message=f"{where.query}: {message}"))


def _described(step: Step, call: Call, formatter: ValueFormatter) -> str:
    return formatter.call(call) if step.tool else f"resource {formatter.name(call.tool)}"


def _failed(message: str, problem: str) -> JsonObject:
    """Return the fields of a step that returned no result."""
    return {"is_error": True, "problem": problem, "content": error_result(message)["content"]}


def _first(error: ValidationError) -> str:
    """Return the first problem of a part of a query whose names were replaced."""
    detail = error.errors(include_url=False)[0]
    place = ".".join(map(str, detail["loc"]))
    message = detail["msg"].removeprefix("Value error, ")
    return f"{place}: {message}" if place else message
