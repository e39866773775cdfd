"""Build the plan of a run from a command line, and report every usage error before anything runs."""

from __future__ import annotations

import os
import shlex
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from mcprun._util.command_line import path_exists
from mcprun._util.url_secrets import without_secrets
from mcprun.cli.config_command import SERVER_ARGS
from mcprun.cli.options import run as run_options
from mcprun.cli.options.auth import SECRETS
from mcprun.client.oauth_client import as_kept
from mcprun.client.server_argument import SERVER_FILES
from mcprun.config.option_table import KEYS
from mcprun.config.project import environment
from mcprun.engine.plan import Options, make_plan
from mcprun.engine.resume import Resume
from mcprun.engine.run import RunPlan
from mcprun.errors import REDACTED, UsageError
from mcprun.limits import Limits
from mcprun.prompts.patterns import files_of
from mcprun.runs.directory import PROMPTS
from mcprun.runs.run import Run
from mcprun.runs.spelt_patterns import shown_pattern

_NOT_KEPT = ("resume", "retry_errors", "force", "quiet", "github")
"""Parameters that control resuming and printing, which are not recorded as arguments of the run."""

_JSONL = ".jsonl"

_NAMED = 10
"""Maximum number of prompts files that a message names."""

_SAME = tuple(field.name for field in fields(Options) if field.name not in ("limits", "headers", "server_args"))
"""Options with the same name as their flag."""

_LIMITS = {field.name: KEYS[field.name] for field in fields(Limits)}
"""The flag of each limit."""


def plan_from_context(ctx: click.Context) -> RunPlan:
    """Build the plan of `mcprun batch` from its arguments and the files they name.

    Raises `UsageError`, or click's own.
    """
    try:
        return _plan(ctx)
    except UsageError as error:
        begun_in = ctx.params["resume"].record.folder if ctx.params["resume"] else None
        if begun_in and Path(begun_in) != Path.cwd():
            raise UsageError(f"{error} (the run was begun in {begun_in})") from None
        raise


def _plan(ctx: click.Context) -> RunPlan:
    given = ctx.params
    _take_up(ctx)
    _check(ctx)
    if ctx.get_parameter_source("prompts") is ParameterSource.DEFAULT_MAP and not given["resume"]:
        given["prompts"] = _the_only(given["prompts"], ctx.obj.names["prompts"])
    server_args = ctx.meta.get(run_options.WithServerArgs.KEY, ())
    resume = Resume(given["resume"], given["retry_errors"], given["force"]) if given["resume"] else None
    plan = make_plan(
        given["prompts"],
        given["server"],
        options_of(ctx),
        resume=resume,
        kept=_kept(ctx, resume) if resume else None,
    )
    model = plan.model
    if resume and ctx.get_parameter_source("model") is ParameterSource.DEFAULT_MAP:
        model = replace(model, record=resume.run.record.model)
    return replace(plan, model=model, arguments=arguments_of(ctx, server_args))


def _the_only(pattern: str, source: str) -> str:
    """Return the one prompts file that a project's pattern matches: pytest collects all matches, but a run has one."""
    found = files_of(pattern)
    if not found:
        raise UsageError(f"no prompts file fits {pattern} (set by {source})")
    if len(found) > 1:
        names = ", ".join([*found[:_NAMED], *(["…"] if found[_NAMED:] else [])])
        raise UsageError(f"{len(found)} prompts files fit {pattern}, so name one of them: {names} (set by {source})")
    return found[0]


def options_of(ctx: click.Context) -> Options:
    """Return the options of a command that uses a model, as in the Python API. Options it lacks have defaults."""
    given = ctx.params
    return Options(
        limits=_limits(given),
        headers=given["header"],
        server_args=ctx.meta.get(run_options.WithServerArgs.KEY, ()),
        **{name: given[name] for name in _SAME if name in given},
    )


def _limits(given: dict[str, Any]) -> Limits:
    known = {name: given[flag] for name, flag in _LIMITS.items() if flag in given}
    return Limits(**known | ({"retries": 0} if given["no_retry"] else {}))


def _take_up(ctx: click.Context) -> None:
    """Combine the recorded arguments of a resumed run with those given now.

    A value that was not recorded because it is a secret must be given again. A flag given now replaces a recorded one
    that contradicts it, but redaction patterns are only ever added.
    """
    given, recorded = ctx.params, {
        name for name in ctx.params if ctx.get_parameter_source(name) is ParameterSource.DEFAULT_MAP
    }  # fmt: skip
    for name in sorted(recorded - {"env", "header"}):
        if REDACTED in str(given[name]):
            param = next(param for param in ctx.command.params if param.name == name)
            flag = param.opts[0] if isinstance(param, click.Option) else "SERVER (behind PROMPTS)"
            raise UsageError(f"{flag} of this run was not kept as it was, since it holds a secret: give it again")
    if ctx.get_parameter_source("redact") is ParameterSource.COMMANDLINE:
        before = (ctx.default_map or {}).get("redact", ())  # from the resumed run or the project
        kept = [pattern for pattern in before if REDACTED not in pattern]
        if len(before) - len(kept) > len(given["redact"]):
            raise UsageError(
                f"{len(before) - len(kept)} --redact patterns of this run were not kept as they were, since they hold"
                f" secrets: give all of them again, not {len(given['redact'])}"
            )
        given["redact"] = (*kept, *given["redact"])
    if any(REDACTED in arg for arg in ctx.meta.get(run_options.WithServerArgs.KEY, ())):
        raise UsageError("the server's arguments were not kept as they were, since they hold a secret: give them again")


def _check(ctx: click.Context) -> None:
    """Raise a usage error for missing arguments and contradictory flags."""
    given = ctx.params
    if given["resume"] and given["prompts"] is None:
        raise UsageError(_why_not_resumed(given["resume"]))
    for name in ("prompts", "server"):
        if given[name] is None:
            raise click.UsageError(f"Missing argument '{name.upper()}'. A project may set it: {name} in mcprun.toml.")
    _check_order(given["prompts"], given["server"])
    if given["batch_api"] and ctx.get_parameter_source("max_sampling") is ParameterSource.COMMANDLINE:
        raise click.UsageError("--max-sampling lets servers ask the model, and with --batch-api none could wait for it")
    if given["resume"] and ctx.get_parameter_source("out") is ParameterSource.COMMANDLINE:
        raise click.UsageError("--resume goes on in the run's own folder: --out can't give it another")
    if not given["resume"] and (given["retry_errors"] or given["force"]):
        raise click.UsageError("--retry-errors and --force go with --resume RUN")


def _why_not_resumed(run: Run) -> str:
    """Return why a run that names no prompts file can't be resumed, and what to do instead."""
    path = run.path
    if run.is_baseline:
        return f"{path} is a baseline, which can't be resumed; replace it by a new run: mcprun bless RUN {path} --force"
    return (
        f"{path} is a chat, and only a person can go on with it; what was asked can be run again:"
        f" mcprun batch {path / PROMPTS} SERVER"
    )


def _check_order(prompts: str, server: str) -> None:
    """Raise `UsageError` if PROMPTS and SERVER are swapped, or if PROMPTS is a server's file."""
    is_one_word = len(server.split()) == 1 or path_exists(Path(server))  # a command line may end in .jsonl
    if server.endswith(_JSONL) and is_one_word and prompts != "-" and not prompts.endswith(_JSONL):
        name = without_secrets(prompts) if "://" in prompts else prompts
        raise UsageError(f"PROMPTS comes before SERVER: mcprun batch {shlex.join([server, name])}")
    if prompts.lower().endswith(SERVER_FILES):
        raise UsageError(f"{prompts} is a server's file: PROMPTS comes before SERVER, and is JSONL")


def _kept(ctx: click.Context, resume: Resume) -> Path | None:
    """Return the prompts that a resumed run has kept, if they came on stdin and no others are given now."""
    if ctx.get_parameter_source("prompts") is not ParameterSource.DEFAULT_MAP:
        return None
    kept = resume.run.prompts
    if kept.exists():
        return kept
    if ctx.params["prompts"] == "-":
        raise UsageError("the prompts came on stdin and were not kept, since they hold secrets: give them again, as -")
    return None


def without_secret(name: str, value: Any) -> Any:
    """Return a parameter's value with secrets redacted."""
    if value is None:
        return None
    if name == "env":
        return [f"{one}={REDACTED}" for one in value]
    if name == "redact":
        return [shown_pattern(one) for one in value]
    if name == "header":
        return [f"{one}: {REDACTED}" for one in value]
    if name in SECRETS:
        return as_kept(name, value, environment())
    if name == SERVER_ARGS.name:
        return [without_secrets(one) if "://" in one else one for one in value]
    return without_secrets(value) if isinstance(value, str) and "://" in value else value


def arguments_of(ctx: click.Context, server_args: tuple[str, ...]) -> dict[str, Any]:
    """Return the arguments that `run.json` records: no defaults, and no secrets in URLs or other values."""
    written: dict[str, Any] = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in ctx.params.items()
        if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT and name not in _NOT_KEPT
    }
    if "env" in written:  # a value that is in the environment can be read again on resume
        written["env"] = [
            name if os.environ.get(name) == value else f"{name}={REDACTED}" for name, value in written["env"].items()
        ]
    for name in {"header", "redact", "server", "base_url", *SECRETS} & written.keys():
        written[name] = without_secret(name, written[name])
    return {**written, "server_args": list(server_args)} if server_args else written
