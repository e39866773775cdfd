"""A chat: what a person says goes to the model, and a run like any other is written. It knows no terminal.

Each conversation is a query whose user messages are not known before it begins; it ends when another one is begun.
After each answer all files are as they would be if it were the last: whoever kills the process loses no answer.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import time
import traceback
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from mcprun._util.deadline import Deadline
from mcprun._util.json_io import encoded
from mcprun._util.json_text import finite, loads
from mcprun._util.json_value import JsonObject
from mcprun._util.run_stop import RunStop
from mcprun._util.surrogates import well_formed
from mcprun.chat.approval import Approval
from mcprun.chat.repair import Checkpoint, close_interrupted_turn
from mcprun.chat.save import query_from_conversation
from mcprun.client.session import described
from mcprun.engine.attempts import QueryExecutor
from mcprun.engine.conversation import Conversation
from mcprun.engine.recorder import Recorder
from mcprun.engine.run import RunPlan
from mcprun.engine.tool_loop import ANSWERED
from mcprun.errors import ErrorKind, QueryError, RunError, describe
from mcprun.prompts.file import PromptsFile, QueryFilter, read_prompts
from mcprun.prompts.query import Query, parse_query
from mcprun.prompts.source import as_file
from mcprun.runs.directory import mark_latest
from mcprun.runs.events import AttemptRef, ExchangeEnd, QueryEnd, ToolCall, WarningEvent
from mcprun.runs.records import RunRecord, ServerRecord, Transcript
from mcprun.tools.refusals import STOPPED
from mcprun.tools.toolset import ToolSet

NAME = "chat"
"""What stands where other runs name their prompts file, and what ids of conversations begin with."""


@dataclass(frozen=True, slots=True)
class Answered:
    """How the answer to a message ended: `stop` is the model's stop reason, ours (`stopped`), or a kind of `error`.

    What was cut short `is_kept` when calls were made in it, or when the model said all that it could.
    """

    stop: str
    is_kept: bool
    error: QueryError | RunError | None = None

    @property
    def is_whole(self) -> bool:
        """Whether the model ended it by itself."""
        return self.stop in ANSWERED


@dataclass(slots=True)
class _Talk:
    """One conversation: what the user has said and was answered, and the last transcript that was made of it."""

    id: str
    conversation: Conversation
    said: list[str] = field(default_factory=list)
    seconds: float = 0.0
    transcript: Transcript | None = None


class ChatSession:
    """A live chat. One message at a time is answered; `stop` may be called meanwhile."""

    def __init__(
        self, plan: RunPlan, recorder: Recorder, attempts: QueryExecutor, approval: Approval, ending: RunStop
    ) -> None:
        self._plan = plan
        self._recorder = recorder
        self._attempts = attempts
        self._approval = approval
        self._ending = ending
        self._server = attempts.servers.first
        self._lines: dict[str, JsonObject] = {}
        self._failed: set[str] = set()
        self._exchange: asyncio.Task[tuple[bool, QueryError | RunError | None]] | None = None
        self._talk = self._next()

    @property
    def name(self) -> str:
        """The id of the conversation, which is a query of the run."""
        return self._talk.id

    @property
    def path(self) -> Path:
        """The run's folder."""
        return self._recorder.journal.path

    @property
    def record(self) -> RunRecord:
        """The run's `run.json`, final when the chat is over."""
        return self._recorder.record

    @property
    def is_answering(self) -> bool:
        """Whether an answer is being given."""
        return self._exchange is not None

    @property
    def server(self) -> ServerRecord:
        """The server that answered last, with all of its tools."""
        return self._plan.redactor.value(described(self._server))

    @property
    def tools(self) -> ToolSet:
        """The tools that the model may use."""
        return self._server.tools.only(self._plan.permit)

    @property
    def queries(self) -> list[JsonObject]:
        """What was asked so far, as lines of a prompts file; what could not be completed is left out."""
        return [line for name, line in self._lines.items() if name not in self._failed]

    @property
    def prompts(self) -> PromptsFile:
        """All that was asked, as the prompts file of the run."""
        return prompts_of(self._lines.values())

    def stop(self) -> None:
        """Cut the answer short that is being given."""
        if self._exchange:
            self._exchange.cancel()

    async def say(self, text: str) -> Answered:
        """Say something, and wait for the whole answer. Raises `RunError` when the chat can't go on.

        The conversation can go on however the answer ends: what is unfinished is mended, or taken back.
        """
        talk, text = self._talk, well_formed(text)
        start, began = Checkpoint.of(talk.conversation), time.monotonic()
        self._exchange = asyncio.create_task(self._answer(text, talk))
        try:
            await asyncio.wait({self._exchange})
        finally:
            task, self._exchange = self._exchange, None
            task.cancel()
            await asyncio.wait({task})
        is_stopped, error = task.result() if not task.cancelled() else (True, None)
        stop = "stopped" if is_stopped else str(error.kind) if error else talk.conversation.stop
        is_kept = close_interrupted_turn(talk.conversation, start, told=_told(error), why=_why(stop, error))
        if is_kept:
            talk.said.append(text)
        talk.seconds += time.monotonic() - began
        self._write_down(talk, text, error)
        if self._ending.reason:
            raise self._ending.reason
        if isinstance(error, RunError):
            raise error
        return Answered(stop, is_kept, error)

    def new(self) -> None:
        """End the conversation, and begin another one."""
        talk = self._talk
        if talk.transcript:
            self._recorder.emit(QueryEnd(where=AttemptRef(talk.id), seconds=talk.seconds, transcript=talk.transcript))
            self._talk = self._next()

    def _next(self) -> _Talk:
        return _Talk(f"{NAME}-{len(self._lines) + 1}", Conversation(model=self._attempts.loop.model.name))

    async def _answer(self, text: str, talk: _Talk) -> tuple[bool, QueryError | RunError | None]:
        """Run the loop. Give whether it was stopped, and the error that ended it."""
        limits, conversation = self._plan.limits, talk.conversation
        deadline = Deadline(limits.query_seconds)

        async def approve(call: ToolCall) -> str:
            return await self._approval.given(call, self._server.tools.listed, deadline)

        # The limits of a query are those of one answer here: a chat may be long.
        most_turns, most_calls = len(conversation.turns) + limits.max_turns, len(conversation.calls) + limits.max_calls
        loop = replace(
            self._attempts.loop,
            limits=replace(limits, max_turns=most_turns, max_calls=most_calls),
            approve=approve,
        )
        query = _query(talk.id, [*talk.said, text])
        try:
            async with AsyncExitStack() as stack:
                with conversation.waiting_for("a server"):
                    self._server = await stack.enter_async_context(self._attempts.servers.lease(alone=True))
                async with deadline:
                    await loop.converse(query, self._server, AttemptRef(talk.id), conversation, deadline, [text])
        except (QueryError, RunError) as error:
            return False, error
        except TimeoutError:
            message = f"not done within {deadline.seconds:g} s; waiting for {conversation.pending}"
            return False, QueryError(ErrorKind.QUERY_TIMEOUT, message)
        except asyncio.CancelledError:
            return True, None
        except Exception as error:  # noqa: BLE001  a fault in one answer must not end the chat
            message = f"a fault of mcprun itself: {describe(error)}"
            self._recorder.emit(
                WarningEvent(where=AttemptRef(talk.id), message=message, traceback=traceback.format_exc())
            )
            return False, QueryError(ErrorKind.FAULT, message)
        return False, None

    def _write_down(self, talk: _Talk, text: str, error: QueryError | RunError | None) -> None:
        """Make the transcript of the conversation as it stands, and put all files on disk."""
        conversation = talk.conversation
        if talk.said:  # what was answered is good, whatever came of the last message
            query, error = _query(talk.id, talk.said), None
        elif error:
            query = _query(talk.id, [text])
            conversation = replace(conversation, messages=[{"role": "user", "content": text}], stop="error")
        else:
            return
        transcript = self._transcript(query, conversation, error, talk.seconds)
        # Judged by what it will be held against when it is run again: then a replay gives the same bytes.
        query = parse_query(_line_of(transcript))
        transcript = self._transcript(query, conversation, error, talk.seconds)
        talk.transcript = transcript
        self._failed = self._failed | {talk.id} if error else self._failed - {talk.id}
        is_first = not self._lines
        self._lines[talk.id] = _line_of(self._plan.redactor.value(transcript))
        self._recorder.emit(ExchangeEnd(where=AttemptRef(talk.id), seconds=talk.seconds, transcript=transcript))
        with self.prompts as prompts:
            self._recorder.prompted(prompts)
        if is_first:
            mark_latest(self._recorder.journal.path)

    def _transcript(
        self, query: Query, conversation: Conversation, error: QueryError | RunError | None, seconds: float
    ) -> Transcript:
        """Check a conversation and return its transcript. Expectations of a chat hold no patterns, so this is quick."""
        if not error:
            try:
                conversation.checks = self._attempts.checks(query, conversation, seconds)
            except Exception as fault:  # noqa: BLE001  one answer must not end the chat
                error = self._attempts.fault("the conversation could not be judged", fault, AttemptRef(query.id))
        return self._attempts.transcript(query, 1, 1, conversation, error)


def prompts_of(lines: Iterable[JsonObject]) -> PromptsFile:
    """Give the prompts file of a chat in which this was asked. Of one that has just begun it is empty."""
    if lines := list(lines):
        return read_prompts(NAME, kept=as_file(lines))
    nothing = io.BytesIO()
    return PromptsFile(NAME, hashlib.sha256(b"").hexdigest(), {}, 0, 0, 0, nothing, QueryFilter())


def _line_of(transcript: Transcript) -> JsonObject:
    """Return a line of a prompts file that repeats a query, without its calls if these can't be written as one."""
    line: JsonObject = finite(query_from_conversation(transcript))
    try:
        parse_query(loads(encoded(line)))
    except (ValueError, RecursionError):
        return {key: line[key] for key in ("id", "prompt", "prompts", "system") if key in line}
    return line


def _query(name: str, said: list[str]) -> Query:
    """Make the query that a conversation is so far."""
    return Query(id=name, prompt=said[0]) if len(said) == 1 else Query(id=name, prompts=[*said])


def _told(error: QueryError | RunError | None) -> str:
    """Say to the model why a call has no result."""
    if error is None:
        return STOPPED
    if error.kind is ErrorKind.SERVER_DIED:
        return "The server went away during this call."
    return f"This call was cut short: {error.kind}."


def _why(stop: str, error: QueryError | RunError | None) -> str:
    """Say why an answer ends where it does, in the place of the model's last words."""
    if stop == "stopped":
        return "stopped by the user"
    return f"cut short: {error.kind if error else stop}"
