"""The routing of a pytest session: how often the model picks the right tool in all routed runs together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcprun.pytest_plugin.session_coverage import SessionCoverage

if TYPE_CHECKING:
    import pytest

_CONFUSIONS = 5
"""Maximum confusions that are listed."""


def print_session_routing(reporter: pytest.TerminalReporter) -> None:
    """Print how often the model picks the right tool, if a prompts file was routed. Unreadable runs are left out."""
    runs = SessionCoverage.of(reporter.config).runs
    if not runs:
        return

    from contextlib import suppress

    from mcprun.analysis.routing.definitions import definitions_of
    from mcprun.analysis.routing.measure import Routing
    from mcprun.errors import UsageError
    from mcprun.report.routing import confusions, sentences
    from mcprun.report.text import visible
    from mcprun.report.workflow_commands import for_log
    from mcprun.runs.run import Run

    routing, count = Routing(), 0
    for name in runs:
        with suppress(UsageError):
            run = Run.read(name)
            if run.record.route:
                count += 1
                routing.definitions.sent = definitions_of(run.record).sent
                for transcript in run.transcripts():
                    routing.add(transcript)
    if not count:
        return
    reporter.section("mcprun routing")
    first, *others = sentences(routing)
    for line in (f"Routing: {first}", *(f"  {one}" for one in others), *confusions(routing.matrix, _CONFUSIONS)):
        reporter.line(for_log(visible(line)))
