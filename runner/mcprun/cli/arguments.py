"""Build the plan of a run from a command line, and report every usage error before anything runs."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import click

from mcprun._util.command_line import path_exists
from mcprun._util.json_value import JsonObject
from mcprun._util.url_secrets import without_secrets
from mcprun.cli.argument_sources import Arguments, Source
from mcprun.cli.configurable_command import require
from mcprun.client.server_argument import SERVER_FILES
from mcprun.config.option_table import KEYS
from mcprun.engine.options import Options
from mcprun.engine.plan import make_plan
from mcprun.engine.recorded_arguments import recorded_arguments
from mcprun.engine.resume import Resume
from mcprun.engine.run import RunPlan
from mcprun.errors import UsageError
from mcprun.limits import Limits
from mcprun.prompts.patterns import files_of
from mcprun.prompts.yaml_file import SUFFIXES as YAML_SUFFIXES
from mcprun.runs.directory import PROMPTS
from mcprun.runs.run import Run

_NOT_RECORDED = (
    "resume", "detect_volatile", "retry_errors", "force", "update", "quiet", "verbose", "dry_run", "github",
)  # fmt: skip
"""Parameters that control resuming and printing, which are not recorded as arguments of the run."""

_SOURCES = {Source.ENVIRONMENT: "environment", Source.FILE: "file"}

_PROMPTS = (".jsonl", *YAML_SUFFIXES)

_NAMED = 10
"""Maximum number of prompts files that a message names."""

_SAME = tuple(field.name for field in fields(Options) if field.name not in ("limits", "headers"))
"""Options with the same name as their flag."""

_LIMITS = {field.name: KEYS[field.name] for field in fields(Limits)}
"""The flag of each limit."""


def plan_from_arguments(arguments: Arguments) -> RunPlan:
    """Build the plan of `mcprun batch` from its arguments and the files they name.

    Raises `UsageError`, or click's own.
    """
    try:
        return _plan(arguments)
    except UsageError as error:
        run = arguments.values["resume"]
        folder = run.record.folder if run else None
        if folder and Path(folder) != Path.cwd():
            raise UsageError(f"{error} (the run was started in {folder})") from None
        raise


def _plan(arguments: Arguments) -> RunPlan:
    _check(arguments)
    if arguments.source("prompts") in (Source.ENVIRONMENT, Source.FILE):
        pattern, origin = arguments.values["prompts"], arguments.origin("prompts")
        arguments = arguments.having("prompts", _single_file(pattern, origin.name))
    arguments = _without_gates_of_selection(arguments)
    values = arguments.values
    resume = Resume(values["resume"], values["retry_errors"], values["force"]) if values["resume"] else None
    plan = make_plan(
        values["prompts"],
        values["server"],
        options_of(values),
        resume=resume,
        stored_prompts=_stored_prompts(arguments, resume) if resume else None,
    )
    model = plan.model
    if resume and arguments.source("model") is Source.RUN:
        model = replace(model, record=resume.run.record.model)
    return replace(plan, model=model, arguments=as_recorded(arguments), configured=configured(arguments, resume))


def _without_gates_of_selection(arguments: Arguments) -> Arguments:
    """Leave out the project's coverage gates if the command line selects queries, or only routes them.

    The gates are those of a whole suite that makes its calls. The project's decoys are left out if nothing is routed.
    """
    names: dict[str, Any] = {}
    if any(arguments.is_given(name) for name in ("filters", "limit", "route")):
        names = {"min_coverage": None, "require": (), "waive": ()}
    if not arguments.values.get("route"):
        names["decoys"] = ()
    for name, default in names.items():
        if arguments.source(name) in (Source.ENVIRONMENT, Source.FILE):
            arguments = arguments.having(name, default).without(name)
    return arguments


def _single_file(pattern: str, source: str) -> str:
    """Return the one prompts file that a project's pattern matches: pytest collects all matches, but a run has one."""
    files = files_of(pattern)
    if not files:
        raise UsageError(f"no prompts file matches {pattern} (set by {source})")
    if len(files) > 1:
        names = ", ".join([*files[:_NAMED], *(["…"] if files[_NAMED:] else [])])
        raise UsageError(f"{len(files)} prompts files match {pattern} (set by {source}): name one of {names}")
    return files[0]


def options_of(parameters: Mapping[str, Any]) -> Options:
    """Return the options of a command, as in the Python API. Options that the command lacks have defaults."""
    return Options(
        limits=_limits(parameters),
        headers=parameters["header"],
        **{name: parameters[name] for name in _SAME if name in parameters},
    )


def _limits(parameters: Mapping[str, Any]) -> Limits:
    values = {name: parameters[flag] for name, flag in _LIMITS.items() if flag in parameters}
    return Limits(**values | ({"retries": 0} if parameters.get("no_retry") else {}))


def _check(arguments: Arguments) -> None:
    """Raise a usage error for missing arguments and contradictory flags."""
    if arguments.lost:
        raise UsageError(arguments.lost[0])
    values = arguments.values
    if values["resume"] and values["prompts"] is None:
        raise UsageError(_why_not_resumed(values["resume"]))
    require(arguments, "prompts", "server")
    _check_order(values["prompts"], values["server"])
    if values["quiet"] and values["verbose"]:
        raise click.UsageError("--quiet and --verbose can't be combined")
    if values["batch_api"] and arguments.is_given("max_sampling"):
        raise click.UsageError("--max-sampling can't be combined with --batch-api: a server can't wait for a batch")
    if values["resume"] and arguments.is_given("out"):
        raise click.UsageError("--out can't be combined with --resume: a run continues in its own directory")
    if not values["resume"] and (values["retry_errors"] or (values["force"] and not values["update"])):
        raise click.UsageError("--retry-errors and --force require --resume RUN")


def _why_not_resumed(run: Run) -> str:
    """Return why a run that names no prompts file can't be resumed, and what to do instead."""
    path = run.path
    if run.is_baseline:
        return (
            f"{path} is a baseline, which can't be resumed; replace it with a new run: mcprun bless RUN {path} --force"
        )
    return (
        f"{path} is a chat, which can't be resumed; run its questions again with: mcprun batch {path / PROMPTS} SERVER"
    )


def _check_order(prompts: str, server: str) -> None:
    """Raise `UsageError` if PROMPTS and SERVER are swapped, or if PROMPTS is a server's file."""
    is_one_word = len(server.split()) == 1 or path_exists(Path(server))  # a command line may end in .jsonl
    if server.endswith(_PROMPTS) and is_one_word and prompts != "-" and not prompts.endswith(_PROMPTS):
        name = without_secrets(prompts) if "://" in prompts else prompts
        raise UsageError(f"PROMPTS comes before SERVER: mcprun batch {shlex.join([server, name])}")
    if prompts.lower().endswith(SERVER_FILES):
        raise UsageError(f"{prompts} is a server file: PROMPTS, a JSONL or YAML file, comes before SERVER")


def _stored_prompts(arguments: Arguments, resume: Resume) -> Path | None:
    """Return the path of the prompts in the resumed run, if they came from stdin and no others are passed now."""
    if arguments.source("prompts") is not Source.RUN:
        return None
    stored = resume.run.prompts
    if stored.exists():
        return stored
    if arguments.values["prompts"] == "-":
        raise UsageError(
            "the prompts came from stdin and were not recorded because they contain secrets: pass them again, as -"
        )
    return None


def as_recorded(arguments: Arguments) -> JsonObject:
    """Return the arguments that `run.json` records: no defaults, and no secrets in URLs or other values."""
    return recorded_arguments(
        {
            name: value
            for name, value in arguments.values.items()
            if name in arguments.origins and name not in _NOT_RECORDED
        }
    )


def configured(arguments: Arguments, resume: Resume | None = None) -> dict[str, str]:
    """Return the arguments that the environment or the project's file set, with that source: `RunRecord.configured`.

    Those of a resumed run come from where that run has recorded.
    """
    earlier = resume.run.record.configured if resume else {}
    found = {
        name: earlier.get(name) if origin.source is Source.RUN else _SOURCES.get(origin.source)
        for name, origin in arguments.origins.items()
    }
    return {name: source for name, source in found.items() if source and name not in _NOT_RECORDED}
