"""The steps of a query as reports show them: their names, what they asked for, and what they returned. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from mcprun._util.json_value import JsonObject
from mcprun.errors import ErrorKind
from mcprun.runs.transcript import StepCall, Transcript
from mcprun.tools.format import ValueFormatter

NOT_ASKED = "not asked, because a step before the conversation failed"
"""What the model did in a query whose error is of the kind `setup`."""

AFTER = "after"
"""The phase whose steps are checks. Their names begin with it: `after.closed`, `after[0]`."""


def named_steps(transcript: Transcript) -> Iterator[tuple[str, StepCall]]:
    """Yield the steps of a query, each with its name: `before.issue` with an id, else `after[1]`, its number."""
    counts = Counter[str]()
    for step in transcript.steps:
        yield step_name(step.phase, step.id, counts[step.phase]), step
        counts[step.phase] += 1


def step_name(phase: str, id_: str | None, number: int) -> str:
    """Return the name of a step, which is that of its check if it has one. `number` is its number in the phase."""
    return f"{phase}.{id_}" if id_ else f"{phase}[{number}]"


def step_title(step: StepCall) -> str:
    """Return what a step asked for: `get_issue{id: 17}` or `read issue://log`."""
    return f"read {step.resource}" if step.tool is None else f"{step.tool}{ValueFormatter().input(step.input)}"


def step_problem(transcript: Transcript, step: StepCall, message: str) -> str:
    """Return a message about a step with its tool or resource in place of its number, its id and its input.

    These differ between queries that fail by the same fault. A message about another step is returned unchanged.
    """
    formatter = ValueFormatter()
    of_phase = [one for one in transcript.steps if one.phase == step.phase]
    number = next(number for number, one in enumerate(of_phase) if one is step)
    place = f"{step.phase}[{number}]{f' ({step.id})' if step.id else ''}: "
    if not message.startswith(place):
        return message
    asked = step_title(step) if step.tool else f"resource {formatter.name(step.resource or '')}"
    return f"{step.tool or step.resource}: {message.removeprefix(place).removesuffix(f' ({asked})')}"


def step_content(step: StepCall) -> list[JsonObject]:
    """Return the result of a step as MCP content blocks. The text of a resource stands for itself."""
    return [item if "type" in item else _resource_block(item, step.resource) for item in step.content]


def is_after_check(check: str) -> bool:
    """Return whether a check is that of a step after the conversation."""
    return check.startswith((f"{AFTER}.", f"{AFTER}["))


def failing_step(transcript: Transcript) -> StepCall | None:
    """Return the step that fails a query: the last one before the conversation, or the first check of one after it.

    None if the query does not fail by a step.
    """
    if error := transcript.error:
        before = [step for step in transcript.steps if step.phase == "before"]
        return before[-1] if before and error.kind is ErrorKind.SETUP else None
    steps = dict(named_steps(transcript))
    return next((steps[one.check] for one in transcript.checks if not one.passed and one.check in steps), None)


def _resource_block(item: JsonObject, uri: str | None) -> JsonObject:
    """Return a content block for an item of `contents` (MCP, "Reading Resources")."""
    if isinstance(item.get("text"), str) and item.get("uri") in (uri, None):
        return {"type": "text", "text": item["text"]}
    return {"type": "resource", "resource": item}
