"""The workflow file that `mcprun init` writes, for GitHub Actions: the queries run on each push.

While there is no baseline the scripts are played; once one is committed it is replayed, and what differs fails the job.
Neither needs a key.
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
"""Where GitHub finds it, as seen from the root of a repository: it looks into no other folder."""

_SECRETS = "secrets of the repository; what is none may stand here itself"

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_REPORTS = ("--out", "run", "--junit", "junit.xml", "--github")


@dataclass(frozen=True, slots=True)
class Commands:
    """The commands that follow `mcprun init`, as a shell reads them.

    `server` and `args` are what the user wrote, without secrets. Of `env` and `headers` there are the names; the values
    of headers are taken from variables.
    """

    prompts: str
    server: str
    args: Sequence[str] = ()
    env: Sequence[str] = ()
    headers: Sequence[str] = ()

    @property
    def baseline(self) -> str:
        """The folder of the baseline, beside the prompts."""
        return shlex.quote(str(PurePath(self.prompts).parent / "baseline"))

    def batch(self, *flags: str) -> str:
        """Run the queries, with these flags; each on a server of its own, so that no result depends on another's."""
        words = ["mcprun", "batch", self.prompts, self.server, "--fresh-server", *flags]
        words = [shlex.quote(word) for word in words]
        words += [f"--env {shlex.quote(name)}" for name in self.env]
        words += [f'--header {shlex.quote(f"{name}: ")}"${_variable(name)}"' for name in self.headers]
        return " ".join([*words, *(["--", shlex.join(self.args)] if self.args else [])])

    @property
    def bless(self) -> str:
        """Make the last run the baseline."""
        return f"mcprun bless latest {self.baseline}"

    @property
    def secrets(self) -> list[str]:
        """The variables that hold secrets."""
        return [*self.env, *map(_variable, self.headers)]


@dataclass(frozen=True, slots=True)
class Next:
    """The commands that follow, `here` and `there`, in the workflow.

    Each says what is not set where it runs: `there` the project's file is read as well, `here` the environment too.
    What `here` takes from the variables `unset` is not in them yet.
    """

    here: Commands
    there: Commands
    unset: Sequence[str] = ()


def workflow(commands: Commands, installs: Iterable[str] = (), folder: str = ".") -> str:
    """Write the workflow: YAML, as GitHub reads it. `installs` are commands that install the server.

    All commands run in the `folder`, as seen from the root of the repository, with slashes.

    Raises `UsageError` for a command that can't stand in one: with line breaks or other controls, or with `${{`, which
    GitHub would put something else for; and for names that are none of variables.
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
    """Find the root of the repository that a folder belongs to; where there is none, that is the folder itself."""
    return next((place for place in (folder, *folder.parents) if (place / ".git").exists()), folder)


def installs_of(folder: Path) -> list[str]:
    """Give the commands that install what a folder holds, by the files that say so."""
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
    """Make a variable's name of a header's: `AUTHORIZATION` of `Authorization`."""
    return re.sub(r"\W", "_", header.upper(), flags=re.ASCII)
