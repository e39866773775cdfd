"""A chat session: it sends the user's messages to the model, and writes an ordinary run. It has no terminal code.

Each conversation is a query whose user messages are not known in advance. It ends when the next one begins. After each
answer, all files are written as if it were the last one, so that no answer is lost if the process is killed.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from mcprun._util.deadline import Deadline
from mcprun._util.json_io import encode
from mcprun._util.json_text import finite, loads
from mcprun._util.json_value import JsonObject
from mcprun._util.run_stop import RunStop
from mcprun._util.surrogates import well_formed
from mcprun.chat.approval import Approval
from mcprun.chat.interrupted_turn import Checkpoint, close_interrupted_turn
from mcprun.chat.save import query_from_conversation
from mcprun.client.session import server_record
from mcprun.engine.attempts import QueryExecutor, leased
from mcprun.engine.conversation import Attempt, Conversation
from mcprun.engine.recorder import Recorder
from mcprun.engine.run import RunPlan
from mcprun.engine.tool_loop import COMPLETE_STOP_REASONS
from mcprun.errors import ErrorKind, QueryError, RunError
from mcprun.prompts.file import PromptsFile, QueryFilter, read_prompts
from mcprun.prompts.query import Query, parse_query
from mcprun.prompts.source import as_file
from mcprun.runs.directory import mark_latest
from mcprun.runs.events import AttemptRef, ExchangeEnd, QueryEnd, ToolCall
from mcprun.runs.run_record import RunRecord, ServerRecord
from mcprun.runs.transcript import Transcript
from mcprun.tools.results import STOPPED
from mcprun.tools.toolset import ToolSet

NAME = "chat"
"""The name of the prompts file in the run of a chat, and the prefix of conversation ids."""


@dataclass(frozen=True, slots=True)
class AnswerOutcome:
    """How the answer to a message ended.

    `stop` is the model's stop reason, `stopped` for an interruption by the user, or the kind of `error`. An answer that
    was cut short `has_turn` if it has calls, or a reply of the model.
    """

    stop: str
    has_turn: bool
    error: QueryError | RunError | None = None

    @property
    def is_whole(self) -> bool:
        """Whether the model itself ended the answer."""
        return self.stop in COMPLETE_STOP_REASONS


@dataclass(slots=True)
class _ChatConversation:
    """A conversation of the chat: the user's messages, the elapsed time in seconds, and the latest transcript."""

    id: str
    conversation: Conversation
    user_messages: list[str] = field(default_factory=list)
    elapsed: float = 0.0
    transcript: Transcript | None = None


class ChatSession:
    """A live chat, which answers one message at a time. `cancel_answer` may be called meanwhile."""

    def __init__(
        self, plan: RunPlan, recorder: Recorder, executor: QueryExecutor, approval: Approval, run_stop: RunStop
    ) -> None:
        self._plan = plan
        self._recorder = recorder
        self._executor = executor
        self._approval = approval
        self._run_stop = run_stop
        self._server = executor.servers.first
        self._lines: dict[str, JsonObject] = {}
        self._failed: set[str] = set()
        self._exchange: asyncio.Task[QueryError | RunError | None] | None = None
        self._current = self._next()

    @property
    def name(self) -> str:
        """The id of the current conversation, which is a query of the run."""
        return self._current.id

    @property
    def path(self) -> Path:
        """The run directory."""
        return self._recorder.journal.path

    @property
    def record(self) -> RunRecord:
        """The contents of `run.json`, final once the chat is over."""
        return self._recorder.record

    @property
    def is_answering(self) -> bool:
        """Whether an answer is in progress."""
        return self._exchange is not None

    @property
    def server(self) -> ServerRecord:
        """The server that was used last, with all of its tools. Secrets are redacted."""
        return self._plan.redactor.value(server_record(self._server))

    @property
    def tools(self) -> ToolSet:
        """The tools that the model may use."""
        return self._server.tools.only(self._plan.permit)

    @property
    def queries(self) -> list[JsonObject]:
        """The conversations so far, as lines of a prompts file, except those that failed."""
        return [line for name, line in self._lines.items() if name not in self._failed]

    @property
    def prompts(self) -> PromptsFile:
        """All conversations so far, as the prompts file of the run."""
        return prompts_of(self._lines.values())

    def cancel_answer(self) -> None:
        """Stop the answer in progress, if there is one."""
        if self._exchange:
            self._exchange.cancel()

    async def send(self, text: str) -> AnswerOutcome:
        """Send a message, and wait for the whole answer. Raises `RunError` if the chat cannot go on.

        The conversation stays usable however the answer ends: an unfinished exchange is completed or removed.
        """
        current, text = self._current, well_formed(text)
        start, began = Checkpoint.of(current.conversation), time.monotonic()
        self._exchange = asyncio.create_task(self._answer(text, current))
        try:
            await asyncio.wait({self._exchange})
        finally:
            task, self._exchange = self._exchange, None
            task.cancel()
            await asyncio.wait({task})
        error = None if task.cancelled() else task.result()
        stop = "stopped" if task.cancelled() else str(error.kind) if error else current.conversation.stop
        has_turn = close_interrupted_turn(
            current.conversation, start, error_text=_missing_result(error), why=_reason_for(stop, error)
        )
        if has_turn:
            current.user_messages.append(text)
        current.elapsed += time.monotonic() - began
        self._save(current, text, error)
        if self._run_stop.reason:
            raise self._run_stop.reason
        if isinstance(error, RunError):
            raise error
        return AnswerOutcome(stop, has_turn, error)

    def new(self) -> None:
        """End the conversation and begin another one, unless no message has been sent yet."""
        current = self._current
        if current.transcript:
            self._recorder.emit(
                QueryEnd(where=AttemptRef(current.id), seconds=current.elapsed, transcript=current.transcript)
            )
            self._current = self._next()

    def _next(self) -> _ChatConversation:
        return _ChatConversation(f"{NAME}-{len(self._lines) + 1}", Conversation(model=self._executor.loop.model.name))

    async def _answer(self, text: str, current: _ChatConversation) -> QueryError | RunError | None:
        """Send a message and run the tool loop. Return the error that ended it, if any."""
        query = _query(current.id, [*current.user_messages, text])
        deadline = Deadline(self._plan.limits.query_seconds)
        attempt = Attempt(query, AttemptRef(current.id), current.conversation, deadline)
        return await self._executor.error_of(attempt, self._converse(attempt, text))

    async def _converse(self, attempt: Attempt, text: str) -> None:
        limits, conversation = self._plan.limits, attempt.conversation

        async def approve(call: ToolCall) -> str:
            return await self._approval.request(call, self._server.tools.listed, attempt.deadline)

        # The limits of a query apply to each answer here: a chat may be long.
        max_turns, max_calls = len(conversation.turns) + limits.max_turns, len(conversation.calls) + limits.max_calls
        limits = replace(limits, max_turns=max_turns, max_calls=max_calls)
        loop = replace(self._executor.loop, limits=limits, approve=approve)
        async with leased(attempt, self._executor.servers.lease(exclusive=True)) as self._server:
            await loop.converse(attempt, self._server, [text])

    def _save(self, current: _ChatConversation, text: str, error: QueryError | RunError | None) -> None:
        """Make the transcript of the conversation so far, and write all files to disk."""
        conversation = current.conversation
        if current.user_messages:  # earlier answers stay valid, even if the last message failed
            query, error = _query(current.id, current.user_messages), None
        elif error:
            query = _query(current.id, [text])
            conversation = replace(conversation, messages=[{"role": "user", "content": text}], stop="error")
        else:
            return
        transcript = self._transcript(query, conversation, error, current.elapsed)
        # Evaluate the checks that the saved query will have, so that a replay gives the same bytes.
        query = parse_query(_line_of(transcript))
        transcript = self._transcript(query, conversation, error, current.elapsed)
        current.transcript = transcript
        self._failed = self._failed | {current.id} if error else self._failed - {current.id}
        is_first = not self._lines
        self._lines[current.id] = _line_of(self._plan.redactor.value(transcript))
        self._recorder.emit(ExchangeEnd(where=AttemptRef(current.id), seconds=current.elapsed, transcript=transcript))
        with self.prompts as prompts:
            self._recorder.record_prompts(prompts)
        if is_first:
            mark_latest(self._recorder.journal.path)

    def _transcript(
        self, query: Query, conversation: Conversation, error: QueryError | RunError | None, elapsed: float
    ) -> Transcript:
        """Check a conversation and return its transcript. A chat's expectations hold no patterns, so this is fast."""
        if not error:
            try:
                conversation.checks = self._executor.checks(query, conversation, elapsed)
            except Exception as fault:  # noqa: BLE001  one answer must not end the chat
                error = self._executor.fault("the checks could not be evaluated", fault, AttemptRef(query.id))
        return self._executor.transcript(query, AttemptRef(query.id), conversation, error)


def prompts_of(lines: Iterable[JsonObject]) -> PromptsFile:
    """Return the prompts file of a chat with these lines. It is empty for a chat that has just begun."""
    if lines := list(lines):
        return read_prompts(NAME, stored_path=as_file(lines))
    nothing = io.BytesIO()
    return PromptsFile(NAME, hashlib.sha256(b"").hexdigest(), {}, 0, 0, 0, nothing, QueryFilter())


def _line_of(transcript: Transcript) -> JsonObject:
    """Return the line of a prompts file that repeats a query, reduced to its prompts if it would be invalid."""
    line: JsonObject = finite(query_from_conversation(transcript))
    try:
        parse_query(loads(encode(line)))
    except (ValueError, RecursionError):
        return {key: line[key] for key in ("id", "prompt", "prompts", "system") if key in line}
    return line


def _query(name: str, messages: list[str]) -> Query:
    """Return the query of a conversation with these messages of the user."""
    return Query(id=name, prompt=messages[0]) if len(messages) == 1 else Query(id=name, prompts=[*messages])


def _missing_result(error: QueryError | RunError | None) -> str:
    """Return the error that the model gets for a call without a result."""
    if error is None:
        return STOPPED
    if error.kind is ErrorKind.SERVER_DIED:
        return "The connection to the server was lost during this call."
    return f"This call was cut short: {error.kind}."


def _reason_for(stop_reason: str, error: QueryError | RunError | None) -> str:
    """Return why an answer ended, as the text of its last turn."""
    if stop_reason == "stopped":
        return "stopped by the user"
    return f"cut short: {error.kind if error else stop_reason}"
