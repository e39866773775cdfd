"""The run that a chat writes: the server, the model and the files, from the beginning to the end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from mcprun.access import RunAccess
from mcprun.approval import Approval, Ask, Person
from mcprun.attempt import Attempts
from mcprun.batch import Plan
from mcprun.chat import NAME, Chat, prompts_of
from mcprun.ending import Ending
from mcprun.errors import RunError
from mcprun.events import Event, RunStart, Warned
from mcprun.folders import new_directory
from mcprun.journal import Journal
from mcprun.limits import MAX_LOG_BYTES
from mcprun.loop import Loop
from mcprun.models.budget import Budget
from mcprun.pool import Pool
from mcprun.recorder import Recorder, head
from mcprun.sdklog import sdk_logs
from mcprun.server import described
from mcprun.serverlog import ServerLog
from mcprun.show import Show
from mcprun.target import warnings_of
from mcprun.tools import unmatched
from mcprun.untried import untried
from mcprun.workplace import connector_of


@asynccontextmanager
async def open_chat(
    plan: Plan, person: Person, ask: Ask, watch: Callable[[Event], None] = lambda _: None
) -> AsyncIterator[Chat]:
    """Start the server, and end it and the run when the context ends. `watch` is called with each event.

    The plan's prompts are those of `prompts_of([])`. Raises `UsageError` when there is no place to write, `RunError`
    when the server does not start.
    """
    ending, limits, model = Ending(), plan.limits, plan.model.record
    record = head(plan.prompts, model, None, limits, plan.arguments, None)
    # It becomes the latest run when something was said: before, there is nothing to look at.
    journal = Journal(new_directory(NAME, plan.out))
    recorder = Recorder(journal, record, plan.redactor, watch, ending, is_latest=False)
    recorder.begin(plan.prompts)
    chat: Chat | None = None
    try:
        recorder.emit(RunStart(queries=0, done=0, model=model.name, chosen=model.chosen))
        for warning in warnings_of(plan.target):
            recorder.emit(Warned(message=warning))
        show = Show(plan.redactor.text)
        budget = Budget.begun(limits, recorder.emit, model.kind, ())
        access = RunAccess(ending)
        connector = connector_of(plan, ServerLog(journal.log, plan.redactor, MAX_LOG_BYTES), recorder.emit)
        with sdk_logs(recorder.emit, plan.redactor):
            async with (
                plan.model.open(limits, recorder.emit, plan.scrubber, show, budget, access=access) as answerer,
                Pool(connector, restarts=limits.restarts, emit=recorder.emit) as servers,
            ):
                recorder.answered(described(servers.first))
                for message in unmatched(plan.permit, {}, servers.first.tools.listed):
                    recorder.emit(Warned(message=message))
                loop = Loop(
                    model=answerer,
                    limits=limits,
                    system=plan.system,
                    emit=recorder.emit,
                    permit=plan.permit,
                    offers=plan.offers,
                    hear=person.hear,
                )
                attempts = Attempts(
                    loop, None, servers, allow_tool_errors=False, fail_diverged=False, show=show, ending=ending
                )
                chat = Chat(plan, recorder, attempts, Approval(ask, person, plan.redactor), ending)
                try:
                    yield chat
                finally:
                    chat.new()
    except RunError as error:
        ending.stop(error)
        raise
    finally:
        with prompts_of([]) if chat is None else chat.prompts as prompts:
            recorder.finish(
                prompts,
                lambda query, repeat, why: untried(query, repeat, why, system=plan.system, model=model.name),
                None,
            )
