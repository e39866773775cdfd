"""The format of a query's answers to elicitation requests (MCP, "Elicitation"). Pure."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import model_validator

from mcprun._util.json_value import JsonObject
from mcprun.checks.expect import Part
from mcprun.evaluation import evaluator
from mcprun.evaluation.patterns import compile_pattern

Action = Literal["accept", "decline", "cancel"]


class ElicitAnswer(Part):
    """One answer of a query's `elicit`, for the first request with a message in which `match` is found.

    `match` is a regular expression; without one, the answer fits any request. `content` fills in the form, and is
    allowed only with `accept`.
    """

    action: Action
    content: JsonObject | None = None
    match: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _written_short(cls, value: Any) -> Any:
        """Accept a bare action, or a bare content: an object with neither an `action` nor a `content` key."""
        if isinstance(value, str):
            return {"action": value}
        if isinstance(value, dict) and "action" not in value:
            return {"action": "accept", **(value if "content" in value else {"content": value})}
        return value

    @model_validator(mode="after")
    def _can_be_sent(self) -> Self:
        if self.content is not None and self.action != "accept":
            raise ValueError(f"has content, which is allowed only with action accept, not {self.action}")
        for name, value in (self.content or {}).items():
            if not is_form_value(value):
                raise ValueError(f"content.{name} must be a string, a number, true, false, null or a list of strings")
        if self.match is not None:
            try:
                compile_pattern(self.match)
            except ValueError as error:
                raise ValueError(f"match: {error}") from None
        return self

    def fits(self, message: str) -> bool:
        """Return whether this answers a request with `message`. Raises `EvaluationError` if `match` times out."""
        return self.match is None or evaluator.search(self.match, message) is not None


def is_form_value(value: Any) -> bool:
    """Return whether a form can hold a value (MCP, `ElicitResult.content`)."""
    if isinstance(value, list):
        return all(isinstance(item, str) for item in value)
    return value is None or isinstance(value, str | int | float)
