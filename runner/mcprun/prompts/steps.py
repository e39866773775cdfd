"""The format of a step: a call or read that mcprun makes itself before or after a conversation.

docs/steps.md describes it. `engine/steps.py` runs steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator

from mcprun._util.json_value import JsonObject
from mcprun.checks.expect import ExpectedCall, ExpectedText, NullableResult, Value
from mcprun.prompts.names import STEP, with_values
from mcprun.prompts.server_input import Uri

PHASES = ("before", "after", "cleanup")
"""The keys of a query that hold steps, in the order in which they run."""


def _check_id(value: str) -> str:
    if not value.strip() or not value.isprintable():
        raise ValueError("must be printable and not empty")
    return value


Id = Annotated[str, AfterValidator(_check_id)]
"""The id of a step or call, to which `$from` refers."""


class Step(NullableResult):
    """A call of a `tool`, or a read of a `resource`, and what its result must be.

    `result` and `text` are matchers of the result, as in `expect`. `is_error` is whether the call or read
    must fail.
    """

    id: Id | None = None
    tool: Annotated[str, Field(min_length=1)] | None = None
    input: JsonObject = Field(default_factory=dict)
    resource: Uri | None = None
    result: Value = None
    is_error: bool = False
    text: ExpectedText | None = None

    @model_validator(mode="after")
    def _is_call_or_read(self) -> Self:
        if (self.tool is None) is (self.resource is None):
            raise ValueError("must have either a tool, to call it, or a resource, to read it")
        if self.resource is not None and (only := {"input", "result"} & self.model_fields_set):
            hint = ": use `text`" if "result" in only else ""
            raise ValueError(f"has {', '.join(sorted(only))}, which only a step with a tool may have{hint}")
        return self

    @property
    def target(self) -> str:
        """The tool, or the URI of the resource."""
        return self.tool or self.resource or ""

    @property
    def expected_call(self) -> ExpectedCall:
        """What its call must return, as an expected call."""
        wanted: dict[str, Any] = {"tool": self.target, "is_error": self.is_error}
        return ExpectedCall.model_validate(wanted | ({"result": self.result} if self.expects_result else {}))

    def with_values(self, names: Mapping[str, Any]) -> Step:
        """Return the step with its names replaced, except those in the input, which `$from` may surround.

        Raises `ValidationError` if a value does not fit, such as a text that is no URI.
        """
        written = self.model_dump(exclude_unset=True)
        return Step.model_validate(written | with_values(_without_input(written), STEP, names))


def _without_input(written: JsonObject) -> JsonObject:
    return {key: value for key, value in written.items() if key != "input"}


Steps = Annotated[list[Step], Field(min_length=1)]
