"""Turn options into the plan of a run, and report every usage error before anything is run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, replace
from os import PathLike, fspath
from pathlib import Path
from typing import IO, TYPE_CHECKING

from mcprun._util.json_value import JsonObject
from mcprun._util.name_patterns import fits
from mcprun._util.network import check_network
from mcprun.analysis.coverage.gates import CoverageGates
from mcprun.analysis.diff.scrub import Scrubber
from mcprun.client.target import (
    Target,
)
from mcprun.engine.options import Options
from mcprun.engine.recorded_arguments import option_arguments
from mcprun.engine.resume import Resume
from mcprun.engine.run import RunPlan
from mcprun.engine.server_options import client_features, resolve_server
from mcprun.engine.verdict_rules import as_arguments
from mcprun.errors import NothingToGradeError, PromptsError, UsageError
from mcprun.limits import Limits
from mcprun.models.base import ModelSettings
from mcprun.models.credentials import Credentials
from mcprun.models.select import SelectedModel, choose, choose_judge, needs_script
from mcprun.option_kinds import type_name
from mcprun.prompts.aliases import Problem
from mcprun.prompts.file import PromptsFile, QueryFilter, read_prompts
from mcprun.prompts.query import Query
from mcprun.prompts.routable import ungraded_reason
from mcprun.prompts.shard import Shard
from mcprun.prompts.source import as_file
from mcprun.runs.run_record import RouteRecord
from mcprun.tools.decoys import read_decoys
from mcprun.tools.toolset import ToolFilter

if TYPE_CHECKING:
    from mcprun.engine.baseline import Baseline
    from mcprun.engine.options import AnyServer, Prompts


def make_plan(
    prompts: Prompts,
    server: AnyServer,
    options: Options,
    *,
    resume: Resume | None = None,
    stored_prompts: Path | IO[bytes] | None = None,
) -> RunPlan:
    """Return the plan of a run, with its prompts file read and open.

    Args:
        prompts: The prompts file, or queries.
        server: The server.
        options: The options of the run.
        resume: The run to resume, if any.
        stored_prompts: The copy of the prompts in the run directory, if the run has one.

    Raises:
        UsageError: An argument, or a file it names, is invalid, or options contradict each other.
    """
    _check_types(prompts, options)
    _check_conflicts(options)
    if options.batch_api:
        options = replace(options, limits=_batch_limits(options))
    account = Credentials.find()
    spec, judge = options.model or account.model, options.judge_model or account.judge_model
    _check_features(options, server)
    prompts_file = _open_prompts(prompts, spec, options, resume, stored_prompts)
    if resume:
        resume = replace(resume, arguments=as_arguments(asdict(options)))
    with ExitStack() as stack:
        stack.enter_context(prompts_file)
        baseline = None if options.baseline is None else _open_baseline(options.baseline, options)
        account = account.at_clouds(spec, judge if prompts_file.judged else None, options.base_url)
        target, redactor = resolve_server(server, options, account)
        model = _selected_model(spec, account, prompts_file, options)
        grader = None if options.route else choose_judge(judge, model, prompts_file.judged)
        check_api(model, grader)
        _check_recording(model, options)
        plan = RunPlan(
            prompts=prompts_file,
            target=target,
            protocol=options.protocol,
            model=model,
            judge=grader,
            limits=options.limits,
            system=options.system,
            allow_tool_errors=options.allow_tool_errors,
            permit=ToolFilter(tuple(options.allow_tool), tuple(options.deny_tool), options.read_only),
            features=client_features(options),
            servers=options.servers,
            fresh_server=options.fresh_server,
            pass_rate=options.pass_rate,
            out=options.out,
            resume=resume,
            scrubber=Scrubber.of(options.scrub, options.ignore, options.ignore_order),
            on_divergence=options.on_divergence,
            route=_route(options, resume),
            redactor=redactor,
            otel=options.otel,
            ray=options.ray,
            ray_actors=options.ray_actors,
            baseline=baseline,
            gates=CoverageGates(options.min_coverage, tuple(options.require), tuple(options.waive)),
            arguments=_arguments(prompts_file.name, target, options),
        )
        stack.pop_all()  # leaves the prompts open for `execute`
    return plan


def _check_recording(model: SelectedModel, options: Options) -> None:
    """Raise `UsageError` for a replay of a routed run that would make its calls: it has only first turns."""
    recording = model.recording
    if recording and recording.record.route and not options.route:
        raise UsageError(
            f"{recording.path} is a routed run, which recorded only first turns and no call: replay it with --route, or"
            " replay another run"
        )


def _route(options: Options, resume: Resume | None) -> RouteRecord | None:
    """Return what a routed run adds to the model's list. Raises `UsageError` if a snapshot can't be read.

    A run is resumed with the decoys that it was started with, even if their files have changed since.
    """
    if not options.route:
        return None
    before = resume.run.record if resume else None
    if before and before.route and [*options.decoys] == [*before.arguments.get("decoys", ())]:
        return RouteRecord(decoys=before.route.decoys)
    return RouteRecord(decoys=[tool for name in options.decoys for tool in read_decoys(name)])


def _open_baseline(name: str, options: Options) -> Baseline:
    """Open the baseline of a run, which few runs have, and the modules that compare runs. Raises `UsageError`."""
    from mcprun.engine.baseline import Baseline

    return Baseline.open(name, options.alpha, routed=options.route)


def _open_prompts(
    prompts: Prompts, spec: str | None, options: Options, resume: Resume | None, stored: Path | IO[bytes] | None
) -> PromptsFile:
    """Read the queries that the options select, and check them. Raises `UsageError`."""
    settings, gradable = model_settings(options), 0

    def demands(query: Query) -> Iterator[Problem]:
        nonlocal gradable
        gradable += not ungraded_reason(query)
        return query_problems(query, settings)

    are_values = not isinstance(prompts, str | PathLike)
    if not isinstance(prompts, str | PathLike):
        prompts, stored = "-", as_file(prompts)
    verified = resume.verified_file() if resume else None
    file = read_prompts(
        fspath(prompts),
        QueryFilter(tuple(options.filters), options.limit, shard=Shard.parse(options.shard) if options.shard else None),
        need_script=needs_script(spec),
        stored_path=stored,
        verified=verified,
        repeat=options.repeat,
        demands=demands,
        are_values=are_values,
    )
    if options.route and not gradable and not resume and not options.shard:  # mcprun merge checks all shards
        file.source.close()
        raise NothingToGradeError(
            f"--route: there is nothing to grade: no selected query of {file.name} has expect.calls without vars from"
            " steps"
        )
    return file


def _selected_model(spec: str | None, account: Credentials, prompts: PromptsFile, options: Options) -> SelectedModel:
    """Return the model of a run. Raises `UsageError` if there is none, or if the queries or options do not suit it."""
    all_scripted = prompts.scripted == len(prompts)
    model = choose(spec, account, all_scripted=all_scripted, base_url=options.base_url)
    if model.record.is_asked and prompts.refused:
        raise PromptsError(prompts.refused)
    return replace(model, settings=model_settings(options), is_batched=is_batched(options, model))


def _arguments(prompts: str, target: Target, options: Options) -> JsonObject:
    """Return the `arguments` of `run.json`: what resuming and reproducing need, and what shards must share."""
    return {**option_arguments(options), "prompts": prompts, "server": str(target)}


def is_batched(options: Options, model: SelectedModel) -> bool:
    """Return whether model requests go through Message Batches. Raises `UsageError` if the model has none."""
    if options.batch_api and model.record.kind != "claude":
        name = f"{model.record.name} ({model.record.chosen})"
        raise UsageError(f"--batch-api needs Claude at Anthropic's own API, but the model is {name}")
    if options.batch_api and options.bare_api:
        raise UsageError("--bare-api and --batch-api cannot be combined: most endpoints have no Message Batches")
    return options.batch_api


def _check_conflicts(options: Options) -> None:
    """Raise `UsageError` for options that contradict each other."""
    if options.fresh_server and options.servers > 1:
        raise UsageError("--servers and --fresh-server cannot be combined: --fresh-server starts one for each query")
    if options.decoys and not options.route:
        raise UsageError("--decoys needs --route, which only asks which tools the model would call")
    if options.route and (options.min_coverage is not None or options.require):
        raise UsageError("--route makes no calls, so --min-coverage and --require can't be met: leave them out")
    if options.ray_actors and options.ray is None:
        raise UsageError("--ray-actors needs --ray")


def _check_types(prompts: object, options: object) -> None:
    """Raise `UsageError` for an argument of the wrong type, such as a single query instead of a list."""
    if not isinstance(options, Options):
        raise UsageError(f"options must be an object of type mcprun.Options, not {type_name(options)}")
    if isinstance(prompts, Mapping | bytes | bytearray | memoryview) or not isinstance(
        prompts, str | PathLike | Iterable
    ):
        raise UsageError(f"prompts must be the name of a file or a list of queries, not {type_name(prompts)}")


def _check_features(options: Options, server: AnyServer) -> None:
    """Raise `UsageError` if an option needs a package that is not installed, or can't be used with others."""
    if options.limits.budget_usd is not None:
        import mcprun.models.prices  # raises `UsageError` if the package is missing
    if options.otel:
        import mcprun.telemetry.export  # noqa: F401  likewise
    if options.ray is not None:
        _check_ray(options, server)


def _check_ray(options: Options, server: AnyServer) -> None:
    """Raise `UsageError` for options and servers that Ray does not support, or if no cluster answers."""
    from mcprun.engine.ray.cluster import check_address  # raises `UsageError` if Ray is missing

    if options.otel:
        raise UsageError("--otel and --ray cannot be combined: spans are exported from one process only")
    if not isinstance(server, str | PathLike):
        raise UsageError("--ray cannot use a server object of this process: give a command, a file or a URL")
    if options.batch_api:
        raise UsageError("--batch-api and --ray cannot be combined: batches are sent from one process only")
    check_address(options.ray or "", options.limits.connect_seconds)


def model_settings(options: Options) -> ModelSettings:
    """Return the model settings. Raises `UsageError` for a combination that the API would reject in every request."""
    thinking, choice, limit = options.thinking, options.tool_choice, options.limits.max_tokens
    if options.bare_api and (options.effort or thinking):
        raise UsageError("--bare-api cannot be combined with --effort or --thinking, which it does not send")
    settings = ModelSettings(effort=options.effort, thinking=thinking, tool_choice=choice, bare=options.bare_api)
    if thinking not in (None, "disabled") and choice not in (None, "none"):
        raise UsageError(
            f"--tool-choice {choice} and --thinking {thinking} cannot be combined: the API rejects forced calls with"
            " thinking; leave out one of them, or use --thinking disabled"
        )
    if settings.budget and settings.budget >= limit:
        raise UsageError(
            f"--thinking {settings.budget} must be less than --max-tokens {limit}, which covers thinking and reply:"
            " raise --max-tokens or lower --thinking"
        )
    return settings


def check_api(*choices: SelectedModel | None) -> None:
    """Raise `UsageError` if a model is asked over HTTP and an environment variable prevents any HTTP client."""
    if any(choice.record.is_asked for choice in choices if choice):
        check_network(is_api=True)


def query_problems(query: Query, settings: ModelSettings) -> Iterator[Problem]:
    """Yield the fields of a query that the API would reject because of `--thinking` or `--tool-choice`."""
    budget, tool = settings.budget, settings.named_tool
    if budget and query.max_tokens is not None and query.max_tokens <= budget:
        yield "max_tokens", f"must be greater than --thinking {budget}, not {query.max_tokens}"
    if tool and query.tools and not fits(tool, query.tools):
        yield "tools", f"must include {tool}, which --tool-choice names"


def _batch_limits(options: Options) -> Limits:
    """Return the limits of a run with `--batch-api`, where a turn can take up to a day.

    Sampling is not offered to servers, since a call can't wait that long. With `--fresh-server`, at most `concurrency`
    queries are in flight, since each of them has a server of its own.
    """
    limits = replace(options.limits, max_sampling=0)
    if options.fresh_server and limits.batch_queries is None:
        limits = replace(limits, batch_queries=limits.concurrency)
    return limits
