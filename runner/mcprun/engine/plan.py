"""Turn options into the plan of a run, and report every usage error before anything is run."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, fields, replace
from os import PathLike, fspath
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

from mcprun._util.json_value import JsonObject
from mcprun._util.name_patterns import fits
from mcprun._util.network import check_network
from mcprun._util.url_secrets import url_secrets, without_secrets
from mcprun.analysis.diff.repeats import ALPHA
from mcprun.analysis.diff.scrub import Scrubber
from mcprun.client.oauth_client import client_from_options, resolve_secret
from mcprun.client.request_owner import ClientFeatures, LogLevel
from mcprun.client.server_argument import check_command, parse_target
from mcprun.client.target import (
    HttpTarget,
    InProcessTarget,
    Target,
    secrets_of,
    variables_of,
    with_authorization,
    with_more,
    with_start_options,
)
from mcprun.config.option_table import OPTIONS, SERVER
from mcprun.config.project import environment
from mcprun.engine.baseline import Baseline
from mcprun.engine.resume import Resume
from mcprun.engine.run import RunPlan
from mcprun.engine.verdict_rules import as_arguments
from mcprun.errors import PromptsError, UsageError
from mcprun.limits import AUTO, Limits
from mcprun.models.base import ModelSettings
from mcprun.models.credentials import Credentials
from mcprun.models.select import SelectedModel, choose, choose_judge, needs_script
from mcprun.option_kinds import changed_fields, check_fields, type_name, validate_option
from mcprun.prompts.aliases import Problem
from mcprun.prompts.file import QueryFilter, read_prompts
from mcprun.prompts.query import Query
from mcprun.prompts.shard import Shard
from mcprun.prompts.source import as_file
from mcprun.runs.redaction import Redactor
from mcprun.tools.toolset import ToolFilter

if TYPE_CHECKING:
    from mcp.server import MCPServer, Server

    Prompts = str | PathLike[str] | Iterable[JsonObject | str]
    """The path of a prompts file, or an iterable of queries: objects in its format, or prompts as strings."""

    AnyServer = str | PathLike[str] | MCPServer | Server[Any]
    """SERVER as on the command line, or a server object of the MCP SDK, which runs in this process."""


_SECRETS = frozenset({
    "env", "headers", "token", "oauth_client_secret", "oauth_private_key", "oauth_assertion", "server_args", "base_url",
    "redact",
})  # fmt: skip
"""Options that may hold secrets."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of a run: those of `mcprun batch`, whose help describes each, with the same defaults.

    Attributes:
        model: The model: a name of Claude, `bedrock:NAME`, `script`, `replay:RUN` and so on. None chooses one.
        judge_model: The model that grades rubrics. None is the model itself.
        batch_api: Whether to send model requests through Message Batches, at half the price.
        base_url: The URL of the Messages API. None is Anthropic's, or that of `ANTHROPIC_BASE_URL`.
        effort: How much the model works on an answer: `low`, `medium`, `high` and so on. None is the model's default.
        thinking: `adaptive`, `disabled`, or a number of tokens as text. None is the model's default.
        tool_choice: `auto`, `any`, `none`, or the name of a tool that must be called.
        bare_api: Whether to send only what every endpoint of the Messages API accepts.
        system: The system prompt of queries that have none.
        filters: Patterns of ids and tags that select queries. None given selects all.
        limit: How many of the selected queries to run, from the first.
        shard: The part of these to run: `2/4` is the second of four.
        repeat: How often to run each query that does not set it itself.
        pass_rate: The share of its repeats that must pass, from 0 to 1. None is all.
        allow_tool_errors: Whether a call may return an error.
        allow_tool: Patterns of the tools that may be used. None given allows all.
        deny_tool: Patterns of tools that may not be used.
        read_only: Whether only tools annotated as read-only may be used.
        env: Environment variables of a server that mcprun starts. Their values are secrets.
        headers: HTTP headers for a server at a URL. Their values are secrets.
        token: The bearer token for a server at a URL. A secret.
        oauth_client_id: The OAuth client that gets a token instead.
        oauth_client_secret: The secret of that client.
        oauth_private_key: The PEM file of its private key, instead of a secret.
        oauth_algorithm: The algorithm to sign with that key, such as `ES256`.
        oauth_assertion: The identity assertion (JWT) of an identity provider, to be exchanged for a token. A secret.
        oauth_scope: The scopes to request, separated by spaces.
        oauth_issuer: The URL of the authorization server. None is the one that the server names.
        server_args: More arguments for a server that mcprun starts.
        env_files: Files of more variables, `NAME=VALUE` per line. Their values are secrets too.
        cwd: The working directory of a server that mcprun starts. None is this process's own.
        python: The Python interpreter that starts a `.py` server.
        scratch: Whether to start each server in a new folder, which is deleted afterwards.
        protocol: The protocol to speak: `auto`, `legacy`, or a version of the specification.
        elicit: How to answer elicitation requests: `decline`, form `defaults`, or the query's `script`.
        roots: The directories to return for `roots/list`.
        log_level: The lowest level of log messages to request from servers. None requests none.
        servers: How many servers to start. Queries share them.
        fresh_server: Whether to start a server for each query.
        limits: The bounds of the run.
        redact: Regular expressions of other secrets.
        on_divergence: What to do if a replayed call has another result: `continue`, `fail` or `stop` the query.
        scrub: Names or regular expressions of volatile values, which are replaced before results are compared.
        ignore: Paths that are not compared, such as `calls[*].result.updated_at`.
        ignore_order: Paths of lists whose order is not compared.
        baseline: The run to compare with at the end.
        alpha: The significance level of a change in the pass rate of a repeated query.
        out: The directory of the run. None is a new one below `outputs`.
        otel: Whether to export OpenTelemetry spans.
        ray: The address of a Ray cluster to spread the queries over: `HOST:PORT`, `auto` or `local`.
        ray_actors: The number of actors on it. None is one for each CPU.
    """

    model: str | None = None
    judge_model: str | None = None
    batch_api: bool = False
    base_url: str | None = None
    effort: str | None = None
    thinking: str | None = None
    tool_choice: str | None = None
    bare_api: bool = False
    system: str | None = None
    filters: Sequence[str] = ()
    limit: int | None = None
    shard: str | None = None
    repeat: int = 1
    pass_rate: float | None = None
    allow_tool_errors: bool = False
    allow_tool: Sequence[str] = ()
    deny_tool: Sequence[str] = ()
    read_only: bool = False
    env: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    token: str | None = None
    oauth_client_id: str | None = None
    oauth_client_secret: str | None = None
    oauth_private_key: str | None = None
    oauth_algorithm: str | None = None
    oauth_assertion: str | None = None
    oauth_scope: str | None = None
    oauth_issuer: str | None = None
    server_args: Sequence[str] = ()
    env_files: Sequence[str] = ()
    cwd: str | None = None
    python: str | None = None
    scratch: bool = False
    protocol: str = AUTO
    elicit: Literal["decline", "defaults", "script"] = "decline"
    roots: Sequence[str] = ()
    log_level: LogLevel | None = None
    servers: int = 1
    fresh_server: bool = False
    limits: Limits = field(default_factory=Limits)
    redact: Sequence[str] = ()
    on_divergence: Literal["continue", "fail", "stop"] = "continue"
    scrub: Sequence[str] = ()
    ignore: Sequence[str] = ()
    ignore_order: Sequence[str] = ()
    baseline: str | None = None
    alpha: float = ALPHA
    out: str | None = None
    otel: bool = False
    ray: str | None = None
    ray_actors: int | None = None

    def __repr__(self) -> str:
        """Return the options that are not the default, without secrets: `Options(model='script')`."""
        return changed_fields(self, _SECRETS)

    def __post_init__(self) -> None:
        """Raise `UsageError` for a value that the command line would reject, or that has the wrong type."""
        check_fields(self, OPTIONS)
        if not isinstance(self.limits, Limits):
            raise UsageError(f"limits must be an object of type mcprun.Limits, not {type_name(self.limits)}")
        object.__setattr__(self, "limits", self.limits.checked())


_CONNECTION_OPTIONS = (
    "env", "env_files", "headers", "token", "server_args", "cwd", "python", "scratch",
    *(field.name for field in fields(Options) if field.name.startswith("oauth_")),
)  # fmt: skip
"""Options that configure how a server is started, or how one at a URL is connected to."""


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
    settings = model_settings(options)
    account = Credentials.find()
    spec, judge = options.model or account.model, options.judge_model or account.judge_model
    if options.limits.budget_usd is not None:
        import mcprun.models.prices  # raises `UsageError` if the package is missing
    if options.otel:
        import mcprun.telemetry.export  # noqa: F401  likewise
    if options.ray is not None:
        _check_ray(options, server)
    are_values = not isinstance(prompts, str | PathLike)
    if not isinstance(prompts, str | PathLike):
        prompts, stored_prompts = "-", as_file(prompts)
    prompts_file = read_prompts(
        fspath(prompts),
        QueryFilter(tuple(options.filters), options.limit, shard=Shard.parse(options.shard) if options.shard else None),
        need_script=needs_script(spec),
        stored_path=stored_prompts,
        verified=resume.verified_file() if resume else None,
        repeat=options.repeat,
        demands=lambda query: query_problems(query, settings),
        are_values=are_values,
    )
    if resume:
        resume = replace(resume, arguments=as_arguments(asdict(options)))
    with ExitStack() as stack:
        stack.enter_context(prompts_file)
        baseline = None if options.baseline is None else Baseline.open(options.baseline, options.alpha)
        account = account.at_clouds(spec, judge if prompts_file.judged else None, options.base_url)
        target, redactor = resolve_server(server, options, account)
        model = choose(
            spec, account, all_scripted=prompts_file.scripted == len(prompts_file), base_url=options.base_url
        )
        if model.record.is_asked and prompts_file.refused:
            raise PromptsError(prompts_file.refused)
        model = replace(model, settings=settings, is_batched=is_batched(options, model))
        grader = choose_judge(judge, model, prompts_file.judged)
        check_api(model, grader)
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
            redactor=redactor,
            otel=options.otel,
            ray=options.ray,
            ray_actors=options.ray_actors,
            baseline=baseline,
            arguments=_arguments(prompts_file.name, target, options),
        )
        stack.pop_all()  # leaves the prompts open for `execute`
    return plan


def _arguments(prompts: str, target: Target, options: Options) -> JsonObject:
    """Return the `arguments` of `run.json`: what resuming needs, and what the shards of a run must share."""
    server_args = [without_secrets(arg) if "://" in arg else arg for arg in options.server_args]
    rules = as_arguments({**asdict(options), "server_args": server_args})
    return {"prompts": prompts, "server": str(target), **rules}


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


def resolve_server(server: AnyServer, options: Options, account: Credentials) -> tuple[Target, Redactor]:
    """Return the target that SERVER and its options describe, and a redactor of secrets. Raises `UsageError`."""
    if isinstance(server, str | PathLike):
        target = parse_target(validate_option("server", SERVER, server), options.server_args, options.cwd)
    else:
        target = _in_process(server)
    target = with_start_options(target, python=options.python, cwd=options.cwd, scratch=options.scratch)
    env = {name: value for file in options.env_files for name, value in variables_of(file).items()}
    target = with_more(target, env={**env, **options.env}, headers=options.headers)
    check_command(target)
    if isinstance(target, HttpTarget):
        check_network()
    variables = environment()
    client = client_from_options(
        variables,
        client_id=options.oauth_client_id,
        client_secret=options.oauth_client_secret,
        private_key=options.oauth_private_key,
        algorithm=options.oauth_algorithm,
        assertion=options.oauth_assertion,
        scope=options.oauth_scope,
        issuer=options.oauth_issuer,
    )
    target = with_authorization(target, token=resolve_secret("--token", options.token, variables), client=client)
    secrets = [*account.secrets, *url_secrets(options.base_url or ""), *secrets_of(target)]
    return target, Redactor(secrets, options.redact)


def _in_process(server: object) -> InProcessTarget:
    """Return the target for a server object of the MCP SDK. Raises `UsageError` for any other object.

    The SDK is not imported here: if the object is an instance of one of its classes, it already has been.
    """
    sdk = sys.modules.get("mcp.server")
    if sdk is None or not isinstance(server, sdk.MCPServer | sdk.Server):
        expected = "a file, a URL, a command line, or a server of the MCP SDK"
        raise UsageError(f"server must be {expected}, not {type_name(server)}")
    return InProcessTarget(server)


def without_server_options(options: Options) -> Options:
    """Return the options without those for starting or reaching a server: one in this process is running already."""
    default = Options()
    return replace(options, **{name: getattr(default, name) for name in _CONNECTION_OPTIONS})


def client_features(options: Options) -> ClientFeatures:
    """Return the client features to declare to servers. Raises `UsageError` if a root is not a directory."""
    return ClientFeatures(
        elicit=options.elicit,
        sampling=options.limits.max_sampling > 0,
        roots=tuple(map(_root, options.roots)),
        log_level=options.log_level,
    )


def _root(folder: str) -> JsonObject:
    """Return the MCP `Root` of a directory: a `file:` URI and a name. Raises `UsageError` if it is not one."""
    path = Path(folder).resolve()
    if not path.is_dir():
        raise UsageError(f"--root {folder}: no such folder")
    return {"uri": path.as_uri(), "name": path.name or str(path)}


def _batch_limits(options: Options) -> Limits:
    """Return the limits of a run with `--batch-api`, where a turn can take up to a day.

    Sampling is not offered to servers, since a call can't wait that long. With `--fresh-server`, at most `concurrency`
    queries are in flight, since each of them has a server of its own.
    """
    limits = replace(options.limits, max_sampling=0)
    if options.fresh_server and limits.batch_queries is None:
        limits = replace(limits, batch_queries=limits.concurrency)
    return limits
