"""Lay out `--help`: options under headings, with the most used first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from mcprun.cli.options.option import HeadedOption, Heading


class HeadedCommand(click.Command):
    """A command whose help lists options under their headings. Those named by `first` come first, in that order."""

    def __init__(self, *args: Any, first: Iterable[str] = (), **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self._first = tuple(first)

    def sections(self, ctx: click.Context) -> dict[Heading, list[click.Option]]:
        """Return the visible options by heading, in the order of help."""
        found: dict[Heading, list[click.Option]] = {heading: [] for heading in Heading}
        for param in sorted(self.get_params(ctx), key=self._place):
            if isinstance(param, click.Option) and not param.hidden:
                found[self._heading(param)].append(param)
        return {heading: options for heading, options in found.items() if options}

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a section for each heading, with the texts of all sections in one column."""
        records = {
            heading: [record for one in options if (record := one.get_help_record(ctx))]
            for heading, options in self.sections(ctx).items()
        }
        width = max(len(flags) for rows in records.values() for flags, _ in rows)
        for heading, rows in records.items():
            with formatter.section(heading):
                formatter.write_dl([(flags.ljust(width), text) for flags, text in rows], col_max=width)

    def _place(self, param: click.Parameter) -> int:
        return self._first.index(param.name) if param.name in self._first else len(self._first)

    def _heading(self, param: click.Parameter) -> Heading:
        if param.name in self._first or not isinstance(param, HeadedOption):  # click adds --help
            return Heading.OPTIONS
        return param.heading
