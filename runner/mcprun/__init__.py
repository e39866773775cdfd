"""mcprun: a batch runner and regression harness for MCP servers.

The names in `__all__` are the Python interface (`_api.py` describes it). They are imported on first use, so that the
command's help does not have to wait for them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mcprun._version import __version__ as __version__

if TYPE_CHECKING:
    from mcprun._api import Differences, compare_runs, measure_coverage, measure_routing, run_batch, run_batch_sync
    from mcprun._util.run_stop import RunStop
    from mcprun.analysis.coverage.coverage import ArgumentCoverage, Coverage, ToolCoverage
    from mcprun.analysis.diff.runs import DiffSummary, QueryDiff
    from mcprun.analysis.diff.scrub import Scrubber
    from mcprun.analysis.diff.transcripts import Change, CompareOptions
    from mcprun.analysis.routing.matrix import RoutingMatrix, ToolRouting
    from mcprun.analysis.routing.measure import Routing
    from mcprun.engine.options import Options
    from mcprun.errors import ErrorKind, ExitCode, McprunError, PromptsError, RunError, UsageError
    from mcprun.limits import Limits
    from mcprun.runs.run import Run
    from mcprun.runs.transcript import Call, Check, Transcript, Verdict
    from mcprun.tools.changes import ToolChange


_HOMES = {
    "_api": ("Differences", "compare_runs", "measure_coverage", "measure_routing", "run_batch", "run_batch_sync"),
    "analysis.coverage.coverage": ("ArgumentCoverage", "Coverage", "ToolCoverage"),
    "analysis.routing.matrix": ("RoutingMatrix", "ToolRouting"),
    "analysis.routing.measure": ("Routing",),
    "analysis.diff.transcripts": ("Change", "CompareOptions"),
    "analysis.diff.runs": ("QueryDiff", "DiffSummary"),
    "_util.run_stop": ("RunStop",),
    "errors": ("ErrorKind", "ExitCode", "McprunError", "PromptsError", "RunError", "UsageError"),
    "limits": ("Limits",),
    "engine.options": ("Options",),
    "runs.transcript": ("Call", "Check", "Transcript", "Verdict"),
    "runs.run": ("Run",),
    "analysis.diff.scrub": ("Scrubber",),
    "tools.changes": ("ToolChange",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "ArgumentCoverage",
    "Call",
    "Change",
    "Check",
    "CompareOptions",
    "Coverage",
    "DiffSummary",
    "Differences",
    "ErrorKind",
    "ExitCode",
    "Limits",
    "McprunError",
    "Options",
    "PromptsError",
    "QueryDiff",
    "Routing",
    "RoutingMatrix",
    "Run",
    "RunError",
    "RunStop",
    "Scrubber",
    "ToolChange",
    "ToolCoverage",
    "ToolRouting",
    "Transcript",
    "UsageError",
    "Verdict",
    "compare_runs",
    "measure_coverage",
    "measure_routing",
    "run_batch",
    "run_batch_sync",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'mcprun' has no attribute {name!r}")
    return getattr(importlib.import_module(f"mcprun.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
