"""The README: its commands run verbatim, and its tables match the code."""

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


def console_blocks() -> list[str]:
    """Return the contents of the console blocks, in order."""
    return re.findall(r"```console\n(.*?)```", README, re.DOTALL)


def test_the_first_two_commands_need_no_other_setup() -> None:
    """The first command runs the example and the second the tests. Each creates its own virtual environment."""
    example, tests, *_ = console_blocks()
    begin = "python3 -m venv .venv && . .venv/bin/activate && pip install -q "
    assert example == f"{begin}. && mcprun batch prompts/quickstart.jsonl prompts/quickstart.py\n"
    assert tests == f"{begin}-e '.[test]' && pytest\n"


def test_shown_output_is_the_actual_output(tmp_path: Path) -> None:
    """Each `$ mcprun …` in the README prints the output below it, in which `...` stands for omitted lines."""
    (tmp_path / "prompts").symlink_to(ROOT / "prompts")
    shown = [part for block in console_blocks() for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
    assert len(shown) == 12
    for block in shown:
        command, _, expected = block.partition("\n")
        done = run_mcprun(*shlex.split(command)[1:], cwd=tmp_path)
        printed = normalised(done.stderr + done.stdout)
        parts = re.split(r"^\.\.\.$", normalised(expected), flags=re.MULTILINE)
        assert re.fullmatch(".*".join(map(re.escape, parts)), printed, re.DOTALL), f"{command} printed:\n{printed}"


def test_links_point_to_existing_headings_and_files() -> None:
    """Each link within the README names one of its headings, and each relative link an existing file."""
    headings = {
        re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.*)$", README, re.MULTILINE)
    }
    links = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", README, flags=re.DOTALL))
    assert len(links) >= 15
    for link in links:
        if link.startswith("https://"):  # tests do not use the network
            continue
        assert link.removeprefix("#") in headings if link.startswith("#") else (ROOT / link).exists(), link


def test_the_tables_hold_every_key() -> None:
    """The README documents every key of a query and of `expect`, every alias and every exit code."""
    for key in (*Query.model_fields, *Expect.model_fields, *ALIASES):
        assert f"`{key}" in README or f'"{key}"' in README, key
    for code in ExitCode:
        assert re.search(rf"^\| {code.value}\b", README, re.MULTILINE), code


def test_the_table_of_deadlines_has_the_defaults() -> None:
    """The table lists each deadline with its flag and its default from the code."""
    documented = dict(re.findall(r"^\| `--([\w-]+)-timeout` \| (\d+) \|", README, re.MULTILINE))
    limits = {**asdict(Limits()), "max_call_seconds": Limits().max_total_call_seconds}
    assert documented == {
        name.removesuffix("_seconds").replace("_", "-"): f"{value:.0f}"
        for name, value in limits.items()
        if name.endswith("_seconds") and name != "retry_wait_seconds"
    }


def test_the_table_of_options_is_generated() -> None:
    """The README contains the table that `python -m tests.support.options_table` prints."""
    assert options_table() in README


def test_the_judge_instructions_are_quoted() -> None:
    """The README contains the instructions to the judge word for word."""
    assert INSTRUCTIONS in README


def test_help_explains_every_option_in_the_readme(tmp_path: Path) -> None:
    """The `--help` of a command explains each flag that the README names."""
    commands = ("batch", "bless", "chat", "diff", "init", "login", "merge", "report", "tools")
    helps = [run_mcprun(command, "--help", cwd=tmp_path).stdout for command in commands]
    explained = "\n".join(squeezed("\n".join(helps)))
    flags = set(re.findall(r"`(--[a-z-]+)", README)) - {"--extra"}
    assert len(flags) >= 12
    assert {flag for flag in flags if flag not in explained} == set()
