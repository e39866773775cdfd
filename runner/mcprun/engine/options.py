"""The options of a run, and what else its caller passes: the prompts and the server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

from mcprun._util.json_value import JsonObject
from mcprun._util.statistics import ALPHA
from mcprun.client.request_owner import LogLevel
from mcprun.config.option_table import OPTIONS
from mcprun.errors import UsageError
from mcprun.limits import AUTO, Limits
from mcprun.option_kinds import changed_fields, check_fields, type_name

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
        min_coverage: The share of the server's tools that must be covered, from 0 to 1. None is any.
        require: Tools that must be covered.
        waive: Patterns of tools that need not be covered.
        route: Whether to ask the model once per query, make no call, and grade the calls that it asks for.
        decoys: Snapshots or runs of other servers, whose tools are added to the model's list in a routed run.
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
    min_coverage: float | None = None
    require: Sequence[str] = ()
    waive: Sequence[str] = ()
    route: bool = False
    decoys: Sequence[str] = ()
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


def without_server_options(options: Options) -> Options:
    """Return the options without those for starting or reaching a server: one in this process is running already."""
    default = Options()
    return replace(options, **{name: getattr(default, name) for name in _CONNECTION_OPTIONS})
