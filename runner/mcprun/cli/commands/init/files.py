"""The files that `mcprun init` writes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from mcprun._util.operating_system import relative_path
from mcprun.cli.commands.init.github_workflow import WORKFLOW, installs_of, root_of, workflow
from mcprun.cli.commands.init.gitignore import ignore_outputs
from mcprun.cli.commands.init.install_source import UNKNOWN, install_source
from mcprun.cli.commands.init.next_commands import Commands
from mcprun.cli.commands.init.settings import Settings, is_own_file
from mcprun.config.project import FILE, Config
from mcprun.errors import UsageError
from mcprun.report.write import write_bytes


@dataclass(frozen=True, slots=True)
class Files:
    """The files to write: the prompts, the workflow (None for no workflow), the project's settings and `.gitignore`.

    `config` is the project's present file, unless it is replaced. Without one, the settings are written to a new file.
    `source` is what the workflow installs mcprun from.
    """

    prompts: Path
    workflow: Path | None
    config: Config
    source: str

    @classmethod
    def of(cls, parameters: Mapping[str, Any], config: Config) -> Self:
        """Return the files for the command's parameters. Raises `UsageError` if one exists and must be kept."""
        prompts: Path = parameters["prompts"]
        workflow_path = parameters["workflow"] or Path(relative_path(root_of(Path.cwd()) / WORKFLOW))
        file = None if parameters["no_workflow"] else workflow_path
        for path in filter(None, (prompts, file)):
            if os.path.lexists(path) and not parameters["force"]:
                raise UsageError(f"{path} already exists: use --force to replace it")
        if parameters["force"] and is_own_file(config):
            config = Config()
        return cls(prompts, file, config, parameters["install_from"] or install_source())

    @property
    def settings(self) -> Path | None:
        """The new file of settings; None if the project has one."""
        return Path(FILE) if self.config.path is None else None

    @property
    def is_source_known(self) -> bool:
        """Whether the workflow can install mcprun as it is written."""
        return self.workflow is None or self.source != UNKNOWN

    def workflow_text(self, commands: Commands) -> str:
        """Return the workflow; empty for no workflow. Raises `UsageError` if it can't contain the commands."""
        here = Path.cwd()
        if self.workflow is None:
            return ""
        return workflow(commands, self.source, installs_of(here), here.relative_to(root_of(here)).as_posix())

    def write(self, prompts: bytes, settings: Settings, commands: Commands) -> list[str]:
        """Write the files. Return the names of those besides the prompts and the workflow, with what they are for."""
        text = self.workflow_text(commands)
        write_bytes(self.prompts, prompts)
        if self.workflow:
            write_bytes(self.workflow, text.encode())
        others = []
        if self.settings:
            write_bytes(self.settings, settings.file)
            others.append(f"{FILE}: how they are run and compared")
        try:
            is_added = ignore_outputs(Path.cwd(), root_of(Path.cwd()))
        except OSError as error:
            raise UsageError(f"can't add outputs/ to .gitignore: {error.strerror}") from None
        return [*others, ".gitignore: keeps outputs/ out of the repository"] if is_added else others
