"""The format of a query's `script`: the turns that a model would take, for `--model script`."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from mcprun._util.json_value import JsonObject
from mcprun.checks.expect import Part
from mcprun.prompts.steps import Id


class ScriptCall(Part):
    """A call that the script makes. A value `{"$from": …}` is replaced with a part of an earlier result."""

    id: Id | None = None
    tool: str = Field(min_length=1)
    input: JsonObject = Field(default_factory=dict)

    @property
    def is_literal(self) -> bool:
        """Whether it certainly has neither an id nor a reference; an input with objects may have one."""
        nested = any(key.startswith("$") or isinstance(item, dict | list) for key, item in self.input.items())
        return self.id is None and not nested


class ScriptTurn(Part):
    """One turn of the script: text, calls, or both."""

    text: str = ""
    calls: list[ScriptCall] = Field(default_factory=list)

    @model_validator(mode="after")
    def _is_not_empty(self) -> Self:
        if not self.text.strip() and not self.calls:
            raise ValueError("must have text or calls")
        return self
