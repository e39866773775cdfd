"""The routing of a finished run, as `run.json` holds it under `route.outcome`."""

from __future__ import annotations

from pydantic import Field

from mcprun.runs.record_base import Record


class RateRecord(Record):
    """`done` of `total`. `interval` is the 95 % confidence interval of the true share; None of nothing."""

    done: int
    total: int
    interval: tuple[float, float] | None = None


class ToolRoutingRecord(Record):
    """How often one tool is called rightly (`precision`), called when expected (`recall`), and with the right input."""

    tool: str
    precision: RateRecord
    recall: RateRecord
    inputs: RateRecord


class MatrixCell(Record):
    """How many first turns expected one tool and called another: `(none)` is no tool, `(several)` more than one."""

    expected: str
    called: str
    count: int


class DefinitionsRecord(Record):
    """The mean tokens that the definitions of the tools cost in each request, and the part of them that decoys cost."""

    per_request: int
    decoys_per_request: int


class RoutingOutcome(Record):
    """The graded first turns of a run, added up. The fields are those of `mcprun.Routing` and its matrix.

    `definitions` is None if the API reported no usage, as with scripts.
    """

    accuracy: RateRecord
    inputs: RateRecord
    ungraded: int
    errors: int
    unused: dict[str, int] = Field(default_factory=dict)
    definitions: DefinitionsRecord | None = None
    tools: list[ToolRoutingRecord]
    matrix: list[MatrixCell]
