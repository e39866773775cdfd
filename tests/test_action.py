"""`action.yml`, run as GitHub runs it, and the workflows of the README."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from mcprun.cli import main
from tests.support.cli import QUICKSTART, RAW, ROOT, clean_environment, script, write_jsonl

ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
STEPS = {step.get("id", step.get("name", step.get("uses"))): step for step in ACTION["runs"]["steps"]}
WORKFLOWS = [
    yaml.safe_load(block)
    for block in re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
]

SECONDS = 60.0


def run_action(folder: Path, **inputs: str | Path) -> tuple[int, dict[str, str], str]:
    """Run the script of the action with its inputs as GitHub hands them over: its exit code, outputs and log."""
    given = {name: str(one.get("default", "")) for name, one in ACTION["inputs"].items()}
    given |= {name: str(value) for name, value in inputs.items()}
    env = {
        name: re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda found: given[found[1]], value)
        for name, value in STEPS["batch"]["env"].items()
    }
    output = folder / "output"
    output.touch()
    github = {"GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": str(output), "GITHUB_STEP_SUMMARY": str(folder / "summary")}
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", STEPS["batch"]["run"]],
        cwd=folder, env={**clean_environment(), **github, "RUNNER_TEMP": str(folder), **env},
        capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    outputs = dict(line.split("=", 1) for line in output.read_text().splitlines())
    return done.returncode, outputs, done.stdout + done.stderr


def test_the_action_runs_a_batch(tmp_path: Path) -> None:
    """It gives the run's folder, the exit code and the counts, and writes the reports and the summary."""
    prompts, server = QUICKSTART
    code, outputs, log = run_action(tmp_path, prompts=prompts, server=server, junit="ci/j.xml", markdown="m.md")
    assert (code, len(re.findall(r"^passed  \w", log, re.MULTILINE))) == (0, 6)
    folder = Path(outputs.pop("run"))
    assert outputs == {"passed": "6", "failed": "0", "error": "0", "skipped": "0", "exit-code": "0"}
    assert (folder / "transcripts.jsonl").exists()
    assert (tmp_path / "ci" / "j.xml").exists()
    assert (tmp_path / "summary").read_text() == (tmp_path / "m.md").read_text()
    assert set(ACTION["outputs"]) == {"run", *outputs}


def test_the_action_takes_arguments_and_gives_the_exit_code(tmp_path: Path) -> None:
    """They are read as a shell reads them, those of the server too; a replay against a baseline fails when it is worse."""
    write_jsonl(tmp_path / "p.jsonl", script(("ok", {}), id="a b"), script(("ok", {}), id="c"))
    args = "--filter 'a *' --quiet\n-- odd 'two words'"
    code, outputs, _ = run_action(tmp_path, prompts="p.jsonl", server=RAW, args=args, out="base")
    record = json.loads((tmp_path / "base" / "run.json").read_bytes())
    assert (code, outputs["run"], record["counts"]["passed"]) == (0, "base", 1)
    assert record["arguments"]["server_args"] == ["odd", "two words"]
    (line,) = (json.loads(line) for line in (tmp_path / "base" / "transcripts.jsonl").read_text().splitlines())
    line["calls"][0]["content"][0]["text"] = "it was something else"
    write_jsonl(tmp_path / "base" / "transcripts.jsonl", line)
    more: dict[str, str | Path] = {
        "prompts": "p.jsonl",
        "server": RAW,
        "model": "replay:base",
        "baseline": "base",
        "args": "--filter 'a *'\n-- odd 'two words'",
    }
    code, outputs, log = run_action(tmp_path, **more)
    assert (code, outputs["exit-code"], outputs["passed"]) == (1, "1", "1")
    assert "::error title=mcprun::1 regression against base: 1 changed" in log


EVIL = "x\"; touch pwned; '$(touch pwned)' `touch pwned` \\"


@pytest.mark.parametrize("name", ["prompts", "server", "model", "baseline", "args", "junit"])
def test_no_input_is_run(tmp_path: Path, name: str) -> None:
    """Whatever an input says, it is one argument, or refused."""
    write_jsonl(tmp_path / "p.jsonl", script())
    given: dict[str, str | Path] = {"prompts": "p.jsonl", "server": RAW, name: EVIL}
    code, _, _ = run_action(tmp_path, **given)
    assert not list(tmp_path.rglob("pwned"))
    assert (code == 0) == (name == "junit")


def test_nothing_of_an_event_stands_in_a_script() -> None:
    """Inputs reach scripts as variables, all of them, and each is one that the action has."""
    told = json.dumps(ACTION["runs"])
    assert not any("${{" in step.get("run", "") for step in STEPS.values())
    assert set(re.findall(r"inputs\.([\w-]+)", told)) == set(ACTION["inputs"])
    assert all(step["shell"] == "bash" for step in STEPS.values() if "run" in step)


def steps_of(workflow: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Give the steps of a GitHub workflow, or the lines of a GitLab job as steps."""
    for job in workflow.get("jobs", workflow).values():
        if isinstance(job, dict):
            yield from job.get("steps", [])
            yield from ({"run": line} for line in job.get("script", []))


def accepted(words: list[str]) -> None:
    """Have a command line of mcprun read as far as its options go; nothing is run."""
    name, *rest = words
    command = main.commands[name]
    command.make_context(name, rest).close()


def test_the_workflows_of_the_readme() -> None:
    """Each command line is one that mcprun takes, each use of the action one that fits it, and both kinds are there."""
    uses = commands = 0
    for step in (step for workflow in WORKFLOWS for step in steps_of(workflow)):
        for line in step.get("run", "").splitlines():
            if line.startswith("mcprun "):
                commands += 1
                accepted(shlex.split(re.sub(r"\$\{\{.*?\}\}", "1", line))[1:])  # what GitHub puts a value for
        if "/mcprun@" in step.get("uses", ""):
            uses += 1
            given = step["with"]
            required = {name for name, one in ACTION["inputs"].items() if one.get("required")}
            assert required <= set(given) <= set(ACTION["inputs"])
            accepted(["batch", given["prompts"], given["server"], *shlex.split(given.get("args", ""))])
    assert (uses, commands) == (2, 3)
    with pytest.raises(click.UsageError):
        accepted(["batch", "p.jsonl", "s.py", "--no-such-flag"])


def test_the_workflow_replays_on_push_and_is_live_at_night() -> None:
    """The recording needs no key; what asks the model has a budget and a key, and only a schedule starts it."""
    jobs = WORKFLOWS[0]["jobs"]
    (replay,) = (step for step in jobs["replay"]["steps"] if "/mcprun@" in step.get("uses", ""))
    (live,) = (step for step in jobs["live"]["steps"] if "/mcprun@" in step.get("uses", ""))
    assert replay["with"]["model"] == f"replay:{replay['with']['baseline']}"
    assert "env" not in replay
    assert jobs["replay"]["if"] == "github.event_name != 'schedule'"
    assert jobs["live"]["if"] == "github.event_name == 'schedule'"
    assert "--budget-usd " in live["with"]["args"]
    assert "ANTHROPIC_API_KEY" in live["env"]
    for job in jobs.values():
        (upload,) = (step for step in job["steps"] if "upload-artifact" in step.get("uses", ""))
        assert (upload["if"], "steps.mcprun.outputs.run" in upload["with"]["path"]) == ("always()", True)
