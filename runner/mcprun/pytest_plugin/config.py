"""The options of runs in pytest: its own flags, the environment, pytest's configuration, and the project's file.

The command `mcprun batch` reads and checks all of them, so that they mean the same in both.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING

import pytest

from mcprun._util.command_line import path_exists, split_command_line
from mcprun._util.operating_system import relative_path
from mcprun.prompts.patterns import fits
from mcprun.report.workflow_commands import for_log

if TYPE_CHECKING:
    from mcprun.analysis.coverage.gates import CoverageGates
    from mcprun.cli.argument_sources import Arguments
    from mcprun.config.project import Config, Setting
    from mcprun.engine.options import AnyServer, Options
    from mcprun.engine.run import RunPlan

_OF_ONE_RUN = ("out",)
"""Options for a single run of the command: all runs of a session would get the same value."""

_GATES = ("min_coverage", "require", "waive")

_OF_PROMPTS_FILES = ("baseline", "route", "decoys", *_GATES)
"""Options for prompts files, which queries in a test's own code do not share."""

_NAMES = {"server": "mcp_server", "model": "mcp_model", "prompts": "mcp_prompts"}
"""Options that pytest has too: on its own command line (except for prompts), and in its configuration."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The sources of options: pytest's own `flags`, the environment, and the `files` of pytest and the project.

    `gate_flags` and `route_flags` are flags of `mcprun batch`: the coverage gates of pytest's command line, and whether
    it only routes the prompts files.

    Patterns of prompts files are relative to the folder `root`, other paths to the working folder.
    """

    root: Path
    flags: Mapping[str, str]
    files: tuple[Config, ...]
    prompts: tuple[str, ...]
    gate_flags: tuple[str, ...] = ()
    route_flags: tuple[str, ...] = ()

    @classmethod
    def of(cls, config: pytest.Config) -> Settings:
        """Return the settings of a session, which are read once. Raises `pytest.UsageError`."""
        if _KEY not in config.stash:
            config.stash[_KEY] = cls._read(config)
        return config.stash[_KEY]

    @classmethod
    def _read(cls, config: pytest.Config) -> Settings:
        from mcprun.config.paths import relocate_paths
        from mcprun.config.project import Config, environment, find_config, setting
        from mcprun.errors import UsageError

        root = config.rootpath
        try:
            project = find_config(root)
        except UsageError as error:
            raise pytest.UsageError(for_log(str(error))) from None
        try:
            variables = environment()
        except UsageError:  # the `.env` may be unrelated to mcprun; a run reports it
            variables = dict(os.environ)
        ini = {key: value for key, name in _NAMES.items() if (value := config.getini(name))}
        if "server" in ini:
            ini["server"] = _relative_to_cwd(ini["server"], root)
        if "model" in ini:
            ini["model"] = relocate_paths(Path.cwd(), root, "model", ini["model"])
        if "prompts" in ini:
            ini["prompts"] = [relative_path(root / pattern) for pattern in ini["prompts"]]
        files = (Config(config.inipath, ini), project)
        found = setting("prompts", variables, files)
        try:
            patterns = _patterns(found, root) if found else ()
        except UsageError as error:
            raise pytest.UsageError(for_log(str(error))) from None
        flags = {key: config.getoption(name, None) for key, name in _NAMES.items()}
        return cls(
            root=root,
            flags={key: value for key, value in flags.items() if value is not None},
            files=files,
            prompts=patterns,
            gate_flags=gate_flags(config),
            route_flags=("--route",) if config.option.mcp_route else (),
        )

    @property
    def has_server(self) -> bool:
        """Whether a server is set, valid or not: a run reports an invalid one."""
        from mcprun.errors import UsageError

        try:
            return self.server is not None
        except UsageError:
            return True

    @property
    def server(self) -> str | None:
        """SERVER, as `mcprun batch` takes it. Raises `UsageError` if it is not a string."""
        from mcprun.config.option_table import SERVER
        from mcprun.config.project import setting
        from mcprun.option_kinds import validate_option

        found = setting("server", self._variables(), self.files)
        value, source = (found.value, f"{found.source}: server") if found else (None, "--mcp-server")
        value = self.flags.get("server", value)
        return None if value is None else validate_option(source, SERVER, value)

    def takes(self, file: Path) -> bool:
        """Return whether a file matches one of the patterns of prompts files, relative to the root."""
        return any(fits(file, pattern, self.root) for pattern in self.prompts)

    def prompts_files(self) -> Iterator[Path]:
        """Yield the files that match the patterns of prompts files."""
        from mcprun.prompts.patterns import files_of

        for pattern in self.prompts:
            yield from (file for name in files_of(str(self.root / pattern)) if (file := Path(name)).is_file())

    def check_gates(self) -> None:
        """Raise `pytest.UsageError` if a coverage gate of the command line is invalid."""
        from mcprun.errors import UsageError

        try:
            self.gates(is_whole=False)
        except UsageError as error:
            raise pytest.UsageError(for_log(str(error))) from None

    def gates(self, *, is_whole: bool) -> CoverageGates:
        """Return the coverage gates of the command line, and if the session `is_whole`, those of the configuration.

        Raises `UsageError` if one is invalid, or can't be met because the prompts files are only routed.
        """
        from mcprun.analysis.coverage.gates import CoverageGates
        from mcprun.errors import UsageError

        is_left_out = bool(self.route_flags) or not is_whole
        found = self._arguments("-", "-", flags=self.gate_flags, without=_GATES if is_left_out else ()).values
        if self.gate_flags and self.route_flags:
            raise UsageError("--mcp-route makes no calls, so coverage gates can't be met: leave them out")
        return CoverageGates(found["min_coverage"], tuple(found["require"]), tuple(found["waive"]))

    def plan(self, prompts: str, *flags: str) -> RunPlan:
        """Return the plan that `mcprun batch` would make with these flags. Raises `UsageError`."""
        from dataclasses import replace

        from mcprun.cli.arguments import plan_from_arguments

        flags = (*self.route_flags, *flags)
        plan = plan_from_arguments(self._arguments(prompts, *split(self.server or "-"), flags=flags))
        return replace(plan, servers=1)  # queries run one at a time, so more are of no use

    def options(self, server: AnyServer) -> Options:
        """Return the options alone, for a server.

        Options for starting or reaching the project's server do not apply to a server object in this process. Raises
        `UsageError`.
        """
        from mcprun.cli.arguments import options_of
        from mcprun.engine.options import without_server_options

        name = os.fspath(server) if isinstance(server, str | os.PathLike) else "-"
        found = options_of(self._arguments("-", name or "-", without=_OF_PROMPTS_FILES).values)
        return found if isinstance(server, str | os.PathLike) else without_server_options(found)

    def _arguments(
        self,
        prompts: str,
        server: str,
        server_args: Sequence[str] = (),
        flags: Sequence[str] = (),
        without: Sequence[str] = (),
    ) -> Arguments:
        import click

        from mcprun.cli.commands.batch import batch
        from mcprun.config.project import Config
        from mcprun.errors import UsageError

        model = ["--model", self.flags["model"]] if "model" in self.flags else []
        args = [*model, *flags, prompts, server, *(["--", *server_args] if server_args else [])]
        left_out = (*_OF_ONE_RUN, *without, "prompts")  # a list of patterns, not a file
        files = [Config(one.path, {k: v for k, v in one.values.items() if k not in left_out}) for one in self.files]
        try:
            context = batch.make_context("pytest", args, variables=self._variables(without), files=files)
        except click.ClickException as error:
            raise UsageError(error.format_message()) from None
        found: Arguments = context.obj
        return found

    @staticmethod
    def _variables(without: Sequence[str] = ()) -> dict[str, str]:
        """Return the environment without the options of a single run. Raises `UsageError` if `.env` can't be read."""
        from mcprun.config.project import environment, variable_of

        found = environment()
        for key in (*_OF_ONE_RUN, *without):
            found.pop(variable_of(key), None)
        return found


_KEY = pytest.StashKey[Settings]()


def gate_flags(config: pytest.Config) -> tuple[str, ...]:
    """Return the coverage gates of pytest's command line as flags of `mcprun batch`."""
    options = config.option
    least = [] if options.mcp_min_coverage is None else [f"--min-coverage={options.mcp_min_coverage}"]
    return (
        *least,
        *(f"--require={name}" for name in options.mcp_require),
        *(f"--waive={pattern}" for pattern in options.mcp_waive),
    )


def split(server: str) -> tuple[str, tuple[str, ...]]:
    """Split SERVER from the arguments after `--`, if a file or a single word stands before it.

    A command line keeps its own `--`. Raises `UsageError` for arguments with an unclosed quote.
    """
    from mcprun.errors import UsageError

    before, _, after = server.partition(" -- ")
    file = before.partition("#")[0].strip()
    if after and (path_exists(Path(file)) or len(before.split()) == 1):
        try:
            return before.strip(), tuple(split_command_line(after))
        except ValueError as error:
            raise UsageError(f"can't parse the server's arguments after --: {str(error).lower()}") from None
    return server, ()


def _patterns(found: Setting, root: Path) -> tuple[str, ...]:
    """Return patterns, relative to the working folder, as patterns relative to the root. Raises `UsageError`."""
    from mcprun.option_kinds import Listed, validate_option

    value = [found.value] if isinstance(found.value, str) else found.value
    patterns = validate_option(f"{found.source}: prompts", Listed(), value)
    return tuple(relative_path(Path(pattern).absolute(), root) for pattern in patterns)


def _relative_to_cwd(server: str, root: Path) -> str:
    """Return a server of the configuration, with its file relative to the working folder."""
    before, found, after = server.partition(" -- ")
    file, mark, name = before.partition("#")
    if PureWindowsPath(file).drive or not path_exists(root / file):
        return server
    return f"{relative_path(root / file)}{mark}{name}{found}{after}"
