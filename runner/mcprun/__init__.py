"""mcprun: a batch runner and regression harness for MCP servers.

What stands in `__all__` is the Python interface (`api.py` describes it). It is imported when it is first used, so that
the command's help need not wait for it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcprun.api import Differences, compare_runs, run_batch
    from mcprun.compare import Change, Lens
    from mcprun.diff import QueryDiff, Tally
    from mcprun.ending import Ending
    from mcprun.errors import ErrorKind, ExitCode, McprunError, PromptsError, RunError, UsageError
    from mcprun.limits import Limits
    from mcprun.planning import Options
    from mcprun.records import Call, Check, Transcript, Verdict
    from mcprun.rundir import Run
    from mcprun.scrub import Scrubber
    from mcprun.toolchanges import ToolChange

__version__ = "0.1.0"

_HOMES = {
    "api": ("Differences", "compare_runs", "run_batch"),
    "compare": ("Change", "Lens"),
    "diff": ("QueryDiff", "Tally"),
    "ending": ("Ending",),
    "errors": ("ErrorKind", "ExitCode", "McprunError", "PromptsError", "RunError", "UsageError"),
    "limits": ("Limits",),
    "planning": ("Options",),
    "records": ("Call", "Check", "Transcript", "Verdict"),
    "rundir": ("Run",),
    "scrub": ("Scrubber",),
    "toolchanges": ("ToolChange",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Call",
    "Change",
    "Check",
    "Differences",
    "Ending",
    "ErrorKind",
    "ExitCode",
    "Lens",
    "Limits",
    "McprunError",
    "Options",
    "PromptsError",
    "QueryDiff",
    "Run",
    "RunError",
    "Scrubber",
    "Tally",
    "ToolChange",
    "Transcript",
    "UsageError",
    "Verdict",
    "compare_runs",
    "run_batch",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'mcprun' has no attribute {name!r}")
    return getattr(importlib.import_module(f"mcprun.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
