"""The table as Markdown, generated from `record.json` in this folder. Reading that file is the only I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from tests.servers_table.candidates import CANDIDATES, Registry, Transport

RECORD = Path(__file__).with_name("record.json")

BEGIN, END = "<!-- servers -->", "<!-- /servers -->"
"""The markers around the table."""

HEAD = ("server", "transport", "protocol", "tools", "time", "oddities")

_MANY_TOKENS = 10_000
"""Definitions with at least so many tokens are listed as an oddity."""


@dataclass(frozen=True)
class Row:
    """The results of a server.

    Args:
        version: The version of the package.
        reported_version: The version that the server reports.
        tokens: The tokens of its tool definitions in each request.
        seconds: The median time from its start, or from connecting over HTTP, to its list of tools.
        refused: The tools with features that the API refuses.
        noise: Whether it wrote non-protocol output to stdout.
        stays: Whether it kept running after its stdin was closed.
        call: The tool that was called, if any.
    """

    package: str
    registry: Registry
    version: str
    transport: Transport
    protocol: str
    reported_version: str
    tools: int
    tokens: int
    seconds: float
    refused: tuple[str, ...] = ()
    noise: bool = False
    stays: bool = False
    call: str | None = None
    note: str = ""

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Self:
        """Build a row from its JSON object."""
        return cls(**{**found, "refused": tuple(found["refused"])})

    @property
    def oddities(self) -> str:
        """The text of the column `oddities`."""
        odd = []
        if self.reported_version != self.version:
            odd.append(f"reports version {self.reported_version}" if self.reported_version else "reports no version")
        if self.tokens >= _MANY_TOKENS:
            odd.append(f"about {round(self.tokens, -3):,} tokens of definitions")
        if self.refused:
            count = len(self.refused)
            odd.append(f"{count} {'tool has' if count == 1 else 'tools have'} features that the API refuses")
        if self.noise:
            odd.append("writes non-protocol output to stdout")
        if self.stays:
            odd.append("keeps running after its stdin is closed")
        return "; ".join([*odd, *filter(None, [self.note])])

    @property
    def cells(self) -> tuple[str, ...]:
        """The cells of the row."""
        time = f"{self.seconds:.1f} s" if self.seconds >= 0.1 else f"{self.seconds:.2f} s"
        name = f"`{self.package}` {self.version}"
        return (name, self.transport, self.protocol, str(self.tools), time, self.oddities)


@dataclass(frozen=True)
class Record:
    """All rows, a description of the machine, and the number of starts of each server."""

    machine: str
    starts: int
    rows: tuple[Row, ...]

    @classmethod
    def read(cls, file: Path = RECORD) -> Self:
        """Read a record that was written as `text`."""
        found = json.loads(file.read_bytes())
        return cls(found["machine"], found["starts"], tuple(map(Row.of, found["rows"])))

    def updated(self, other: Self) -> Self:
        """Return this record with the rows of another one and the current notes of the candidates.

        Rows of former candidates are dropped. Raise `ValueError` if the other record has a different machine or number
        of starts.
        """
        if (self.machine, self.starts) != (other.machine, other.starts):
            raise ValueError(f"the record has {self.starts} starts on {self.machine}: use as many, or test all servers")
        known = {(row.package, row.transport): row for row in (*self.rows, *other.rows)}
        notes = {(one.package, one.transport): one.note for one in CANDIDATES}
        rows = (replace(known[place], note=note) for place, note in notes.items() if place in known)
        return replace(self, rows=tuple(rows))

    @property
    def text(self) -> str:
        """The record as JSON."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"

    @property
    def markdown(self) -> str:
        """The table in Markdown with its markers, followed by a line about the times."""
        rows = [_line(row.cells) for row in self.rows]
        message = f"Times are medians of {self.starts} starts, on {self.machine}; over HTTP, of connecting."
        return "\n".join([BEGIN, _line(HEAD), "|---" * len(HEAD) + "|", *rows, "", message, END])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
