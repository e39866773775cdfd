"""Describe what a run does while it runs, one line per event, for `--verbose`."""

from __future__ import annotations

from rich.text import Text

from mcprun.report.styles import AMBER
from mcprun.report.text import duration, one_line
from mcprun.runs.events import (
    AttemptRef,
    CallRetry,
    Event,
    JudgeCall,
    ModelCall,
    PromptGet,
    ResourceRead,
    Retry,
    ServerRequest,
    Step,
    ToolCall,
)
from mcprun.tools.format import ValueFormatter

_INPUT = 120
"""Maximum number of characters shown of a call and its input."""

_REASON = 300
"""Maximum number of characters shown of an error or a message."""


def activity(event: Event) -> Text | None:
    """Return a line for a call, a step, a request or a retry; None for other events.

    It begins with the kind in the column of the verdicts, and the query's id:
    `call    sum #0  add{a: 2, b: 3}  ok, 4 ms`.
    """
    match event:
        case ToolCall():
            call = f"#{event.call}  {one_line(f'{event.tool}{ValueFormatter().input(event.input)}', _INPUT)}"
            return _line("call", event, call, problem=event.problem or event.error, is_error=event.is_error)
        case Step():
            return _step(event)
        case CallRetry():
            call = "" if event.call is None else f"#{event.call}  "
            return _retry(event, f"{call}{one_line(event.tool, _INPUT)}", event.wait, event.problem)
        case Retry():
            return _retry(event, f"try {event.tried}", event.wait, event.error)
        case ModelCall() if event.usage or event.error:  # scripts and recordings use no tokens
            turn = "" if event.turn is None else f"{event.turn} "
            return _line("turn", event, f"{turn}{event.stop_reason or ''}".strip(), problem=event.error)
        case JudgeCall():
            return _line("judge", event, one_line(event.rubric, _INPUT), problem=event.error)
        case PromptGet():
            return _line("prompt", event, one_line(event.prompt, _INPUT), problem=event.problem or event.error)
        case ResourceRead():
            return _line("read", event, one_line(event.uri, _INPUT), problem=event.problem or event.error)
        case ServerRequest():
            response = one_line(event.reason or event.answer or "sent", _INPUT)
            message = one_line(event.message or "", _INPUT)
            return Text.assemble(("asked  ", "cyan"), f" {_query(event.where)}{event.kind}: {message}", f"  {response}")
    return None


def _step(event: Step) -> Text:
    """Return the line of a step, which has its phase in the column of the verdicts."""
    if event.tool is None:
        text = f"read {one_line(event.resource or '', _INPUT)}"
    else:
        text = one_line(f"{event.tool}{ValueFormatter().input(event.input or {})}", _INPUT)
    if event.skipped is not None:
        reason = (f"skipped: {one_line(event.skipped, _REASON)}", AMBER)
        return Text.assemble((f"{event.phase:<7}", "magenta"), f" {_query(event.where)}{text}  ", reason)
    problem = event.problem or event.error
    return _line(event.phase, event, text, problem=problem, is_error=event.is_error, style="magenta")


def _line(
    kind: str, event: Event, text: str, *, problem: str | None, is_error: bool = False, style: str = "cyan"
) -> Text:
    how = ("error", "red") if is_error or problem else ("ok", "green")
    reason = f": {one_line(problem, _REASON)}" if problem else ""
    took = f", {duration(event.seconds)}" if event.seconds is not None else ""
    return Text.assemble((f"{kind:<7}", style), f" {_query(event.where)}{text}  ", how, (f"{took}{reason}", "dim"))


def _retry(event: Event, text: str, wait: float, reason: str) -> Text:
    return Text.assemble(
        ("retry  ", AMBER),
        f" {_query(event.where)}{text}  ",
        (f"in {duration(wait)}: {one_line(reason, _REASON)}", "dim"),
    )


def _query(where: AttemptRef | None) -> str:
    """Return a query's id, with its repeat and its attempt if they are not the first; "" for none."""
    if where is None:
        return ""
    repeat = f" ({where.repeat})" if where.repeat > 1 else ""
    attempt = f", attempt {where.attempt}" if where.attempt > 1 else ""
    return f"{one_line(where.query, _INPUT)}{repeat}{attempt} "
