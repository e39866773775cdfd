"""The README: its commands run as they stand, and its tables match the code."""

from __future__ import annotations

import re
import shlex
from dataclasses import asdict
from pathlib import Path

from mcprun.checks.expect import Expect
from mcprun.engine.grading import INSTRUCTIONS
from mcprun.errors import ExitCode
from mcprun.limits import Limits
from mcprun.prompts.aliases import ALIASES
from mcprun.prompts.query import Query
from tests.support.cli import ROOT, normalised, run_mcprun, squeezed
from tests.support.options_table import options_table

README = (ROOT / "README.md").read_text(encoding="utf-8")


def consoles() -> list[str]:
    """Give the console blocks, in order."""
    return re.findall(r"```console\n(.*?)```", README, re.DOTALL)


def test_the_first_two_commands_do_all_the_setting_up() -> None:
    """One runs the example, one the tests; each makes its virtual environment, and nothing else is needed."""
    example, tests, *_ = consoles()
    begin = "python3 -m venv .venv && . .venv/bin/activate && pip install -q "
    assert example == f"{begin}. && mcprun batch prompts/quickstart.jsonl prompts/quickstart.py\n"
    assert tests == f"{begin}-e '.[test]' && pytest\n"


def test_the_output_shown_is_the_output(tmp_path: Path) -> None:
    """Each `$ mcprun …` of the README prints what stands below it; `...` stands for lines that are left out."""
    (tmp_path / "prompts").symlink_to(ROOT / "prompts")
    shown = [part for block in consoles() for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
    assert len(shown) == 12
    for block in shown:
        command, _, expected = block.partition("\n")
        done = run_mcprun(*shlex.split(command)[1:], cwd=tmp_path)
        printed = normalised(done.stderr + done.stdout)
        parts = re.split(r"^\.\.\.$", normalised(expected), flags=re.MULTILINE)
        assert re.fullmatch(".*".join(map(re.escape, parts)), printed, re.DOTALL), f"{command} printed:\n{printed}"


def test_links_lead_somewhere() -> None:
    """Each link within the page names a heading, and each to a file names one that is there."""
    headings = {
        re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.*)$", README, re.MULTILINE)
    }
    links = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", README, flags=re.DOTALL))
    assert len(links) >= 15
    for link in links:
        if link.startswith("https://"):  # elsewhere; no test asks the network
            continue
        assert link.removeprefix("#") in headings if link.startswith("#") else (ROOT / link).exists(), link


def test_the_tables_hold_every_key() -> None:
    """Every key of a query and of its expectations, every alias and every exit code is told."""
    for key in (*Query.model_fields, *Expect.model_fields, *ALIASES):
        assert f"`{key}" in README or f'"{key}"' in README, key
    for code in ExitCode:
        assert re.search(rf"^\| {code.value}\b", README, re.MULTILINE), code


def test_the_table_of_deadlines_holds_the_defaults() -> None:
    """Each deadline is named with the flag and the default that the code has."""
    reported = dict(re.findall(r"^\| `--([\w-]+)-timeout` \| (\d+) \|", README, re.MULTILINE))
    limits = {**asdict(Limits()), "max_call_seconds": Limits().max_total_call_seconds}
    assert reported == {
        name.removesuffix("_seconds").replace("_", "-"): f"{value:.0f}"
        for name, value in limits.items()
        if name.endswith("_seconds") and name != "retry_wait_seconds"
    }


def test_the_table_of_options_is_the_commands() -> None:
    """Every option of `batch` with its default, as `python -m tests.support.options_table` prints it."""
    assert options_table() in README


def test_what_the_judge_is_told_is_shown() -> None:
    """Word for word."""
    assert INSTRUCTIONS in README


def test_every_option_is_told_by_help(tmp_path: Path) -> None:
    """Each flag that the README names is one that the commands' `--help` explains."""
    commands = ("batch", "bless", "chat", "diff", "init", "login", "merge", "report", "tools")
    helps = [run_mcprun(command, "--help", cwd=tmp_path).stdout for command in commands]
    explained = "\n".join(squeezed("\n".join(helps)))
    own = set(re.findall(r"`(--[a-z-]+)", README)) - {"--extra"}
    assert len(own) >= 12
    assert {flag for flag in own if flag not in explained} == set()
