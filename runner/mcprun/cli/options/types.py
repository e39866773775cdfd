"""The types of click's options, which read and check values as the kinds of `config/option_table.py` do."""

from __future__ import annotations

from typing import Any

import click

from mcprun.config.option_table import KINDS
from mcprun.option_kinds import Amount, Kind, Listed, OneOf, Whole


def option_type(key: str) -> click.ParamType[Any]:
    """Return the type of an option by its key, such as `call_timeout`."""
    return type_of(KINDS[key])


def type_of(kind: Kind) -> click.ParamType[Any]:
    """Return the type of options of a kind; of a list, that of its items."""
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
    """Read the text of a flag or a variable; check a value of a file, of an earlier run, or a default."""
    try:
        return kind.read(value) if isinstance(value, str) else kind.check(value)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from None


class _Whole(click.IntRange):
    """Help shows the lower bound."""

    def __init__(self, kind: Whole) -> None:
        super().__init__(min=kind.least)
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return _converted(self._kind, value, param, ctx)


class _Amount(click.FloatRange):
    """Help shows the lower bound."""

    def __init__(self, kind: Amount) -> None:
        super().__init__(min=0, min_open=True)
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return _converted(self._kind, value, param, ctx)


class _OneOf(click.Choice[str]):
    """Help and completion show the names."""

    def __init__(self, kind: OneOf) -> None:
        super().__init__(kind.names)
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return _converted(self._kind, value, param, ctx)


class _Other(click.types.StringParamType):
    """Texts, pairs and whatever else has no form of its own in the help."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return _converted(self._kind, value, param, ctx)
