"""The GitHub workflow that `mcprun init` writes."""

from __future__ import annotations

import shlex

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mcprun.cli.commands.init.github_workflow import workflow
from mcprun.cli.commands.init.next_commands import Commands
from mcprun.errors import UsageError


@given(
    st.text(min_size=1), st.lists(st.text(), max_size=2), st.sampled_from(["p.jsonl", "a b/p.jsonl", "é/$p #.jsonl"])
)
@settings(deadline=None)
def test_workflow_arguments_survive_yaml_and_shell_quoting(server: str, args: list[str], prompts: str) -> None:
    """Arguments are read back unchanged from the workflow's YAML and shell commands.

    Those that cannot be are rejected.
    """
    try:
        text = workflow(Commands(prompts, server, args), "mcprun==1.0", ["npm ci"])
    except UsageError:
        assert "${{" in f"{server}{args}" or not "".join([server, *args]).isprintable()
        return
    (job,) = yaml.safe_load(text)["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step][:2] == ['pip install "$MCPRUN"', "npm ci"]
    lines = [line for line in job["steps"][4]["run"].splitlines() if line.startswith("  mcprun")]
    for line in lines:
        words = shlex.split(line)
        assert words[:4] == ["mcprun", "batch", prompts, server]
        assert words[words.index("--github") + 1 :] == (["--", *args] if args else [])
    assert len(lines) == 2
