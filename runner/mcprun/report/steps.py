"""The steps of a query as reports show them: their names, what they asked for, and what they returned. Pure."""

from __future__ import annotations

from mcprun._util.json_value import JsonObject
from mcprun.errors import ErrorKind
from mcprun.runs.transcript import StepCall, Transcript
from mcprun.tools.format import ValueFormatter

NOT_ASKED = "not asked, because a step before the conversation failed"
"""What the model did in a query whose error is of the kind `setup`."""

AFTER = "after"
"""The phase whose steps are checks. Their names begin with it: `after.closed`, `after[0]`."""


def step_title(step: StepCall) -> str:
    """Return what a step asked for: `get_issue{id: 17}` or `read issue://log`."""
    return f"read {step.resource}" if step.tool is None else f"{step.tool}{ValueFormatter().input(step.input)}"


def step_problem(step: StepCall, message: str) -> str:
    """Return a message about a step with its tool or resource in place of its name, and without its input.

    These differ between queries that fail by the same fault. A message about another step is returned unchanged.
    """
    if not message.startswith(f"{step.name}: "):
        return message
    problem = message.removeprefix(f"{step.name}: ").removesuffix(_asked(step))
    phase = "" if step.phase == "before" else f"{step.phase}: "  # an error of the kind `setup` names its phase
    return f"{phase}{step.tool or step.resource}: {problem}"


def _asked(step: StepCall) -> str:
    """Return the end of a message about a step: what it asked for, in parentheses."""
    return f" ({step_title(step)})" if step.tool else f" (resource {ValueFormatter().name(step.resource or '')})"


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
    steps = {step.name: step for step in transcript.steps}
    return next((steps[one.check] for one in transcript.checks if not one.passed and one.check in steps), None)


def is_unmet(transcript: Transcript, step: StepCall) -> bool:
    """Return whether a step fails its query or, in the cleanup, returned an error. A step may be expected to fail."""
    if step.phase == "cleanup":
        return step.is_error
    if step.phase == AFTER:
        return any(not check.passed and check.check == step.name for check in transcript.checks)
    return step is failing_step(transcript)


def _resource_block(item: JsonObject, uri: str | None) -> JsonObject:
    """Return a content block for an item of `contents` (MCP, "Reading Resources")."""
    if isinstance(item.get("text"), str) and item.get("uri") in (uri, None):
        return {"type": "text", "text": item["text"]}
    return {"type": "resource", "resource": item}
