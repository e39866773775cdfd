"""From what is asked to the plan of a run: everything that can be wrong is found before anything is run."""

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
from mcprun.analysis.diff.scrub import Scrubber
from mcprun.client.oauth_client import client_from_options, given_value
from mcprun.client.request_owner import ClientFeatures, LogLevel
from mcprun.client.server_argument import parse_target
from mcprun.client.target import (
    HttpTarget,
    InProcessTarget,
    Target,
    authorized,
    secrets_of,
    started_otherwise,
    variables_of,
    with_more,
)
from mcprun.config.option_table import OPTIONS, SERVER
from mcprun.config.project import environment
from mcprun.engine.resume import Resume
from mcprun.engine.run import RunPlan
from mcprun.engine.verdict_rules import as_arguments
from mcprun.errors import PromptsError, UsageError
from mcprun.limits import AUTO, Limits
from mcprun.models.base import ModelSettings
from mcprun.models.select import Credentials, SelectedModel, choose, choose_judge, needs_script
from mcprun.option_kinds import check_fields, checked, type_name
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
    """A prompts file, or queries: objects of the same format, or just prompts."""

    AnyServer = str | PathLike[str] | MCPServer | Server[Any]
    """SERVER as the command line has it, or a server of the SDK that lives in this process."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a run is done: the options of `mcprun batch`, which tells of each in its help, with the same defaults.

    `model` and `judge_model` are what `--model` and `--judge-model` take. `effort`, `thinking` and `tool_choice` say
    how Claude answers (`models.Manner`), `bare_api` that only what every endpoint of the Messages API knows is sent,
    `batch_api` that it is asked in batches. `filters` are patterns of ids and tags, of which the first `limit` queries
    are run, of these the `shard` (`2/4`: the second of four parts). `allow_tool` and `deny_tool` are patterns of tools;
    `read_only` leaves those that say they change nothing. `env` (of a server that is started), all that `env_files`
    hold, and `headers` (of one at a URL) are secrets; `token` is shown to a URL, or one that the `oauth_` client gets
    (`client/oauth_client.py`). `redact` holds regular expressions of others. `cwd` and `python` say how a server is
    started, `protocol` what it is spoken to with: `auto`, `legacy`, or a version of the specification. `elicit` and
    `roots` (folders) are what servers that ask are answered, `log_level` is from which level on they tell. `out` is the
    run's folder. `scrub` and `ignore` say what does not count in a replay. `otel` has OpenTelemetry spans exported.
    `ray` is the address of a Ray cluster (`HOST:PORT`, `auto` or `local`), over whose `ray_actors` the queries are
    spread.
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
    out: str | None = None
    otel: bool = False
    ray: str | None = None
    ray_actors: int | None = None

    def __post_init__(self) -> None:
        """Raise `UsageError` for a value that the command line would refuse, or that has another type."""
        check_fields(self, OPTIONS)
        if not isinstance(self.limits, Limits):
            raise UsageError(f"limits must be an object of type mcprun.Limits, not {type_name(self.limits)}")
        object.__setattr__(self, "limits", self.limits.checked())


_REACHING = (
    "env", "env_files", "headers", "token", "server_args", "cwd", "python",
    *(field.name for field in fields(Options) if field.name.startswith("oauth_")),
)  # fmt: skip
"""Options that say how a server is started, or what one at a URL is shown."""


def make_plan(
    prompts: Prompts,
    server: AnyServer,
    options: Options,
    *,
    resume: Resume | None = None,
    kept: Path | IO[bytes] | None = None,
) -> RunPlan:
    """Read what is asked, and the files that it names. Raises `UsageError`.

    With `resume` an earlier run goes on, whose prompts may have been `kept`.
    """
    _check_types(prompts, options)
    _check_together(options)
    if options.batch_api:
        options = replace(options, limits=_batched(options))
    manner = manner_of(options)
    account = Credentials.find()
    spec, judge = options.model or account.model, options.judge_model or account.judge_model
    if options.limits.budget_usd is not None:
        import mcprun.models.prices  # says what to install where it is missing
    if options.otel:
        import mcprun.telemetry.export  # noqa: F401  the same
    if options.ray is not None:
        _check_ray(options, server)
    if not isinstance(prompts, str | PathLike):
        prompts, kept = "-", as_file(prompts)
    found = read_prompts(
        fspath(prompts),
        QueryFilter(tuple(options.filters), options.limit, shard=Shard.parse(options.shard) if options.shard else None),
        need_script=needs_script(spec),
        kept=kept,
        known=resume.known() if resume else None,
        repeat=options.repeat,
        demands=lambda query: query_problems(query, manner),
    )
    if resume:
        resume = replace(resume, arguments=as_arguments(asdict(options)))
    with ExitStack() as stack:
        stack.enter_context(found)
        account = account.at_clouds(spec, judge if found.judged else None, options.base_url)
        target, redactor = reach(server, options, account)
        model = choose(spec, account, all_scripted=found.scripted == len(found), base_url=options.base_url)
        if model.record.is_asked and found.refused:
            raise PromptsError(found.refused)
        model = replace(model, manner=manner, is_batched=is_batched(options, model))
        grader = choose_judge(judge, model, found.judged)
        check_api(model, grader)
        plan = RunPlan(
            prompts=found,
            target=target,
            protocol=options.protocol,
            model=model,
            judge=grader,
            limits=options.limits,
            system=options.system,
            allow_tool_errors=options.allow_tool_errors,
            permit=ToolFilter(tuple(options.allow_tool), tuple(options.deny_tool), options.read_only),
            offers=offers_of(options),
            servers=options.servers,
            fresh_server=options.fresh_server,
            pass_rate=options.pass_rate,
            out=options.out,
            resume=resume,
            scrubber=Scrubber.of(options.scrub, options.ignore),
            on_divergence=options.on_divergence,
            redactor=redactor,
            otel=options.otel,
            ray=options.ray,
            ray_actors=options.ray_actors,
            arguments=_arguments(found.name, target, options),
        )
        stack.pop_all()  # the prompts stay open for whoever runs the plan
    return plan


def _arguments(prompts: str, target: Target, options: Options) -> JsonObject:
    """Return what `run.json` keeps of the options: how it is resumed, and what its shards must share."""
    args = [without_secrets(one) if "://" in one else one for one in options.server_args]
    rules = as_arguments({**asdict(options), "server_args": args})
    return {"prompts": prompts, "server": str(target), **rules}


def is_batched(options: Options, model: SelectedModel) -> bool:
    """Tell whether the model is asked in batches. Raises `UsageError` where there are none."""
    if options.batch_api and model.record.kind != "claude":
        name = f"{model.record.name} ({model.record.chosen})"
        raise UsageError(f"--batch-api asks Claude in batches, at Anthropic's own API, and the model is {name}")
    if options.batch_api and options.bare_api:
        raise UsageError("--bare-api sends only what every endpoint knows, and --batch-api needs batches: choose one")
    return options.batch_api


def _check_together(options: Options) -> None:
    """Raise `UsageError` for options that contradict each other."""
    if options.fresh_server and options.servers > 1:
        raise UsageError("--servers shares servers among queries and --fresh-server does not: choose one")
    if options.ray_actors and options.ray is None:
        raise UsageError("--ray-actors says how --ray spreads the queries: give both")


def _check_types(prompts: object, options: object) -> None:
    """Raise `UsageError` for an argument of `make_plan` that it would misread, such as one query without its list."""
    if not isinstance(options, Options):
        raise UsageError(f"options must be an object of type mcprun.Options, not {type_name(options)}")
    if isinstance(prompts, Mapping | bytes | bytearray | memoryview) or not isinstance(
        prompts, str | PathLike | Iterable
    ):
        raise UsageError(f"prompts must be the name of a file or a list of queries, not {type_name(prompts)}")


def _check_ray(options: Options, server: AnyServer) -> None:
    """Refuse what does not go with Ray, and an address where there is no cluster. Raises `UsageError`."""
    from mcprun.engine.ray.cluster import check_address  # says what to install where it is missing

    if options.otel:
        raise UsageError("--otel tells of the queries of one process: leave it out, or --ray")
    if not isinstance(server, str | PathLike):
        raise UsageError("the actors of --ray can't reach a server in this process: name one to start, or a URL")
    if options.batch_api:
        raise UsageError("--batch-api gathers what --ray spreads over processes: choose one")
    check_address(options.ray or "", options.limits.connect_seconds)


def manner_of(options: Options) -> ModelSettings:
    """Return how Claude is to answer. Raises `UsageError` for what the API refuses in every request."""
    thinking, choice, most = options.thinking, options.tool_choice, options.limits.max_tokens
    if options.bare_api and (options.effort or thinking):
        raise UsageError("--bare-api sends neither effort nor thinking: leave out --effort and --thinking, or it")
    manner = ModelSettings(effort=options.effort, thinking=thinking, tool_choice=choice, bare=options.bare_api)
    if thinking not in (None, "disabled") and choice not in (None, "none"):
        raise UsageError(
            f"--tool-choice {choice} forces a call, which the API refuses while Claude thinks (--thinking {thinking}):"
            " leave out one of them, or use --thinking disabled"
        )
    if manner.budget and manner.budget >= most:
        raise UsageError(
            f"--thinking {manner.budget} is not below --max-tokens {most}, which bounds thinking and reply together:"
            " raise --max-tokens or lower --thinking"
        )
    return manner


def check_api(*choices: SelectedModel | None) -> None:
    """Raise `UsageError` where a model is asked over HTTP and the environment keeps every client from being made."""
    if any(choice.record.is_asked for choice in choices if choice):
        check_network(is_api=True)


def query_problems(query: Query, manner: ModelSettings) -> Iterator[Problem]:
    """Find what the API would refuse of a query because of `--thinking` and `--tool-choice`."""
    budget, tool = manner.budget, manner.named_tool
    if budget and query.max_tokens is not None and query.max_tokens <= budget:
        yield "max_tokens", f"is {query.max_tokens}, and must be above --thinking {budget}"
    if tool and query.tools and not fits(tool, query.tools):
        yield "tools", f"leaves out {tool}, which --tool-choice names"


def reach(server: AnyServer, options: Options, account: Credentials) -> tuple[Target, Redactor]:
    """Read what is asked of the server alone: how to reach it, and what must not be seen. Raises `UsageError`."""
    if isinstance(server, str | PathLike):
        target = parse_target(checked("server", SERVER, server), options.server_args, options.cwd)
    else:
        target = _in_process(server)
    target = started_otherwise(target, python=options.python, cwd=options.cwd)
    env = {name: value for file in options.env_files for name, value in variables_of(file).items()}
    target = with_more(target, env={**env, **options.env}, headers=options.headers)
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
    target = authorized(target, token=given_value("--token", options.token, variables), client=client)
    found = [*account.secrets, *url_secrets(options.base_url or ""), *secrets_of(target)]
    return target, Redactor(found, options.redact)


def _in_process(server: object) -> InProcessTarget:
    """Return the target for a server of the SDK. Raises `UsageError` for any other object.

    The SDK is not imported: an object of one of its classes shows that it has been.
    """
    sdk = sys.modules.get("mcp.server")
    if sdk is None or not isinstance(server, sdk.MCPServer | sdk.Server):
        expected = "a file, a URL, a command line, or a server of the MCP SDK"
        raise UsageError(f"server must be {expected}, not {type_name(server)}")
    return InProcessTarget(server)


def unreached(options: Options) -> Options:
    """Give options without what says how a server is started or reached: one in this process is there already."""
    default = Options()
    return replace(options, **{name: getattr(default, name) for name in _REACHING})


def offers_of(options: Options) -> ClientFeatures:
    """Read what servers that ask are offered. Raises `UsageError` for a root that is no folder."""
    return ClientFeatures(
        elicit=options.elicit,
        sampling=options.limits.max_sampling > 0,
        roots=tuple(map(_root, options.roots)),
        log_level=options.log_level,
    )


def _root(folder: str) -> JsonObject:
    """Make a root of a folder, as MCP has it: a `file:` URI and a name."""
    path = Path(folder).resolve()
    if not path.is_dir():
        raise UsageError(f"--root {folder}: there is no such folder")
    return {"uri": path.as_uri(), "name": path.name or str(path)}


def _batched(options: Options) -> Limits:
    """Give the limits of a run whose turns go through batches, which take up to a day.

    No server is told that it may ask the model: a call could not wait for that. A server of its own for each of
    thousands of queries would be too many.
    """
    limits = replace(options.limits, max_sampling=0)
    if options.fresh_server and limits.batch_queries is None:
        limits = replace(limits, batch_queries=limits.concurrency)
    return limits
