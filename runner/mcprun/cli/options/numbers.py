"""Declare options for counts and times, with their defaults in human units."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from mcprun.cli.options.option import option
from mcprun.cli.options.types import default_text, option_type

_Command = TypeVar("_Command", bound=Callable[..., Any])


def count(*flags: str, default: int, **attributes: Any) -> Callable[[_Command], _Command]:
    """Declare an option for a whole number."""
    return _number(*flags, default=default, metavar="N", default_text=f"{default:,}", **attributes)


def seconds(*flags: str, default: float, **attributes: Any) -> Callable[[_Command], _Command]:
    """Declare an option for a time in seconds."""
    return _number(*flags, default=default, metavar="SECONDS", default_text=default_text(default), **attributes)


def _number(*flags: str, **attributes: Any) -> Callable[[_Command], _Command]:
    key = flags[-1].removeprefix("--").replace("-", "_")
    return option(*flags, type=option_type(key), **attributes)
