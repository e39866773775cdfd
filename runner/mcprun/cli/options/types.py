"""Click parameter types that parse and check values by the kinds in `config/option_table.py`."""

from __future__ import annotations

from typing import Any, TypeAlias

import click

from mcprun.config.option_table import KINDS
from mcprun.option_kinds import Amount, Kind, Listed, OneOf, Whole

ParamType: TypeAlias = Any
"""A `click.ParamType`, which takes type arguments in newer versions of click only."""


def option_type(key: str) -> ParamType:
    """Return the type of an option by its key, such as `call_timeout`."""
    return type_of(KINDS[key])


def type_of(kind: Kind) -> ParamType:
    """Return the type of a kind; for a list, that of its items."""
    match kind.item if isinstance(kind, Listed) else kind:
        case Whole() as whole:
            return _Whole(whole)
        case Amount() as amount:
            return _Amount(amount)
        case OneOf() as one_of:
            return _OneOf(one_of)
        case other:
            return _Other(other)


def _converted(kind: Kind, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
    """Parse the text of a flag or a variable, or check a value from a file, a resumed run or a default."""
    try:
        return kind.read(value) if isinstance(value, str) else kind.check(value)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from None


class _Whole(click.IntRange):
    """An integer, whose lower bound help shows."""

    def __init__(self, kind: Whole) -> None:
        super().__init__(min=kind.least)
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return _converted(self._kind, value, param, ctx)


class _Amount(click.FloatRange):
    """A number, whose lower bound help shows."""

    def __init__(self, kind: Amount) -> None:
        super().__init__(min=0, min_open=True)
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return _converted(self._kind, value, param, ctx)


class _OneOf(click.Choice[str]):
    """One of several names, which help and completion show."""

    def __init__(self, kind: OneOf) -> None:
        super().__init__(kind.names)
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return _converted(self._kind, value, param, ctx)


class _Other(click.types.StringParamType):
    """Texts, pairs and other kinds that help does not describe."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return _converted(self._kind, value, param, ctx)
