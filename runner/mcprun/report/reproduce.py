"""Commands that reproduce a run and its queries: `mcprun batch … --filter ID`, and `mcprun show RUN ID`.

A query that a step fails also has the command that makes the step's call again, `mcprun call`. A command repeats every
recorded option that can change a verdict, and takes values that are secrets from variables of the environment.
`IRRELEVANT` lists the options that it leaves out. Commands are quoted for a POSIX shell, and are run in the folder in
which the run was started.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from mcprun.config.option_table import KEYS, KINDS
from mcprun.config.project import variable_of
from mcprun.errors import REDACTED
from mcprun.option_kinds import Headers, Listed, Switch, Variables
from mcprun.report.steps import failing_step
from mcprun.runs.directory import PROMPTS
from mcprun.runs.run_record import IN_PROCESS, RunRecord
from mcprun.runs.transcript import Transcript

IRRELEVANT: Mapping[str, str] = {
    "out": "the run gets a new directory",
    "html": "a report",
    "junit": "a report",
    "markdown": "a report",
    "csv": "a report",
    "tap": "a report",
    "github": "a report",
    "otel": "a report",
    "quiet": "printing",
    "verbose": "printing",
    "show_config": "printing",
    "dry_run": "runs nothing",
    "resume": "its arguments are recorded as those of the run",
    "retry_errors": "only with --resume",
    "force": "only with --resume or --update",
    "update": "changes the baseline",
    "detect_volatile": "each pass is a run of its own",
    "max_failures": "ends the run before other queries",
    "ray": "where queries run",
    "ray_actors": "only with --ray",
    "batch_queries": "the pace of batches",
    "batch_wait": "the pace of batches",
    "batch_poll": "the pace of batches",
}
"""Options of `mcprun batch` that are not repeated, because they do not change a query's verdict, and why."""

_PLACED = frozenset({"prompts", "server", "server_args", "model", "baseline"})
"""Arguments whose place or value is not that of a recorded flag."""

SELECTION = frozenset({"filters", "limit", "shard", "min_coverage", "require", "waive"})
"""Options that select queries, or concern all that are selected: the command of one query replaces them by its id."""

MODEL_ONLY = frozenset({"base_url", "bare_api", "batch_api", "effort", "thinking", "tool_choice"})
"""Options that only a model of an API takes."""

_STARTING = frozenset({
    "python", "cwd", "protocol", "env", "env_file", "header", "root", "token", "oauth_client_id", "oauth_client_secret",
    "oauth_private_key", "oauth_algorithm", "oauth_assertion", "oauth_issuer", "oauth_scope", "connect_timeout",
    "max_sampling", "redact",
})  # fmt: skip
"""Keys of the options that say how to connect to a server, and that `mcprun tools` has as well."""

_CALLING = _STARTING | {"elicit", "call_timeout", "max_call_timeout", "max_result_bytes"}
"""Keys of the options that can change the result of a call, and that `mcprun call` has as well."""

_MAX_INPUT = 4_000
"""Maximum number of characters of the input in a command."""

_SECRETS = frozenset({"token", "oauth_client_secret", "oauth_assertion"})

_ORDER = {key: place for place, key in enumerate(KINDS)}
_OPTIONAL_VALUE = "env:"
"""The prefix of a secret's value that names a variable."""


@dataclass(frozen=True, slots=True)
class Commands:
    """The commands of a run.

    Attributes:
        start: The words of `mcprun batch` up to the selection of queries; empty if the run can't be repeated so, as
            one whose server was an object of a program.
        selection: The flags that selected the run's own queries.
        end: What follows the selection: the server's arguments.
        call: The words of `mcprun call` up to the tool; empty if they contain a secret, or if the server can't be
            started by a command.
        run: The run directory, from `folder` if it is below it.
        folder: The folder to run the commands in; empty if it is unknown.
        needs: The variables that must be set, because their values are secrets and not recorded.
        unknown: What the command names in capitals, because it contains a secret.
    """

    start: str
    run: str
    selection: str = ""
    end: str = ""
    call: str = ""
    folder: str = ""
    needs: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @classmethod
    def of(cls, record: RunRecord, run: Path | str = "") -> Self:
        """Return the commands of a run in the directory `run`."""
        folder = record.folder or ""
        path = _from_folder(str(run), folder)
        words = _Words(record, path, _has_prompts(run))
        return cls(
            start=words.start(),
            run=path,
            selection=words.joined(_flags(record.arguments, SELECTION, record.configured)),
            end=words.end(),
            call=_call_words(record),
            folder=folder,
            needs=tuple(dict.fromkeys(words.needs)),
            unknown=tuple(dict.fromkeys(words.unknown)),
        )

    @property
    def can_repeat(self) -> bool:
        """Whether there is a command that runs queries of this run again."""
        return bool(self.start)

    def batch(self, query: str | None = None) -> str:
        """Return the command that runs one query again, or all queries of the run; empty if there is none."""
        if not self.start:
            return ""
        selection = self.selection if query is None else f" {flag('filter', query)}"
        return f"{self.start}{selection}{self.end}"

    def show(self, query: str | None = None) -> str:
        """Return the command that prints a query's conversation, or the run."""
        words = ["mcprun", "show", self.run]
        if query is not None:
            words += ["--", query] if query.startswith("-") else [query]
        return shlex.join(words)

    def both(self, query: str) -> list[str]:
        """Return the commands that run a query again, if there is one, and that print it."""
        return [*filter(None, [self.batch(query)]), self.show(query)]

    def step(self, transcript: Transcript) -> str:
        """Return the command that makes the call of the step that fails a query again; empty if there is none.

        There is none for a read, for an input that is too long for a command, and for one that contains a secret.
        """
        step = failing_step(transcript)
        if not self.call or step is None or step.tool is None or step.tool.startswith("-"):
            return ""
        arguments = json.dumps(step.input, ensure_ascii=False) if step.input else ""
        if len(arguments) > _MAX_INPUT or REDACTED in f"{step.tool}{arguments}":
            return ""
        words = " ".join(shlex.quote(word) for word in (step.tool, arguments) if word)
        return f"{self.call} {words}{self.end}"

    def of_query(self, transcript: Transcript) -> list[str]:
        """Return the commands of `both`, and before them that of the step that fails the query, if there is one."""
        return [*filter(None, [self.step(transcript)]), *self.both(transcript.id)]

    @property
    def note(self) -> str:
        """What must be known before a command is run, in one sentence; empty if there is nothing."""
        return _note(self.needs, self.unknown)


def tools_command(record: RunRecord) -> tuple[str, str]:
    """Return the command that connects to a run's server and lists its tools, and its note; empty if there is none."""
    server = str(record.arguments.get("server", ""))
    if not server or server.endswith(IN_PROCESS):
        return "", ""
    words = _Words(record, "", has_prompts=False)
    command = f"mcprun tools {words.server()}{words.joined(_named_flags(record, _STARTING))}"
    return command + words.end(), _note(words.needs, words.unknown)


def _call_words(record: RunRecord) -> str:
    server, words = str(record.arguments.get("server", "")), _Words(record, "", has_prompts=False)
    if not server or server.endswith(IN_PROCESS):
        return ""
    start = f"mcprun call {words.server()}{words.joined(_named_flags(record, _CALLING))}"
    return "" if words.unknown else start


def _note(needs: Iterable[str], unknown: Iterable[str]) -> str:
    needed, replaced = list(dict.fromkeys(needs)), list(dict.fromkeys(unknown))
    parts = [f"set {_listed(needed)} first: secrets are not recorded"] if needed else []
    parts += [f"replace {_listed(replaced)}, which contained a secret"] if replaced else []
    return f"{'; '.join(parts)[:1].upper()}{'; '.join(parts)[1:]}." if parts else ""


@dataclass(slots=True)
class _Words:
    """Builds the words of a command, and collects what it `needs` and does not know."""

    record: RunRecord
    run: str
    has_prompts: bool
    needs: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    def start(self) -> str:
        record, arguments = self.record, self.record.arguments
        server = str(arguments.get("server", ""))
        if "prompts" not in arguments or not server or server.endswith(IN_PROCESS):
            return ""
        prompts = str(Path(self.run) / PROMPTS) if self.has_prompts else str(arguments["prompts"])
        words = ["mcprun batch", self._placed("prompts", _path(prompts)), self._placed("server", server)]
        words.append(flag("model", self._known("MODEL", record.model.name)))
        words += self.baseline()
        rest = set(arguments) - IRRELEVANT.keys() - _PLACED - SELECTION - self._superseded()
        return " ".join(filter(None, words)) + self.joined(_flags(arguments, rest, record.configured))

    def server(self) -> str:
        return shlex.quote(self._known("SERVER", self.record.arguments["server"]))

    def baseline(self) -> Iterator[str]:
        """Yield the flag of the baseline, whose recorded path is never that of another run by now, as `latest` is."""
        record, named = self.record, self.record.arguments.get("baseline")
        path = record.baseline.path if record.baseline else named
        if path is not None and not (record.configured.get("baseline") == "file" and path == named):
            yield flag("baseline", self._known("BASELINE", path))

    def end(self) -> str:
        arguments, configured = self.record.arguments, self.record.configured
        if not arguments.get("server_args") or configured.get("server_args") == "file":
            return ""
        return " -- " + " ".join(
            shlex.quote(self._known("ARG", one)) for one in _listed_values(arguments["server_args"])
        )

    def joined(self, flags: Iterator[_Flag]) -> str:
        words = []
        for one in flags:
            self.needs += one.needs
            self.unknown += one.unknown
            words += [one.word] if one.word else []
        return "".join(f" {word}" for word in words)

    def _placed(self, name: str, value: Any) -> str:
        """Return a positional argument; empty if it contains a secret that the project's file sets again."""
        if REDACTED in str(value) and self.record.configured.get(name) == "file":
            return ""
        return shlex.quote(self._known(name.upper(), value))

    def _known(self, placeholder: str, value: Any) -> str:
        if REDACTED in str(value):
            self.unknown.append(placeholder)
            return placeholder
        return str(value)

    def _superseded(self) -> set[str]:
        """Return options that can't be flags beside others: batches offer no sampling."""
        return {"max_sampling"} if self.record.arguments.get("batch_api") else set()


@dataclass(frozen=True, slots=True)
class _Flag:
    """A flag, quoted; empty if the value is read without it.

    `needs` are variables that hold its value, and `unknown` is what it names in capitals.
    """

    word: str
    needs: Sequence[str] = ()
    unknown: Sequence[str] = ()


def flag(key: str, value: str | None = None) -> str:
    """Return a flag with its value, quoted. A value that looks like a flag is joined by `=`."""
    name = f"--{key.replace('_', '-')}"
    if value is None:
        return name
    return shlex.quote(f"{name}={value}") if value.startswith("-") else f"{name} {shlex.quote(value)}"


def repeated_flags(
    arguments: Mapping[str, Any], leave_out: Collection[str] = (), configured: Mapping[str, str] | None = None
) -> str:
    """Return the recorded options that can change a verdict, each after a space, without those of `leave_out`.

    The model, the baseline and the selection of queries are not among them. `configured` maps arguments to their
    sources (`RunRecord.configured`).
    """
    names = set(arguments) - IRRELEVANT.keys() - _PLACED - SELECTION - set(leave_out)
    return "".join(f" {one.word}" for one in _flags(arguments, names, configured or {}) if one.word)


def header_variable(header: str) -> str:
    """Return the variable that a command takes a header from: `AUTHORIZATION` for `Authorization`."""
    return re.sub(r"\W", "_", header.upper(), flags=re.ASCII)


def header_flag(header: str) -> str:
    """Return the flag of a header whose value is in a variable."""
    return f'--header {shlex.quote(f"{header}: ")}"${header_variable(header)}"'


def _named_flags(record: RunRecord, keys: Collection[str]) -> Iterator[_Flag]:
    """Yield the flags of the recorded arguments whose keys are among `keys`."""
    names = {name for name in record.arguments if KEYS.get(name, name) in keys}
    return _flags(record.arguments, names, record.configured)


def _flags(arguments: Mapping[str, Any], names: Collection[str], configured: Mapping[str, str]) -> Iterator[_Flag]:
    """Yield the flags of recorded arguments, in the order of the table of options."""
    for name in sorted(names, key=lambda name: (_ORDER.get(KEYS.get(name, name), len(_ORDER)), name)):
        source, value = configured.get(name), arguments.get(name)
        if value is not None and source != "file":
            yield from _flags_of(name, KEYS.get(name, name), value, is_variable=source == "environment")


def _flags_of(name: str, key: str, value: Any, *, is_variable: bool) -> Iterator[_Flag]:
    kind = KINDS.get(key)
    is_secret = isinstance(kind, Variables | Headers) or name in _SECRETS or REDACTED in str(value)
    if is_secret and is_variable:
        yield _Flag("", [variable_of(key)])
    elif isinstance(kind, Variables):
        yield from (_Flag(flag(key, one), [one]) for one in _names(value, "="))
    elif isinstance(kind, Headers):
        yield from (_Flag(header_flag(one), [header_variable(one)]) for one in _names(value, ":"))
    elif name in _SECRETS:
        yield _secret(key, str(value))
    elif name == "redact" and REDACTED in str(value):
        yield _Flag("", [variable_of(key)])
    elif isinstance(kind, Switch):
        yield _Flag(flag(key if value else f"no_{key}"))
    elif isinstance(kind, Listed):
        for one in _listed_values(value):
            yield _plain(key, one)
    else:
        yield _plain(key, value)


def _secret(key: str, value: str) -> _Flag:
    """Return the flag of a secret in a variable. None is needed if mcprun reads that variable without it."""
    own = variable_of(key)
    variable = value.removeprefix(_OPTIONAL_VALUE) if value.startswith(_OPTIONAL_VALUE) else own
    return _Flag("" if variable == own else flag(key, value), [variable])


def _plain(key: str, value: Any) -> _Flag:
    if REDACTED in str(value):
        return _Flag(flag(key, key.upper()), unknown=[key.upper()])
    return _Flag(flag(key, _text(value)))


def _text(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _names(value: Any, mark: str) -> list[str]:
    """Return the names of recorded variables or headers (`NAME`, `NAME=[redacted]`, `NAME: [redacted]`)."""
    return [str(one).partition(mark)[0] for one in _listed_values(value)]


def _listed_values(value: Any) -> Iterable[Any]:
    """Return a recorded list, or the one value that stands for it: a record may come from elsewhere."""
    return value if isinstance(value, list | tuple | dict) else [value]


def _path(name: str) -> str:
    """Return a path that can't be mistaken for a flag. `-` is stdin."""
    return f"./{name}" if name.startswith("-") and name != "-" else name


def _from_folder(run: str, folder: str) -> str:
    """Return the path of a run from the folder in which it was started, or as it is if it is not below it."""
    if not run or not folder or Path(folder) == Path.cwd():
        return run
    path = Path(run).absolute()
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


def _has_prompts(run: Path | str) -> bool:
    """Return whether a run keeps a copy of its prompts, because they came from a pipe or from a program."""
    return bool(run) and (Path(run) / PROMPTS).is_file()


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
