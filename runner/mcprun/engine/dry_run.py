"""Check the queries of a prompts file against a live server without running them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mcprun.client.connector import ConnectOptions
from mcprun.client.inspect import list_all
from mcprun.client.target import Target
from mcprun.engine.run import RunPlan
from mcprun.prompts.file import PromptsFile, place_of
from mcprun.prompts.live_check import LiveChecker
from mcprun.runs.events import Event
from mcprun.runs.redaction import Redactor
from mcprun.runs.run_record import ServerRecord
from mcprun.tools.toolset import ToolFilter, ToolSet

_MAX_FINDINGS = 1000
"""Maximum problems and maximum warnings that are kept: a million lines may have the same mistake."""


@dataclass(frozen=True, slots=True)
class DryRun:
    """The result of a check: what the server is, and `FILE:LINE: field: message` for each problem and warning."""

    server: ServerRecord
    problems: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRunPlan:
    """What to check: the prompts, the server and how to connect to it, and the tools that may be used."""

    prompts: PromptsFile
    target: Target
    redactor: Redactor
    connect: ConnectOptions
    permit: ToolFilter

    @classmethod
    def of(cls, plan: RunPlan) -> DryRunPlan:
        """Return what to check before a run."""
        return cls(
            prompts=plan.prompts,
            target=plan.target,
            redactor=plan.redactor,
            connect=ConnectOptions(
                timeout_s=plan.limits.connect_seconds,
                protocol=plan.protocol,
                features=plan.features,
                max_bytes=plan.limits.max_result_bytes,
                max_call_s=plan.limits.max_total_call_seconds,
            ),
            permit=plan.permit,
        )

    async def check(self, watch: Callable[[Event], None]) -> DryRun:
        """Connect to the server, list what it has, disconnect, and check each selected query.

        `watch` is called with each event. Raises `RunError` if the server can't be reached.
        """
        lists_all = any(query.lists_server for query in self.prompts.queries())
        server, catalog = await list_all(self.target, self.redactor, self.connect, watch, lists_all=lists_all)
        checker = LiveChecker(ToolSet.of(server.tools, server.malformed), catalog, self.permit)
        name = self.prompts.name
        found: dict[bool, list[str]] = {True: [], False: []}
        for line, query in self.prompts.numbered_queries():
            for finding in checker.findings(query):
                kept = found[finding.is_warning]
                if len(kept) < _MAX_FINDINGS:
                    kept.append(f"{place_of(name, line, finding.field)}: {finding.message}")
        failed = [f"not checked: {reason}" for reason in catalog.failed.values()] if catalog else []
        return DryRun(server, tuple(found[False]), (*failed, *found[True]))
