"""Add up the first turns of a routed run that has finished, and record the outcome in the run directory."""

from __future__ import annotations

from pathlib import Path

from mcprun._util.json_io import dump_indented, write_file
from mcprun.analysis.routing.definitions import DefinitionTokens
from mcprun.analysis.routing.matrix import Label, Rate
from mcprun.analysis.routing.measure import Routing, measure_routing
from mcprun.engine.run import RunResult
from mcprun.engine.run_outcome import with_outcome
from mcprun.runs.directory import RUN
from mcprun.runs.routing_record import DefinitionsRecord, MatrixCell, RateRecord, RoutingOutcome, ToolRoutingRecord
from mcprun.runs.run import Run
from mcprun.runs.run_record import RunRecord


def record_routing(result: RunResult) -> RunResult:
    """Return a run with the outcome of its routing recorded, if it is routed and has finished.

    If that fails, the returned run ended in an error.
    """
    return with_outcome(result, with_routing, "the routing of the run could not be recorded")


def with_routing(path: Path, record: RunRecord) -> RunRecord:
    """Return the record of the run at `path` with the outcome of its routing, and replace `run.json` by it.

    Raises `UsageError` if the run can't be read, `OSError` if `run.json` can't be written.
    """
    if record.route is None or record.state != "finished":
        return record
    route = record.route.model_copy(update={"outcome": outcome_of(measure_routing(Run(path, record)))})
    measured = record.model_copy(update={"route": route})
    write_file(path / RUN, dump_indented(measured.line()))
    return measured


def outcome_of(routing: Routing) -> RoutingOutcome:
    """Return a routing as `run.json` holds it."""
    matrix = routing.matrix
    cells = matrix.cells
    return RoutingOutcome(
        accuracy=_rate(matrix.accuracy),
        inputs=_rate(matrix.inputs),
        ungraded=routing.ungraded,
        errors=routing.errors,
        unused=dict(sorted(routing.unused.items())),
        definitions=_definitions(routing.definitions),
        tools=[
            ToolRoutingRecord(
                tool=one.tool, precision=_rate(one.precision), recall=_rate(one.recall), inputs=_rate(one.inputs)
            )
            for one in matrix.tools
        ],
        matrix=[
            MatrixCell(expected=_name(row), called=_name(column), count=count)
            for row in matrix.rows
            for column in matrix.columns
            if (count := cells.get((row, column), 0))
        ],
    )


def _definitions(definitions: DefinitionTokens) -> DefinitionsRecord | None:
    per_request, of_decoys = definitions.per_request, definitions.decoys_per_request
    if per_request is None or of_decoys is None:
        return None
    return DefinitionsRecord(per_request=per_request, decoys_per_request=of_decoys)


def _rate(rate: Rate) -> RateRecord:
    return RateRecord(done=rate.done, total=rate.total, interval=rate.interval)


def _name(label: Label) -> str:
    name, is_tool = label
    return name if is_tool else f"({name})"
