"""`action.yml`, run as GitHub runs it, and the workflows in the documents."""

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
from tests.support.actions import outputs_of
from tests.support.cli import QUICKSTART, RAW, ROOT, clean_environment, script, write_jsonl
from tests.support.documents import code_blocks, page

ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))

STEPS = {step.get("id", step.get("name", step.get("uses"))): step for step in ACTION["runs"]["steps"]}

WORKFLOWS = [yaml.safe_load(block) for name in ("ci", "scaling") for block in code_blocks(page(name), "yaml")]

SECONDS = 60.0


def run_action(folder: Path, cwd: Path | None = None, /, **inputs: str | Path) -> tuple[int, dict[str, str], str]:
    """Run the script of the action with inputs passed as GitHub does. Return its exit code, outputs and log."""
    folder.mkdir(exist_ok=True)
    input_values = {name: str(one.get("default", "")) for name, one in ACTION["inputs"].items()}
    input_values |= {name: str(value) for name, value in inputs.items()}
    env = {
        name: re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda found: input_values[found[1]], value)
        for name, value in STEPS["batch"]["env"].items()
    }
    output = folder / "output"
    output.touch()
    github = {"GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": str(output), "GITHUB_STEP_SUMMARY": str(folder / "summary")}
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", STEPS["batch"]["run"]],
        cwd=cwd or folder, env={**clean_environment(), **github, "RUNNER_TEMP": str(folder), **env},
        capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    return done.returncode, outputs_of(output.read_bytes().decode()), done.stdout + done.stderr


def test_the_action_runs_a_batch(tmp_path: Path) -> None:
    """The action outputs the run's folder, exit code and counts, and writes the reports and the job summary."""
    prompts, server = QUICKSTART
    code, outputs, log = run_action(tmp_path, prompts=prompts, server=server, junit="ci/j.xml", markdown="m.md")
    assert (code, len(re.findall(r"^passed  \w", log, re.MULTILINE))) == (0, 6)
    folder = Path(outputs.pop("run"))
    assert outputs == {"passed": "6", "failed": "0", "error": "0", "skipped": "0", "exit-code": "0"}
    assert (folder / "transcripts.jsonl").exists()
    assert (tmp_path / "ci" / "j.xml").exists()
    assert (tmp_path / "summary").read_text() == (tmp_path / "m.md").read_text()
    assert set(ACTION["outputs"]) == {"run", *outputs}


def test_args_are_split_like_a_shell_and_a_regression_fails(tmp_path: Path) -> None:
    """The input `args` is split as a shell does, server arguments included. A replay that regresses exits with 1."""
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
    assert "::error title=regressed%3A a b,file=p.jsonl,line=1::regressed: call 0 ok" in log


def test_outputs_describe_only_this_run(tmp_path: Path) -> None:
    """Outputs never describe an earlier step's run in the same folder, or a folder that `--out` in `args` overrides."""
    write_jsonl(tmp_path / "p.jsonl", script(), script(id="wrong", expect={"text": {"equals": "6"}}))
    input_values: dict[str, str | Path] = {"prompts": "p.jsonl", "server": RAW, "out": "same"}
    counts = {"passed": "1", "failed": "1", "error": "0", "skipped": "0", "exit-code": "1"}
    code, outputs, _ = run_action(tmp_path, **input_values)
    assert (code, outputs) == (1, {"run": "same", **counts})
    code, outputs, log = run_action(tmp_path / "second", tmp_path, **input_values)
    assert (code, outputs) == (2, {"exit-code": "2"})
    assert "Error: same already holds a run: " in log
    args = "--no-github --out else\\ where --html h.html"
    code, outputs, log = run_action(tmp_path / "third", tmp_path, **input_values, args=args, html="page.html")
    assert (code, outputs, "::error" in log) == (1, {"run": "else where", **counts}, False)
    assert [file.name for file in tmp_path.glob("*.html")] == ["h.html"]


@pytest.mark.parametrize(
    "out", ["a\nexit-code=0\npassed=99", "a<<b\nc\nb", "x=<<EOF", "-x", "ü \r", "$(touch pwned)", "a\n\n", "'\";&|*"]
)
def test_no_folder_name_sets_another_output(tmp_path: Path, out: str) -> None:
    """Any folder name is written unchanged to the output `run`, and is the folder of the run."""
    write_jsonl(tmp_path / "p.jsonl", script())
    code, outputs, _ = run_action(tmp_path, prompts="p.jsonl", server=RAW, out=out)
    assert (code, outputs["run"]) == (0, out)
    assert list(outputs.items())[1:] == [
        ("passed", "1"),
        ("failed", "0"),
        ("error", "0"),
        ("skipped", "0"),
        ("exit-code", "0"),
    ]
    assert (tmp_path / out / "run.json").exists()
    assert not list(tmp_path.rglob("pwned"))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"args": "--filter 'add"}, "the input args cannot be split into words: no closing quotation"),
        ({"args": "--token s3cret\\"}, "the input args cannot be split into words: no escaped character"),
        ({"args": '--filter "add\n-- x'}, "the input args cannot be split into words: no closing quotation"),
        ({"args": "--help"}, "nothing was run: the input args has an option that only prints, such as --help"),
        ({"args": "--show-config"}, "nothing was run: the input args has an option that only prints, such as --help"),
        ({"server": "--help"}, "the input server begins with a dash; put options into args"),
        ({"server": ""}, "the input server is empty"),
        ({"prompts": ""}, "the input prompts is empty"),
        ({"prompts": "--help"}, "there is no prompts file ./--help; . contains p.jsonl"),
    ],
)
def test_inputs_that_run_nothing_are_usage_errors(tmp_path: Path, inputs: dict[str, str], message: str) -> None:
    """The step exits with 2 and prints one error line without values that may be secret."""
    write_jsonl(tmp_path / "p.jsonl", script())
    code, outputs, log = run_action(tmp_path, **{"prompts": "p.jsonl", "server": RAW, **inputs})  # type: ignore[arg-type]
    assert (code, outputs) == (2, {"exit-code": "2"})
    assert f"Error: {message}\n" in log
    assert not re.search(r"Traceback|s3cret", log)


EVIL = "x\"; touch pwned; '$(touch pwned)' `touch pwned` \\"


@pytest.mark.parametrize("name", ["prompts", "server", "model", "baseline", "args", "junit"])
def test_no_input_is_executed_by_the_shell(tmp_path: Path, name: str) -> None:
    """Each input is passed as a single argument or rejected."""
    write_jsonl(tmp_path / "p.jsonl", script())
    input_values: dict[str, str | Path] = {"prompts": "p.jsonl", "server": RAW, name: EVIL}
    code, _, _ = run_action(tmp_path, **input_values)
    assert not list(tmp_path.rglob("pwned"))
    assert (code == 0) == (name == "junit")


def test_scripts_contain_no_expressions() -> None:
    """Scripts receive every input through environment variables, and use only declared inputs."""
    runs_json = json.dumps(ACTION["runs"])
    assert not any("${{" in step.get("run", "") for step in STEPS.values())
    assert set(re.findall(r"inputs\.([\w-]+)", runs_json)) == set(ACTION["inputs"])
    assert all(step["shell"] == "bash" for step in STEPS.values() if "run" in step)


def steps_of(workflow: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the steps of a GitHub workflow, or the script lines of a GitLab job as steps."""
    for job in workflow.get("jobs", workflow).values():
        if isinstance(job, dict):
            yield from job.get("steps", [])
            yield from ({"run": line} for line in job.get("script", []))


def parse_command(words: list[str]) -> None:
    """Parse an mcprun command line without running it. Raise `click.UsageError` if it is invalid."""
    name, *rest = words
    command = main.commands[name]
    command.make_context(name, rest).close()


def test_the_documented_workflows_use_valid_commands_and_inputs() -> None:
    """Each mcprun command line parses, each use of the action has valid inputs, and the pages have both."""
    uses = commands = 0
    for step in (step for workflow in WORKFLOWS for step in steps_of(workflow)):
        for line in step.get("run", "").splitlines():
            if line.startswith("mcprun "):
                commands += 1
                parse_command(shlex.split(re.sub(r"\$\{\{.*?\}\}", "1", line))[1:])  # GitHub expressions
        if "/mcprun@" in step.get("uses", ""):
            uses += 1
            input_values = step["with"]
            required = {name for name, one in ACTION["inputs"].items() if one.get("required")}
            assert required <= set(input_values) <= set(ACTION["inputs"])
            parse_command(
                ["batch", input_values["prompts"], input_values["server"], *shlex.split(input_values.get("args", ""))]
            )
    assert (uses, commands) == (2, 3)
    with pytest.raises(click.UsageError):
        parse_command(["batch", "p.jsonl", "s.py", "--no-such-flag"])


def test_the_workflow_replays_on_push_and_calls_the_model_on_schedule() -> None:
    """The replay job has no key. The live job has a key and a budget, and runs only on the schedule."""
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
