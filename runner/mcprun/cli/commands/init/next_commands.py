"""The commands to run after `mcprun init`: in the user's shell, and in the workflow."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from mcprun._util.url_secrets import without_secrets
from mcprun.cli.argument_sources import Arguments, Source
from mcprun.cli.options.auth import SECRETS
from mcprun.client.target import has_folder, variables_of
from mcprun.config.option_table import KEYS
from mcprun.config.project import variable_of
from mcprun.report.reproduce import header_flag, header_variable
from mcprun.runs.literal_patterns import shown_pattern

_VARIABLE = "env:"
"""The prefix of a secret's value that names a variable."""

_LISTED = ("roots", "env_files")
_PLAIN = (
    "cwd", "python", "protocol", "elicit", "oauth_client_id", "oauth_private_key", "oauth_algorithm", "oauth_scope",
    "oauth_issuer", "connect_timeout", "call_timeout", "max_call_timeout", "max_sampling",
)  # fmt: skip
"""Options with a single value that is not a secret. Those of `_LISTED` have several."""


@dataclass(frozen=True, slots=True)
class Commands:
    """The commands to run after `mcprun init`, quoted for a shell.

    `server` and `args` are the user's arguments without secrets, and `flags` are options with their values. `env` and
    `headers` hold names only; the values of headers are taken from variables. `variables` are read by mcprun itself,
    such as `MCPRUN_TOKEN`.
    """

    prompts: str
    server: str
    args: Sequence[str] = ()
    flags: Sequence[str] = ()
    env: Sequence[str] = ()
    headers: Sequence[str] = ()
    variables: Sequence[str] = ()

    @property
    def baseline(self) -> str:
        """The baseline's folder, beside the prompts."""
        return str(PurePath(self.prompts).parent / "baseline")

    def batch(self, *flags: str) -> str:
        """Return the command that runs the queries with `flags`."""
        words = ["mcprun", "batch", self.prompts, self.server, *self.flags, *flags]
        words = [shlex.quote(word) for word in words]
        words += [f"--env {shlex.quote(name)}" for name in self.env]
        words += [header_flag(name) for name in self.headers]
        return " ".join([*words, *(["--", shlex.join(self.args)] if self.args else [])])

    def script(self, *flags: str) -> str:
        """Return the command that runs the scripts of the queries with `flags`."""
        return self.batch("--model", "script", *flags)

    def compare(self, *flags: str) -> str:
        """Return the command that runs the scripts with `flags`, and compares the run with the baseline."""
        return self.script("--baseline", self.baseline, *flags)

    @property
    def bless(self) -> str:
        """The command that makes the last run the baseline."""
        return f"mcprun bless latest {shlex.quote(self.baseline)}"

    @property
    def secrets(self) -> list[str]:
        """Names of the variables that hold secrets."""
        return list(dict.fromkeys([*self.env, *map(header_variable, self.headers), *self.variables]))


@dataclass(frozen=True, slots=True)
class Next:
    """The commands to run next: `here` in the user's shell, and `there` in the workflow.

    Each contains the settings that are missing where it runs. The workflow reads the project's file, the user's shell
    also has the environment. `unset` names the variables of `here` that are not set to the values passed to `init`.
    """

    here: Commands
    there: Commands
    unset: Sequence[str] = ()


def next_commands(arguments: Arguments, settings: Sequence[str], redact: Callable[[str], str]) -> Next:
    """Return the commands to run next, without secrets and without options that are set where they run.

    `settings` are further flags for both. `redact` removes secrets from a text.
    """
    here = _commands(arguments, [Source.COMMAND_LINE], settings, redact)
    there = _commands(_for_workflow(arguments), [Source.COMMAND_LINE, Source.ENVIRONMENT], settings, redact)
    values = _secret_values(arguments)
    unset = [name for name in here.secrets if os.environ.get(name, "") != values.get(name, os.environ.get(name))]
    return Next(here, there, unset)


def _commands(
    arguments: Arguments, sources: Sequence[Source], settings: Sequence[str], redact: Callable[[str], str]
) -> Commands:
    """Return the commands with the options that come from `sources`."""
    values = {name: value for name, value in arguments.values.items() if arguments.source(name) in sources}
    server = arguments.values["server"]
    is_url = server.lower().startswith(("http://", "https://"))
    secret_flags, variables = _secrets(values)
    return Commands(
        prompts=str(arguments.values["prompts"]),
        server=redact(without_secrets(server) if is_url else server),
        args=[redact(one) for one in values.get("server_args", ())],
        flags=[*settings, *(redact(word) for word in _flags(values)), *secret_flags],
        env=list(values.get("env", ())),
        headers=list(values.get("header", ())),
        variables=variables,
    )


def _for_workflow(arguments: Arguments) -> Arguments:
    """Return the arguments that apply on another machine.

    It has neither the Python of a virtual environment, whose packages the workflow installs, nor files of variables,
    which are not committed: each variable becomes a secret.
    """
    values = arguments.values
    if values["python"] and has_folder(values["python"]):
        arguments = arguments.without("python")
    if values["env_files"] and arguments.source("env_files") is not Source.FILE:
        found = {name: value for file in values["env_files"] for name, value in variables_of(file).items()}
        origin = arguments.origin("env" if values["env"] else "env_files")
        arguments = arguments.having("env", {**found, **values["env"]}, origin).without("env_files")
    return arguments


def _flags(values: dict[str, Any]) -> Iterator[str]:
    for name in (*_PLAIN, *_LISTED):
        for value in values.get(name, ()) if name in _LISTED else [values.get(name)]:
            if value is not None:
                yield from (f"--{_key(name)}", f"{value:g}" if isinstance(value, float) else str(value))


def _secrets(values: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Return the flags of secrets, which name a variable, and all variables that hold secrets.

    A secret that is not in a variable of its own is read from the one that mcprun reads without a flag.
    """
    flags: list[str] = []
    variables: list[str] = []
    for name in SECRETS:
        value = values.get(name)
        if value and value.startswith(_VARIABLE):
            flags += [f"--{_key(name)}", value]
            variables.append(value.removeprefix(_VARIABLE))
        elif value:
            variables.append(variable_of(KEYS[name]))
    patterns = values.get("redact", ())
    if all(shown_pattern(pattern) == pattern for pattern in patterns):
        flags += [word for pattern in patterns for word in ("--redact", pattern)]
    else:
        variables.append(variable_of("redact"))
    return flags, variables


def _secret_values(arguments: Arguments) -> dict[str, str]:
    """Return the values passed to `init` by the variable that the printed commands take them from."""
    values = dict(arguments.values["env"])
    values |= {header_variable(name): value for name, value in arguments.values["header"].items()}
    for name in SECRETS:
        value = arguments.values[name]
        if value and not value.startswith(_VARIABLE):
            values[variable_of(KEYS[name])] = value
    return values


def _key(name: str) -> str:
    return KEYS.get(name, name).replace("_", "-")
