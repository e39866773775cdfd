"""The Python interface: run prompts files and compare runs from programs and notebooks.

run = await mcprun.run_batch("prompts.jsonl", "server.py", mcprun.Options(model="script"))
run = mcprun.run_batch_sync("prompts.jsonl", "server.py")  # the same, without await
assert run.ok
for transcript in run.transcripts(): ...

for diff in mcprun.compare_runs("baseline", run.path).queries: ...

mcprun.measure_coverage([run, "outputs/nightly"]).covered.value  # from 0 to 1
mcprun.measure_routing(routed_run).matrix.accuracy.share  # from 0 to 1
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from contextvars import copy_context
from dataclasses import asdict, dataclass
from os import PathLike, fspath
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING

from mcprun._util.run_stop import RunStop
from mcprun._util.statistics import ALPHA
from mcprun.analysis.coverage.coverage import Coverage
from mcprun.analysis.coverage.measure import measure_coverage as measure_runs
from mcprun.analysis.diff.runs import DiffSummary, QueryDiff, RunDiff
from mcprun.analysis.diff.transcripts import CompareOptions
from mcprun.analysis.routing.changes import check_kinds
from mcprun.analysis.routing.measure import Routing
from mcprun.analysis.routing.measure import measure_routing as measure_routed_run
from mcprun.config.option_table import ALPHA as ALPHA_KIND
from mcprun.engine.comparison import compare_with_baseline
from mcprun.engine.coverage import check_coverage
from mcprun.engine.options import Options
from mcprun.engine.plan import make_plan
from mcprun.engine.resume import Resume
from mcprun.engine.routing_outcome import record_routing
from mcprun.engine.run import execute
from mcprun.errors import ErrorKind, RunError, UsageError
from mcprun.option_kinds import type_name, validate_option
from mcprun.runs.events import Event
from mcprun.runs.run import Run
from mcprun.runs.transcript_files import open_transcripts, repeated
from mcprun.tools.changes import ToolChange

if TYPE_CHECKING:
    from mcprun.engine.options import AnyServer, Prompts

AnyRun = Run | str | PathLike[str]
"""A run, or its folder."""


@dataclass(frozen=True, slots=True)
class Differences:
    """The differences between two runs: the queries that differ, the changed tools, and the counts of queries."""

    queries: tuple[QueryDiff, ...]
    tools: tuple[ToolChange, ...]
    summary: DiffSummary

    def __repr__(self) -> str:
        """Return the counts only: the changes hold whole results."""
        what = ", ".join(f"{count:,} {name}" for name, count in asdict(self.summary).items() if count)
        return f"<Differences: {what or 'none'}>"


async def run_batch(
    prompts: Prompts,
    server: AnyServer,
    options: Options | None = None,
    *,
    resume: Run | str | PathLike[str] | None = None,
    watch: Callable[[Event], None] = lambda _: None,
    run_stop: RunStop | None = None,
) -> Run:
    """Run the queries of a prompts file, or an iterable of queries, against a server. Return the run on disk.

    `server` is a SERVER of the command line, or an `MCPServer` of the SDK, which is then called within this process.
    `watch` is called with each event (`runs/events.py`), and `run_stop` ends the run early. With `resume`, that run is
    continued.

    `ok` of the run is whether all is well: every query passed, none regressed, and the coverage gates are met. A run
    that could not continue has an `error` in its record, and `record.exit_code` is the command's exit code. Raises
    `UsageError` if nothing was run: invalid options, a bad prompts file, no model available.
    """
    for name, value, kinds in (("resume", resume, Run | str | PathLike), ("run_stop", run_stop, RunStop)):
        if not isinstance(value, kinds | None):
            raise UsageError(f"{name} can't be {type_name(value)}")
    if not callable(watch):
        raise UsageError(f"watch must be a function, not {type_name(watch)}")
    earlier = None if resume is None else Resume(resume if isinstance(resume, Run) else Run.read_record(fspath(resume)))
    plan = make_plan(prompts, server, Options() if options is None else options, resume=earlier)
    with plan.prompts:
        result = await execute(plan, watch, run_stop)
        result = record_routing(check_coverage(compare_with_baseline(result, plan)))
    return Run(result.path, result.record)


def run_batch_sync(
    prompts: Prompts,
    server: AnyServer,
    options: Options | None = None,
    *,
    resume: Run | str | PathLike[str] | None = None,
    watch: Callable[[Event], None] = lambda _: None,
) -> Run:
    """Run queries like `run_batch`, and wait for the end. Also in a notebook, or wherever an event loop is running.

    The run has a thread and an event loop of its own, in which `watch` and the tools of a server of this process are
    called. An interrupt (Ctrl-C) ends the run, and is raised once it has shut down. Raises like `run_batch`.
    """
    stop, found = RunStop(), SimpleQueue[Run | BaseException]()
    # Not `asyncio.run`, which would replace the loop of a thread that has one.
    runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
    loop = runner.get_loop()

    def run() -> None:
        try:
            with runner:
                done = runner.run(run_batch(prompts, server, options, resume=resume, watch=watch, run_stop=stop))
            found.put(done)
        except BaseException as error:  # noqa: BLE001  raised by the caller's thread
            found.put(error)

    Thread(target=copy_context().run, args=(run,), name="mcprun", daemon=True).start()
    try:
        outcome = found.get()
    except BaseException:
        reason = RunError(ErrorKind.CANCELLED, "the program was interrupted")
        with suppress(RuntimeError):  # the loop has just been closed
            loop.call_soon_threadsafe(stop.cancel, reason)
        found.get()
        raise
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


def measure_coverage(runs: AnyRun | Iterable[AnyRun]) -> Coverage:
    """Return what the calls of one or several runs have exercised of a server's tools, as `mcprun coverage` does.

    `runs` are runs, or their folders. `covered` of the coverage is the share of its `tools` that are covered. Raises
    `UsageError` if a run can't be read, or if the server of none of them started.
    """
    several = [runs] if isinstance(runs, Run | str | PathLike) or not isinstance(runs, Iterable) else list(runs)
    for one in several:
        if not isinstance(one, Run | str | PathLike):
            raise UsageError(f"runs must be runs or their folders, not {type_name(one)}")
    if not several:
        raise UsageError("runs must not be empty")
    return measure_runs([one if isinstance(one, Run) else Run.read(fspath(one)) for one in several])


def measure_routing(run: AnyRun) -> Routing:
    """Return how often the model of a routed run picks the right tool.

    `run` is a run, or its folder, made with `Options(route=True)`. `matrix` of the routing has the accuracy, the tools
    and the confusion matrix. Raises `UsageError` if the run is not routed, or can't be read.
    """
    if not isinstance(run, Run | str | PathLike):
        raise UsageError(f"run must be a run or its folder, not {type_name(run)}")
    return measure_routed_run(run if isinstance(run, Run) else Run.read(fspath(run)))


def compare_runs(
    base: str | PathLike[str], head: str | PathLike[str], options: CompareOptions | None = None, *, alpha: float = ALPHA
) -> Differences:
    """Compare two runs (folders, or files of transcripts). `options` selects the aspects, and differences to ignore.

    Queries that were run several times are compared as samples: `alpha` is the significance level of a change in pass
    rate. Raises `UsageError` if the runs can't be compared.
    """
    alpha = validate_option("alpha", ALPHA_KIND, alpha)
    if not isinstance(options, CompareOptions | None):
        raise UsageError(f"options must be an object of type mcprun.CompareOptions, not {type_name(options)}")
    with open_transcripts(fspath(base)) as before, open_transcripts(fspath(head)) as after:
        check_kinds(before, after, (fspath(base), fspath(head)))
        comparison = RunDiff(options or CompareOptions(), repeated=repeated(before, after), alpha=alpha)
        tools = comparison.tools(before.tools, after.tools)
        return Differences(tuple(comparison.compare(before, after)), tuple(tools), comparison.summary)
