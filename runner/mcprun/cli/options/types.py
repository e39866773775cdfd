"""Click parameter types that parse and check values by the kinds in `config/option_table.py`."""

from __future__ import annotations

from typing import Any, TypeAlias

import click

from mcprun.config.option_table import KINDS
from mcprun.option_kinds import Kind, Listed, OneOf

ParamType: TypeAlias = Any
"""A `click.ParamType`, which takes type arguments in newer versions of click only."""


def option_type(key: str) -> ParamType:
    """Return the type of an option by its key, such as `call_timeout`."""
    return type_of(KINDS[key])


def type_of(kind: Kind) -> ParamType:
    """Return the type of a kind; for a list, that of its items."""
    item = kind.item if isinstance(kind, Listed) else kind
    return _OneOf(item) if isinstance(item, OneOf) else _Value(item)


def default_text(value: float) -> str:
    """Format a default in seconds for help, in the largest unit without a remainder: `30 s`, `10 min`, `7 days`."""
    for unit, seconds in (("days", 86_400), ("h", 3600), ("min", 60)):
        if value >= seconds and value % seconds == 0:
            return f"{value / seconds:g} {unit}"
    return f"{value:g} s"


def _converted(kind: Kind, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
    """Parse the text of a flag or a variable, or check a value from a file, a resumed run or a default."""
    try:
        return kind.read(value) if isinstance(value, str) else kind.check(value)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from None


class _OneOf(click.Choice[str]):
    """One of several names, which help and completion show."""

    def __init__(self, kind: OneOf) -> None:
        super().__init__(kind.names)
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return _converted(self._kind, value, param, ctx)


class _Value(click.types.StringParamType):
    """A number, a text, a pair or any other kind that help describes by the option's metavar."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return _converted(self._kind, value, param, ctx)
