"""The configuration that queries are run with. It is known before a server is started or an SDK is imported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from mcprun._util.json_value import JsonObject
from mcprun._util.similar_names import similar_name
from mcprun.analysis.diff.scrub import Scrubber
from mcprun.client.request_owner import ClientFeatures
from mcprun.client.target import Target
from mcprun.engine.skipped_transcripts import emptied, skipped_transcript
from mcprun.errors import ErrorKind, RunError, UsageError, describe
from mcprun.limits import AUTO, Limits
from mcprun.models.select import SelectedModel
from mcprun.prompts.query import Query
from mcprun.runs.redaction import Redactor
from mcprun.runs.run_record import RouteRecord
from mcprun.runs.transcript import Transcript
from mcprun.tools.toolset import ToolFilter, ToolSet


@dataclass(frozen=True, kw_only=True)
class WorkerConfig:
    """The configuration that queries are run with. It holds plain values, which can be sent to another machine.

    `on_divergence` is what to do with a query whose replayed call differs from the recording. The `scrubber` removes
    the values to ignore in that comparison. With a `route`, queries are only routed.
    """

    target: Target
    protocol: str = AUTO
    model: SelectedModel
    judge: SelectedModel | None = None
    limits: Limits = field(default_factory=Limits)
    system: str | None = None
    allow_tool_errors: bool = False
    permit: ToolFilter = field(default_factory=ToolFilter)
    features: ClientFeatures = field(default_factory=ClientFeatures)
    servers: int = 1
    fresh_server: bool = False
    redactor: Redactor = field(default_factory=Redactor)
    scrubber: Scrubber = field(default_factory=Scrubber)
    on_divergence: Literal["continue", "fail", "stop"] = "continue"
    route: RouteRecord | None = None

    def skipped(self, query: Query, repeat: int, reason: RunError) -> Transcript:
        """Return the transcript of a query that was not run."""
        return skipped_transcript(query, repeat, reason, system=self.system, model=self.model.record.name)

    def faulted(self, query: Query, repeat: int, error: BaseException) -> Transcript:
        """Return the transcript of a query that ended in an unexpected exception outside any attempt."""
        message = f"internal error in mcprun: {describe(error)}"
        return emptied(self.skipped(query, repeat, RunError(ErrorKind.FAULT, message)), message)

    def check_tool_choice(self, listed: Sequence[JsonObject]) -> None:
        """Raise `UsageError` if `--tool-choice` names a tool that the model may not use.

        The API rejects every request with such a choice. `listed` holds the server's tools in wire form.
        """
        name = self.model.settings.named_tool
        if name is None or not self.model.record.is_asked:
            return
        usable = ToolSet.of(listed).only(self.permit).names.values()
        if name in usable:
            return
        if any(tool["name"] == name for tool in listed):
            why = "is excluded by --allow-tool, --deny-tool or --read-only, or cannot be sent: see mcprun tools --lint"
        elif close := similar_name(name, usable):
            why = f"is not a tool of the server; did you mean {close}?"
        else:
            why = f"is not a tool of the server; available: {', '.join(sorted(usable)) or 'none'}"
        raise UsageError(f"--tool-choice: {name} {why}")
