"""The function that the fixture `mcp_run` yields: it runs queries, and raises errors with mcprun's own messages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcprun.pytest_plugin.config import Settings, split

if TYPE_CHECKING:
    from mcprun.engine.options import AnyServer, Options, Prompts
    from mcprun.engine.run import RunPlan
    from mcprun.pytest_plugin.background_run import BackgroundRun
    from mcprun.runs.run import Run


class McpRun:
    """Runs queries, each run in a folder of its own below `folder`. The fixture describes arguments and results."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings = settings
        self._folder = folder
        self._count = 0
        self._running: set[BackgroundRun] = set()

    def cancel(self) -> None:
        """End the runs that are still in progress and close their servers at once, without waiting."""
        if running := list(self._running):
            from mcprun.client.transports.process import hurry

            hurry()
            for one in running:
                one.cancel()

    def close(self) -> None:
        """End the runs that are still in progress, and wait until they have shut down."""
        for running in list(self._running):
            running.interrupt()

    def __call__(
        self,
        prompts: Prompts,
        server: AnyServer | None = None,
        options: Options | None = None,
        *,
        check: bool = True,
        **more: Any,
    ) -> Run:
        """Run the queries and return the run. Raises `AssertionError` if something did not pass and `check` is set."""
        __tracebackhide__ = True
        from mcprun.errors import UsageError
        from mcprun.pytest_plugin import failure_repr
        from mcprun.pytest_plugin.background_run import BackgroundRun
        from mcprun.report.workflow_commands import for_log
        from mcprun.runs.run import Run

        try:
            running = BackgroundRun(self._plan(prompts, server, options, more))
            self._running.add(running)
            result = running.start().result()
            self._running.discard(running)
        except UsageError as error:
            error.args = tuple(for_log(one) if isinstance(one, str) else one for one in error.args)
            raise error.with_traceback(None) from None  # the caller's mistake, which the message explains
        run = Run(result.path, result.record)
        if check and (failure := failure_repr.run(run, result.error)):
            raise AssertionError(for_log(failure))
        return run

    def _plan(
        self, prompts: Prompts, server: AnyServer | None, options: Options | None, more: dict[str, Any]
    ) -> RunPlan:
        from mcprun.engine.options import Options
        from mcprun.engine.plan import make_plan
        from mcprun.errors import UsageError
        from mcprun.option_kinds import type_name

        server = self._settings.server if server is None else server
        if server is None:
            raise UsageError("no server is set: pass one to mcp_run, or use --mcp-server SERVER")
        if not isinstance(options, Options | None):
            raise UsageError(f"options must be an object of type mcprun.Options, not {type_name(options)}")
        chosen = replace(self._settings.options(server) if options is None else options, **more)
        if isinstance(server, str):
            server, args = split(server)
            chosen = replace(chosen, server_args=(*args, *chosen.server_args))
        self._count += 1
        out = chosen.out or str(self._folder / f"run-{self._count}")
        return replace(make_plan(prompts, server, replace(chosen, out=out)), is_latest=False)
