"""What pytest was told: its own options first, then its configuration, then `[tool.mcprun]`.

What the project's file (`config.py`) says of a run is read by the command `mcprun batch` itself, so that both mean the
same.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING

import pytest

from mcprun.command_line import path_exists, split_words
from mcprun.operating_system import relative_path
from mcprun.promptfiles import fits
from mcprun.report.workflow import for_log

if TYPE_CHECKING:
    import click

    from mcprun.batch import Plan
    from mcprun.config import Config
    from mcprun.planning import AnyServer, Options

_NOT_HERE = ("prompts", "server", "model", "out", "baseline")
"""What pytest is told in its own way, and what belongs to one run of the command."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The server (as `--mcp-server` takes it), the model, which files hold prompts, and what the file sets besides.

    `root` is the folder that patterns and paths of the configuration are seen from.
    """

    root: Path
    server: str | None
    model: str | None
    prompts: tuple[str, ...]
    config: Config

    @classmethod
    def of(cls, config: pytest.Config) -> Settings:
        """Give those of a session, which are read once. Raises `pytest.UsageError`."""
        if _KEY not in config.stash:
            config.stash[_KEY] = cls._read(config)
        return config.stash[_KEY]

    @classmethod
    def _read(cls, config: pytest.Config) -> Settings:
        from mcprun.config import Config, find_config
        from mcprun.errors import UsageError

        root = config.rootpath
        try:
            file = find_config(root)
        except UsageError as error:
            raise pytest.UsageError(for_log(str(error))) from None
        server = config.getini("mcp_server")
        flags = {name: value for name, value in file.values.items() if name not in _NOT_HERE}
        return cls(
            root=root,
            server=config.getoption("mcp_server")
            or (_as_seen_from_here(server, root) if server else file.values.get("server")),
            model=config.getoption("mcp_model") or config.getini("mcp_model") or file.values.get("model"),
            prompts=tuple(config.getini("mcp_prompts") or _patterns(file.values.get("prompts", ()), root)),
            config=Config(file.path, flags),
        )

    def takes(self, file: Path) -> bool:
        """Return whether a file fits one of the patterns of prompts files, which are seen from the root."""
        return any(fits(file, pattern, self.root) for pattern in self.prompts)

    def plan(self, prompts: str, *flags: str) -> Plan:
        """Make the plan that `mcprun batch` would make of it, with these flags. Raises `UsageError`."""
        from dataclasses import replace

        from mcprun.cli.plan import plan_of

        plan = plan_of(self._context(prompts, *split(self.server or "-"), flags=flags))
        return replace(plan, servers=1)  # one query at a time has no use for more

    def options(self, server: AnyServer) -> Options:
        """Give the options alone, for a server; how the project's is started does not concern one in this process.

        Raises `UsageError`.
        """
        from mcprun.cli.plan import options_of
        from mcprun.planning import unreached

        found = options_of(self._context("-", "-"))
        return found if isinstance(server, str | os.PathLike) else unreached(found)

    def _context(
        self, prompts: str, server: str, server_args: Sequence[str] = (), flags: Sequence[str] = ()
    ) -> click.Context:
        import click

        from mcprun.cli.batch import batch
        from mcprun.errors import UsageError

        model = ["--model", self.model] if self.model else []
        args = [*model, *flags, prompts, server, *(["--", *server_args] if server_args else [])]
        try:
            return batch.make_context("pytest", args, config=self.config)
        except click.ClickException as error:
            raise UsageError(error.format_message()) from None


_KEY = pytest.StashKey[Settings]()


def split(server: str) -> tuple[str, tuple[str, ...]]:
    """Split SERVER from the arguments behind `--`, where a file stands before it: a command line keeps its own.

    Raises `UsageError` for arguments whose quotes are not closed.
    """
    from mcprun.errors import UsageError

    before, _, after = server.partition(" -- ")
    file = before.partition("#")[0].strip()
    if after and (path_exists(Path(file)) or len(before.split()) == 1):
        try:
            return before.strip(), tuple(split_words(after))
        except ValueError as error:
            raise UsageError(f"can't split what follows -- in the server: {str(error).lower()}") from None
    return server, ()


def _patterns(prompts: str | Sequence[str], root: Path) -> list[str]:
    """Give patterns as seen from the root; a single one is seen from here, as any path of the file is."""
    if isinstance(prompts, str):
        return [relative_path(Path(prompts).absolute(), root)]
    return [str(pattern) for pattern in prompts]


def _as_seen_from_here(server: str, root: Path) -> str:
    """Name a server file of the configuration as seen from the working folder."""
    before, found, after = server.partition(" -- ")
    file, mark, name = before.partition("#")
    if PureWindowsPath(file).drive or not path_exists(root / file):
        return server
    return f"{relative_path(root / file)}{mark}{name}{found}{after}"
