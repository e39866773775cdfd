"""Execute a query: run the tool loop within a deadline, retry if the server died, and compute the verdict."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator, Awaitable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from mcprun._util.deadline import Deadline
from mcprun._util.run_stop import RunStop
from mcprun.checks.evaluate import COMPLETE_STOP_REASONS, Outcome, check_all
from mcprun.checks.route import FirstTurn, check_route
from mcprun.client.pool import ServerPool
from mcprun.client.session import ServerSession, server_record
from mcprun.engine.catalog_listing import CatalogListing
from mcprun.engine.conversation import Attempt, Conversation
from mcprun.engine.judge import Judge
from mcprun.engine.routing import Router
from mcprun.engine.skipped_transcripts import stop_reason_for, ungraded_transcript
from mcprun.engine.steps import StepRunner
from mcprun.engine.tool_loop import ToolLoop
from mcprun.errors import ErrorKind, QueryError, RunError, describe
from mcprun.evaluation.evaluator import evaluated
from mcprun.prompts.query import Query
from mcprun.prompts.routable import ungraded_reason
from mcprun.runs.events import AttemptEnd, AttemptRef, WarningEvent
from mcprun.runs.run_record import ServerRecord
from mcprun.runs.transcript import Check, ErrorInfo, Transcript, Usage, Verdict
from mcprun.tools.format import ValueFormatter

MAX_ATTEMPTS = 3
"""Attempts at a query whose server dies: the first may share a server, the others have one to themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryExecutor:
    """Runs queries. Holds the objects that all attempts of a run share."""

    loop: ToolLoop
    judge: Judge | None
    servers: ServerPool
    allow_tool_errors: bool
    fail_diverged: bool
    formatter: ValueFormatter
    run_stop: RunStop
    catalog: CatalogListing | None = None
    router: Router | None = None

    @property
    def steps(self) -> StepRunner:
        """What runs the steps of queries."""
        return StepRunner(self.loop, self.formatter, self.run_stop)

    @property
    def server(self) -> ServerRecord:
        """The server that the queries use."""
        return server_record(self.servers.first)

    async def run(self, query: Query, repeat: int = 1) -> Transcript:
        """Run a query and return the transcript of its last attempt.

        A query whose server died is retried alone on a server, so that a query which kills servers does not affect
        others. A query that could not be completed has the conversation so far in its transcript, and an error. It is
        `skipped` if the run ended first. An error that affects every query ends the run.
        """
        if self.router and (reason := ungraded_reason(query)):
            return ungraded_transcript(query, repeat, reason, system=self.loop.system, model=self.loop.model.name)
        number = 1
        while True:
            conversation = Conversation(model=self.loop.model.name)
            deadline = Deadline(query.timeout or self.loop.limits.query_seconds)
            attempt = Attempt(query, AttemptRef(query.id, repeat, number), conversation, deadline)
            error = await self._try(attempt)
            died = isinstance(error, QueryError) and error.kind is ErrorKind.SERVER_DIED
            if not died or number == MAX_ATTEMPTS:
                return self.transcript(query, attempt.where, conversation, error)
            number += 1

    async def _try(self, attempt: Attempt) -> QueryError | RunError | None:
        """Make one attempt and emit `AttemptEnd`. Return its error, or `None`; nothing is raised."""
        time = asyncio.get_running_loop().time
        started = time()
        error = await self.error_of(attempt, self._converse(attempt))
        seconds = time() - started
        if error:
            attempt.conversation.stop = stop_reason_for(error.kind)
        self.loop.emit(
            AttemptEnd(
                where=attempt.where,
                seconds=seconds,
                waited=seconds - attempt.deadline.elapsed,
                stop=attempt.conversation.stop,
                error=f"{error.kind}: {error}" if error else None,
            )
        )
        return error

    async def _converse(self, attempt: Attempt) -> None:
        """Run the query's steps, the tool loop, the judge and the checks."""
        exclusive = attempt.where.attempt > 1 or self._needs_exclusive_server(attempt)
        async with leased(attempt, self.servers.lease(exclusive=exclusive, where=attempt.where)) as server:
            if self.router:
                attempt = await self.router.ask(attempt, server)
                seconds = attempt.deadline.elapsed
            else:
                async with self.steps.around(attempt, server) as steps:
                    attempt = steps.attempt
                    await self.loop.converse(attempt, server)
                    seconds = attempt.deadline.elapsed
                    await steps.verify()
                    await self._grade(attempt)
            if self.catalog and attempt.query.source.lists_server:
                with attempt.deadline.pause():
                    await self.catalog.list_once(server)
        await self._check(attempt, seconds)

    async def error_of(self, attempt: Attempt, work: Awaitable[None]) -> QueryError | RunError | None:
        """Await the `work` of an attempt. Return the error that ended it, or `None`. An error of the run ends the run.

        Raises `CancelledError` only if the run does not end.
        """
        conversation = attempt.conversation
        try:
            await work
        except QueryError as error:
            if error.kind is ErrorKind.REQUEST_TIMEOUT:
                return QueryError(error.kind, f"{error}; waiting for {conversation.pending}")
            return error
        except TimeoutError:
            option = "the query's `timeout`" if attempt.query.timeout else "`--query-timeout`"
            message = f"timed out after {attempt.deadline.limit_s:g} s{conversation.place} ({option})"
            return QueryError(ErrorKind.QUERY_TIMEOUT, message)
        except RunError as error:
            # Replies already paid for are used: once the budget is spent, other queries run until their next request.
            (self.run_stop.drain if error.kind is ErrorKind.BUDGET else self.run_stop.cancel)(error)
            return error
        except asyncio.CancelledError:
            if not self.run_stop.reason:
                raise
            return _interruption_error(self.run_stop.reason, conversation)
        except Exception as error:  # noqa: BLE001  a fault in one query must not affect the others
            return self.fault("internal error in mcprun", error, attempt.where)
        return None

    def _needs_exclusive_server(self, attempt: Attempt) -> bool:
        """Return whether a query has its own answers and a shared server's requests could not be attributed to it."""
        return not self.servers.attributes_requests and self.loop.answers.are_own(attempt.query, attempt.where)

    async def _grade(self, attempt: Attempt) -> None:
        """Grade a conversation by its query's rubrics. One that did not end by itself fails without being graded."""
        conversation = attempt.conversation
        if self.judge and attempt.rubrics and conversation.stop in COMPLETE_STOP_REASONS:
            with conversation.waiting_for("the judge's grading"):
                conversation.judged += await self.judge.grade(attempt)

    async def _check(self, attempt: Attempt, elapsed: float) -> None:
        """Evaluate the checks and store them in the conversation. Raises `QueryError` if that times out or fails."""
        conversation = attempt.conversation
        try:
            with conversation.waiting_for("the checks"):
                conversation.checks = await evaluated(lambda: self.checks(attempt.query, conversation, elapsed))
        except QueryError:
            raise
        except Exception as error:
            raise self.fault("the checks could not be evaluated", error, attempt.where) from error

    def checks(self, query: Query, conversation: Conversation, elapsed: float) -> list[Check]:
        """Evaluate the query's `expect` on a conversation and return its checks.

        `elapsed` is the duration of the conversation as the deadline counts it: without the judge, and without waiting
        for a rate limit or a server. Raises `EvaluationError` if a pattern or schema runs out of time.
        """
        if conversation.routed is not None:
            turn = FirstTurn(conversation.stop, conversation.routed, conversation.unknown_tools)
            return list(check_route(query.expect, turn, self.formatter))
        usage = _total_usage(conversation)
        outcome = Outcome(
            stop_reason=conversation.stop,
            limit=conversation.limit,
            timeouts=conversation.timeouts,
            calls=conversation.calls,
            text=conversation.text,
            turns=len(conversation.turns),
            elapsed=elapsed,
            output_tokens=usage.output_tokens if usage else None,
            unlisted=conversation.unlisted,
            denied=conversation.denied,
            unknown_tools=conversation.unknown_tools,
        )
        return check_all(query.expect, outcome, self.formatter, allow_tool_errors=self.allow_tool_errors)

    def transcript(
        self, query: Query, where: AttemptRef, conversation: Conversation, error: QueryError | RunError | None
    ) -> Transcript:
        """Return the transcript of a conversation that was checked, or that ended with `error`."""
        checks: list[Check] = []
        if not error:
            checks = [*conversation.checks, *conversation.verified, *conversation.judged]
            if conversation.malformed:
                checks.append(Check(check="server", passed=False, message="; ".join(conversation.malformed)))
            if conversation.unmet:
                checks.append(Check(check="asked", passed=False, message="; ".join(conversation.unmet)))
            if self.fail_diverged and (divergences := conversation.diverged.values()):
                checks.append(Check(check="diverged", passed=False, message="; ".join(divergences)))
        return Transcript(
            id=query.id,
            repeat=where.repeat,
            verdict=_verdict(checks, error),
            stop=conversation.stop,
            prompt=query.prompt_value,
            system=query.system or self.loop.system,
            tags=query.tags,
            metadata=query.metadata,
            expect=query.expectations,
            model=conversation.model,
            messages=conversation.messages,
            given=conversation.given,
            calls=conversation.calls,
            routed=conversation.routed,
            vars=conversation.vars,
            steps=conversation.steps,
            asked=conversation.asked,
            text=conversation.text,
            checks=checks,
            turns=conversation.turns,
            attempts=where.attempt,
            usage=_total_usage(conversation),
            error=ErrorInfo(kind=error.kind, message=str(error)) if error else None,
        )

    def fault(self, what: str, error: Exception, where: AttemptRef) -> QueryError:
        """Return the `fault` error for an unexpected exception in a query, and emit its traceback."""
        message = f"{what}: {describe(error)}"
        self.loop.emit(WarningEvent(where=where, message=message, traceback="".join(traceback.format_exception(error))))
        return QueryError(ErrorKind.FAULT, message)


@asynccontextmanager
async def leased(attempt: Attempt, lease: AbstractAsyncContextManager[ServerSession]) -> AsyncIterator[ServerSession]:
    """Wait for the server of an attempt, then limit the context to the attempt's deadline. Yield the server."""
    waiting = attempt.conversation.waiting_for("a server")
    waiting.begin()
    async with lease as server:
        waiting.end()
        async with attempt.deadline:
            yield server


def _interruption_error(reason: RunError, conversation: Conversation) -> RunError:
    """Return the error of a query that the end of the run interrupted. It names the pending operation."""
    kind = reason.kind if reason.kind is ErrorKind.RUN_TIMEOUT else ErrorKind.CANCELLED
    return RunError(kind, f"the run ended before the query finished: {reason}; waiting for {conversation.pending}")


def _verdict(checks: list[Check], error: QueryError | RunError | None) -> Verdict:
    if error:
        return Verdict.SKIPPED if isinstance(error, RunError) else Verdict.ERROR
    return Verdict.PASSED if all(check.passed for check in checks) else Verdict.FAILED


def _total_usage(conversation: Conversation) -> Usage | None:
    usages = [*(turn.usage for turn in conversation.turns), *(request.usage for request in conversation.asked)]
    reported = [usage for usage in usages if usage]
    return sum(reported[1:], start=reported[0]) if reported else None
