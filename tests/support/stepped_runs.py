"""Build transcripts of queries with steps before and after their conversation, and the traces of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mcprun.report.steps import step_title
from mcprun.runs.transcript import Check, StepCall, Transcript, Verdict
from tests.support.runs import JsonObject, broken, call, event, transcript


def step(phase: str, target: str, *content: JsonObject | str, **more: Any) -> StepCall:
    """Return a call of a tool or, if `target` is a URI, a read. A string in `content` is text of the result."""
    is_read = "://" in target
    blocks = [
        item
        if not isinstance(item, str)
        else {"uri": target, "text": item}
        if is_read
        else {"type": "text", "text": item}
        for item in content
    ]
    plain: dict[str, Any] = {"phase": phase, "step": 0, "is_error": False, "content": blocks}
    plain |= {"resource": target} if is_read else {"tool": target}
    return StepCall.model_validate({**plain, **more})


def create_issue(**more: Any) -> StepCall:
    """Return a successful step before the conversation, with the id `issue`."""
    plain: dict[str, Any] = {
        "id": "issue",
        "input": {"title": "Broken u0a1b2c3d4e5"},
        "structured": {"id": 17, "status": "open"},
    }
    return step("before", "create_issue", '{"id":17,"status":"open"}', **{**plain, **more})


def closed(name: str = "close", **more: Any) -> Transcript:
    """Return a query with steps of each phase, all of which passed."""
    steps = [
        create_issue(),
        step("after", "get_issue", '{"status":"closed"}', id="state", input={"id": 17}),
        step("after", "issue://log", "17 closed", step=1),
        step("cleanup", "delete_issue", "Deleted.", input={"id": 17}),
    ]
    checks = [Check(check=name, passed=True) for name in ("ended", "after.state", "after[1]")]
    plain: dict[str, Any] = {
        "prompt": "Close issue {{number}}.",
        "vars": {"number": 17},
        "steps": steps,
        "checks": checks,
    }
    made = transcript(name, call("close_issue", "ok", input={"id": 17}), text="Closed.", **{**plain, **more})
    sent = [{"role": "user", "content": "Close issue 17."}, *made.messages[1:]]
    return made.model_copy(update={"messages": sent})


def still_open(name: str = "forgetful") -> Transcript:
    """Return a query whose step `after.state` found another state than expected, and whose cleanup failed."""
    one = closed(name)
    steps = [
        one.steps[0],
        one.steps[1].model_copy(update={"content": [{"type": "text", "text": '{"status":"open"}'}]}),
        one.steps[2],
        step("cleanup", "delete_issue", "Issue 17 is locked", input={"id": 17}, is_error=True),
    ]
    message = 'after.state: result at /status: expected "closed", got "open" (get_issue{id: 17})'
    checks = [
        Check(check="ended", passed=True),
        Check(check="after.state", passed=False, message=message),
        Check(check="after[1]", passed=True),
    ]
    return one.model_copy(update={"verdict": Verdict.FAILED, "steps": steps, "checks": checks})


def not_set_up(name: str = "no-issue", text: str = "database is locked", title: str = "Broken") -> Transcript:
    """Return a query whose step before the conversation failed, so that the model was not asked."""
    made = create_issue(
        input={"title": title}, content=[{"type": "text", "text": text}], structured=None, is_error=True
    )
    message = f'before.issue: expected no error, got "{text}" ({step_title(made)})'
    nothing: dict[str, Any] = {"messages": [], "turns": [], "text": "", "prompt": "Close issue {{number}}."}
    return broken(name, "setup", message, steps=[made], **nothing)


def step_events(one: Transcript, begin: int = 0, milliseconds: int = 20) -> Iterable[JsonObject]:
    """Yield the events of a query: its steps, its turns with their calls, and its end, one after the other."""
    where, at = {"query": one.id, "repeat": one.repeat}, begin

    def took(name: str, **more: Any) -> JsonObject:
        nonlocal at
        at += milliseconds
        return event(name, at, **where, seconds=milliseconds / 1000, **more)

    def steps(*phases: str) -> Iterable[JsonObject]:
        for made in (step for step in one.steps if step.phase in phases):
            kept = made.model_dump(
                include={"id", "tool", "resource", "input", "is_error", "problem"}, exclude_none=True
            )
            yield took("step", phase=made.phase, step=made.step, server=1, log_offset=0, **kept)

    yield from steps("before")
    for turn in range(len(one.turns)):
        yield took("model_call", turn=turn, model="script")
        for number, made in enumerate(one.calls):
            if made.turn == turn:
                kept = {"tool": made.tool, "input": made.input, "is_error": made.is_error}
                yield took("tool_call", turn=turn, call=number, server=1, log_offset=0, **kept)
    yield from steps("after")
    yield from steps("cleanup")
    elapsed = (at - begin) / 1000
    yield event("attempt_end", at, **where, seconds=elapsed, waited=0.0, stop=one.stop)
    yield event("query_end", at, **where, seconds=elapsed, verdict=one.verdict)
