"""The format of a query's `expect`, validated by pydantic. `checks/evaluate.py` evaluates it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from mcprun._util.json_text import levels
from mcprun._util.json_value import JsonObject, describe_kind
from mcprun.checks import matchers
from mcprun.evaluation.json_schema import check_users_schema
from mcprun.evaluation.patterns import compile_pattern


class Part(BaseModel):
    """A part of a query."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Expectation(Part):
    """A part of an expectation. Null is refused: it would check nothing and pass."""

    @field_validator("*", mode="before")
    @classmethod
    def _no_null(cls, value: Any, info: ValidationInfo) -> Any:
        if value is None and info.field_name != "result":  # a tool may return null
            raise ValueError("must not be null: give a value, or leave the key out")
        return value


_MAX_LEVELS = 200
"""Maximum nesting of an expected value, in levels: no message of a server has more (`nesting.MAX_DEPTH`)."""


def _good_matchers(value: Any) -> Any:
    if levels(value) > _MAX_LEVELS:
        raise ValueError(f"is nested more than {_MAX_LEVELS} levels deep")
    if problem := matchers.problem(value):
        raise ValueError(problem)
    return value


def _no_matcher(value: JsonObject) -> JsonObject:
    if matchers.is_matcher(value):
        raise ValueError("a matcher can replace a value in the input, not the whole input")
    return value


def _pattern(value: str) -> str:
    compile_pattern(value)
    return value


def _schema(value: JsonObject) -> JsonObject:
    try:
        check_users_schema(value)
    except ValueError as error:
        raise ValueError(f"is not a valid JSON Schema: {error}") from None
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    return value


def _one_or_many(value: Any) -> Any:
    if not isinstance(value, str | list):
        raise ValueError(f"must be a string or a list of strings, not {describe_kind(value)}")
    return [value] if isinstance(value, str) else value


Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[list[Text], BeforeValidator(_one_or_many), Field(min_length=1)]
Patterns = Annotated[
    list[Annotated[Text, AfterValidator(_pattern)]], BeforeValidator(_one_or_many), Field(min_length=1)
]
Value = Annotated[Any, AfterValidator(_good_matchers)]
MaxCount = Annotated[int, Field(ge=0)]


class NullableResult(Expectation):
    """Base of expectations with a `result`, which may be null."""

    @property
    def expects_result(self) -> bool:
        """Whether a result is expected. `null` can be expected too."""
        return "result" in self.model_fields_set

    @model_serializer(mode="wrap")
    def _with_expected_null(self, serialize: SerializerFunctionWrapHandler) -> JsonObject:
        """Serialize an expected result of `null`, which `exclude_defaults` would drop."""
        fields: JsonObject = serialize(self)
        return {**fields, "result": self.__dict__["result"]} if self.expects_result else fields


class ExpectedCall(NullableResult):
    """A call that must be made. `input` is a subset of the call's input, with `exact_input` all of it.

    `result` is the expected result, as text or structured. `is_error` is whether it must be an error.
    """

    tool: str = Field(min_length=1)
    input: Annotated[JsonObject, AfterValidator(_good_matchers), AfterValidator(_no_matcher)] = Field(
        default_factory=dict
    )
    exact_input: bool = False
    result: Value = None
    is_error: bool | None = None


class ExpectedText(Expectation):
    """The expectations of the model's final text. All of them must hold."""

    contains: Texts | None = None
    not_contains: Texts | None = None
    equals: str | None = None
    regex: Patterns | None = None
    json_schema: Annotated[JsonObject, AfterValidator(_schema)] | None = None

    @model_validator(mode="after")
    def _is_not_empty(self) -> Self:
        if not self.model_fields_set:
            raise ValueError(f"must have at least one of {', '.join(type(self).model_fields)}")
        return self


class Expect(Expectation):
    """A query's expectations. All of them must hold. `never` are name patterns (`fnmatch`) of tools.

    `match` is how to compare `calls`: exactly these in this order (`exact`), in this order with others in between
    (`in_order`), or in any order among others (`any_order`). An empty list means that no call may be made. `judge` are
    rubrics by which a model grades the conversation. `pass_rate` is the share of a query's repeats that must pass.
    """

    calls: list[ExpectedCall] | None = None
    match: Literal["exact", "in_order", "any_order"] = "in_order"
    text: ExpectedText | None = None
    never: Texts | None = None
    max_calls: MaxCount | None = None
    max_turns: Annotated[int, Field(ge=1)] | None = None
    max_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    max_output_tokens: MaxCount | None = None
    tool_errors: Literal["fail", "allow"] = "fail"
    judge: Texts | None = None
    pass_rate: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _match_has_calls(self) -> Self:
        if "match" in self.model_fields_set and self.calls is None:
            raise ValueError("has match, which needs calls")
        return self
