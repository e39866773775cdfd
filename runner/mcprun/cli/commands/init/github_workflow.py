"""The GitHub Actions workflow that `mcprun init` writes, which runs the queries on each push.

Until a baseline is committed, it plays the scripts. After that, it replays the baseline, and any regression fails the
job. Neither needs a key.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from mcprun.errors import UsageError

_WORKFLOW = """\
# Written by mcprun init. On each push the queries run against the server as it is now: no key, no cost.
name: mcprun
on: [push, pull_request]
permissions:
  contents: read

jobs:
  queries:
    runs-on: ubuntu-latest
    timeout-minutes: 30
{defaults}    steps:
      - uses: actions/checkout@v5
      - uses: actions/setup-python@v6
        with:
          python-version: "3.13"
      - run: pip install mcprun # and what the server needs
{installs}      - name: Run the queries
{env}        run: |
          if [ -d {baseline} ]; then
            # Results that never stay the same, such as the time, are left out by --scrub and --ignore.
            {replay}
          else
            {script}
          fi
      - uses: actions/upload-artifact@v5
        if: always()
        with:
          name: mcprun
          path: |
            {reports}run
            {reports}junit.xml
"""

_DEFAULTS = """\
    defaults:
      run:
        working-directory: {}
"""

WORKFLOW = PurePath(".github", "workflows", "mcprun.yml")
"""Path of the workflow file from the root of a repository. GitHub looks in no other folder."""

_SECRETS = "secrets of the repository; what is none may stand here itself"

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_REPORTS = ("--out", "run", "--junit", "junit.xml", "--github")


@dataclass(frozen=True, slots=True)
class Commands:
    """The commands to run after `mcprun init`, quoted for a shell.

    `server` and `args` are the user's arguments without secrets. `env` and `headers` hold names only; the values of
    headers are taken from variables.
    """

    prompts: str
    server: str
    args: Sequence[str] = ()
    env: Sequence[str] = ()
    headers: Sequence[str] = ()

    @property
    def baseline(self) -> str:
        """The baseline's folder, beside the prompts."""
        return shlex.quote(str(PurePath(self.prompts).parent / "baseline"))

    def batch(self, *flags: str) -> str:
        """Return the command that runs the queries with `flags`.

        Each query has a server of its own, so that no result depends on another query.
        """
        words = ["mcprun", "batch", self.prompts, self.server, "--fresh-server", *flags]
        words = [shlex.quote(word) for word in words]
        words += [f"--env {shlex.quote(name)}" for name in self.env]
        words += [f'--header {shlex.quote(f"{name}: ")}"${_variable(name)}"' for name in self.headers]
        return " ".join([*words, *(["--", shlex.join(self.args)] if self.args else [])])

    @property
    def bless(self) -> str:
        """The command that makes the last run the baseline."""
        return f"mcprun bless latest {self.baseline}"

    @property
    def secrets(self) -> list[str]:
        """Names of the variables that hold secrets."""
        return [*self.env, *map(_variable, self.headers)]


@dataclass(frozen=True, slots=True)
class Next:
    """The commands to run next: `here` in the user's shell, and `there` in the workflow.

    Each contains what is not set where it runs. `there` the project's file is read; `here` the environment is read as
    well. `unset` names the variables that `here` uses and that do not hold the given values yet.
    """

    here: Commands
    there: Commands
    unset: Sequence[str] = ()


def workflow(commands: Commands, installs: Iterable[str] = (), folder: str = ".") -> str:
    """Return the workflow as YAML. `installs` are commands that install the server.

    All commands run in `folder`, a path with slashes from the root of the repository.

    Raises `UsageError` for a command that a workflow can't contain: one with line breaks or other controls, or with
    `${{`, which GitHub would expand. The same goes for names that are not valid variable names.
    """
    baseline = str(PurePath(commands.prompts).parent / "baseline")
    replay = commands.batch("--model", f"replay:{baseline}", "--baseline", baseline, *_REPORTS)
    script = commands.batch("--model", "script", *_REPORTS)
    words = replay + folder
    if not words.isprintable() or "${{" in words or not all(map(_NAME.fullmatch, commands.secrets)):
        raise UsageError("what was given for the server can't stand in a workflow file: --no-workflow writes none")
    secrets = [f"          {name}: ${{{{ secrets.{name} }}}}\n" for name in commands.secrets]
    return _WORKFLOW.format(
        installs="".join(f"      - run: {command}\n" for command in installs),
        env="".join([f"        env: # {_SECRETS}\n", *secrets]) if secrets else "",
        defaults="" if folder == "." else _DEFAULTS.format(json.dumps(folder, ensure_ascii=False)),
        reports="" if folder == "." else f"{folder}/",
        baseline=commands.baseline,
        replay=replay,
        script=script,
    )


def root_of(folder: Path) -> Path:
    """Return the root of the repository that contains a folder, or the folder itself if there is none."""
    return next((place for place in (folder, *folder.parents) if (place / ".git").exists()), folder)


def installs_of(folder: Path) -> list[str]:
    """Return the commands that install the project in a folder, by the files that declare it."""
    found = []
    project = folder / "pyproject.toml"
    if project.is_file() and b"[project]" in project.read_bytes():
        found.append("pip install .")
    if (folder / "requirements.txt").is_file():
        found.append("pip install -r requirements.txt")
    if (folder / "package-lock.json").is_file():
        found.append("npm ci")
    elif (folder / "package.json").is_file():
        found.append("npm install")
    return found


def _variable(header: str) -> str:
    """Return the variable name of a header: `AUTHORIZATION` for `Authorization`."""
    return re.sub(r"\W", "_", header.upper(), flags=re.ASCII)
