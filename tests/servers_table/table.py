"""The table as Markdown, made of a record that is committed beside it: `record.json`. Pure, but for reading that."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from tests.servers_table.candidates import CANDIDATES, Registry, Transport

RECORD = Path(__file__).with_name("record.json")

BEGIN, END = "<!-- servers -->", "<!-- /servers -->"
"""What the table stands between."""

HEAD = ("server", "transport", "protocol", "tools", "time", "oddities")

_MANY_TOKENS = 10_000
"""Definitions that cost so much are told of."""


@dataclass(frozen=True)
class Row:
    """What was seen of a server.

    `version` is the package's, `reported_version` what the server reports. `tokens` is what its definitions cost in each
    request, `seconds` the median time from its start, or from connecting over HTTP, to its list of tools. `refused` are
    the tools of which the API would refuse something, `noise` tells that it printed on stdout what is no message,
    `stays` that it did not end with its stdin. `call` is the tool that was called, if any.
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
        """Take a row out of JSON."""
        return cls(**{**found, "refused": tuple(found["refused"])})

    @property
    def oddities(self) -> str:
        """What is odd, in words."""
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
        """The row of the table."""
        time = f"{self.seconds:.1f} s" if self.seconds >= 0.1 else f"{self.seconds:.2f} s"
        name = f"`{self.package}` {self.version}"
        return (name, self.transport, self.protocol, str(self.tools), time, self.oddities)


@dataclass(frozen=True)
class Record:
    """All rows, on what machine they were measured (in words), and with how many starts of each server."""

    machine: str
    starts: int
    rows: tuple[Row, ...]

    @classmethod
    def read(cls, file: Path = RECORD) -> Self:
        """Read what `text` wrote."""
        found = json.loads(file.read_bytes())
        return cls(found["machine"], found["starts"], tuple(map(Row.of, found["rows"])))

    def updated(self, other: Self) -> Self:
        """Take the rows of another record of the same machine, and what is noted of the candidates by now.

        The rows of servers that are no candidates any more go. Raises `ValueError` when it is of another machine, or of
        more or fewer starts.
        """
        if (self.machine, self.starts) != (other.machine, other.starts):
            raise ValueError(
                f"the record is of {self.starts} starts on {self.machine}: try all servers, or as many starts"
            )
        known = {(row.package, row.transport): row for row in (*self.rows, *other.rows)}
        places = {(one.package, one.transport): one.note for one in CANDIDATES}
        rows = (replace(known[place], note=note) for place, note in places.items() if place in known)
        return replace(self, rows=tuple(rows))

    @property
    def text(self) -> str:
        """The record as JSON."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"

    @property
    def markdown(self) -> str:
        """The table, with the lines that it stands between and where its times are from."""
        rows = [_line(row.cells) for row in self.rows]
        message = f"Times are medians of {self.starts} starts, on {self.machine}; over HTTP, of connecting."
        return "\n".join([BEGIN, _line(HEAD), "|---" * len(HEAD) + "|", *rows, "", message, END])


def replaced(document: str, table: str) -> str:
    """Put the table in the place of the one that a document has."""
    return re.sub(f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: table, document, count=1, flags=re.DOTALL)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
