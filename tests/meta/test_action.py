"""Run `action.yml` as GitHub runs it, and check the workflows of the README."""

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

ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))

STEPS = {step.get("id", step.get("name", step.get("uses"))): step for step in ACTION["runs"]["steps"]}

WORKFLOWS = [
    yaml.safe_load(block)
    for block in re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
]

SECONDS = 60.0


def run_action(folder: Path, cwd: Path | None = None, /, **inputs: str | Path) -> tuple[int, dict[str, str], str]:
    """Run the script of the action with its inputs as GitHub hands them over: its exit code, outputs and log."""
    folder.mkdir(exist_ok=True)
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
        cwd=cwd or folder, env={**clean_environment(), **github, "RUNNER_TEMP": str(folder), **env},
        capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    return done.returncode, outputs_of(output.read_bytes().decode()), done.stdout + done.stderr


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
    assert "::error title=mcprun::1 regression compared with base: 1 changed" in log


def test_the_outputs_are_those_of_this_run(tmp_path: Path) -> None:
    """Neither those of an earlier step with the same folder, nor of a folder that the arguments do not choose."""
    write_jsonl(tmp_path / "p.jsonl", script(), script(id="wrong", expect={"text": {"equals": "6"}}))
    given: dict[str, str | Path] = {"prompts": "p.jsonl", "server": RAW, "out": "same"}
    counts = {"passed": "1", "failed": "1", "error": "0", "skipped": "0", "exit-code": "1"}
    code, outputs, _ = run_action(tmp_path, **given)
    assert (code, outputs) == (1, {"run": "same", **counts})
    code, outputs, log = run_action(tmp_path / "second", tmp_path, **given)
    assert (code, outputs) == (2, {"exit-code": "2"})
    assert "Error: same already holds a run: " in log
    args = "--no-github --out else\\ where --html h.html"
    code, outputs, log = run_action(tmp_path / "third", tmp_path, **given, args=args, html="page.html")
    assert (code, outputs, "::error" in log) == (1, {"run": "else where", **counts}, False)
    assert [file.name for file in tmp_path.glob("*.html")] == ["h.html"]


@pytest.mark.parametrize(
    "out", ["a\nexit-code=0\npassed=99", "a<<b\nc\nb", "x=<<EOF", "-x", "ü \r", "$(touch pwned)", "a\n\n", "'\";&|*"]
)
def test_no_folder_sets_another_output(tmp_path: Path, out: str) -> None:
    """Whatever the folder is called, it is the value of one output and the folder of the run."""
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
    ("given", "words"),
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
def test_inputs_that_run_nothing_are_wrong_usage(tmp_path: Path, given: dict[str, str], words: str) -> None:
    """They are told in one line without a value that may be secret, and the step fails with 2."""
    write_jsonl(tmp_path / "p.jsonl", script())
    code, outputs, log = run_action(tmp_path, **{"prompts": "p.jsonl", "server": RAW, **given})  # type: ignore[arg-type]
    assert (code, outputs) == (2, {"exit-code": "2"})
    assert f"Error: {words}\n" in log
    assert not re.search(r"Traceback|s3cret", log)


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
    reported = json.dumps(ACTION["runs"])
    assert not any("${{" in step.get("run", "") for step in STEPS.values())
    assert set(re.findall(r"inputs\.([\w-]+)", reported)) == set(ACTION["inputs"])
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
