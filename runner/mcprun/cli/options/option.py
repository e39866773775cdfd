"""Declare options with a heading, a line of help, and details for the reference."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any, TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., Any])

MAX_HELP = 48
"""Maximum length of an option's help: what 80 columns leave beside the flags."""


class Heading(StrEnum):
    """The headings of options in `--help`, in order."""

    OPTIONS = "Options"
    MODEL = "Model"
    SERVER = "Server"
    AUTHENTICATION = "Authentication"
    SELECTION = "Selection"
    LIMITS = "Limits"
    RETRIES = "Retries"
    COMPARISON = "Replay and comparison"
    COVERAGE = "Coverage"
    ROUTING = "Routing"
    REPORTS = "Reports"
    SCALE = "Scale"


class HeadedOption(click.Option):
    """An option that `--help` shows on one line under a heading.

    Attributes:
        heading: The heading in `--help`.
        details: Sentences for the reference, which replace the line of help there.
        default_text: The default in human units, such as `10 min`. Help shows it if there is room.
    """

    def __init__(
        self, *args: Any, heading: Heading, details: str = "", default_text: str = "", **attributes: Any
    ) -> None:
        super().__init__(*args, **attributes)
        self.heading = heading
        self.details = details or f"{self.help}."
        self.default_text = default_text

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the flags with the value's name, and the line of help. The `--no-` form of a switch is left out."""
        if self.hidden:
            return None
        flags = ", ".join(sorted(self.opts, key=len))
        text = self.help or ""
        with_default = f"{text} [{self.default_text}]" if self.default_text else text
        return (
            flags if self.is_flag else f"{flags} {self.make_metavar(ctx)}",
            with_default if len(with_default) <= MAX_HELP else text,
        )

    def get_error_hint(self, ctx: click.Context | None) -> str:  # noqa: ARG002  click's signature
        """Return the long flag in quotes, as errors name an option."""
        return f"'{max(self.opts, key=len)}'"


def option(*flags: str, heading: Heading, **attributes: Any) -> Callable[[_Command], _Command]:
    """Declare an option under a heading. Accepts the attributes of `HeadedOption` and `click.option`."""
    cls = attributes.pop("cls", HeadedOption)
    return click.option(*flags, cls=cls, heading=heading, **attributes)
