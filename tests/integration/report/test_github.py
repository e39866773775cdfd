"""GitHub Actions: annotations, step summary, outputs, and a log that a server cannot inject commands into."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from mcprun.report.markdown import SUMMARY_BYTES
from tests.support.actions import found, outputs_of
from tests.support.cli import QUICKSTART, RAW, SERVERS, run_mcprun, script, write_jsonl
from tests.support.flaky import flaky
from tests.support.forks import Forks

ACTIONS = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": "summary.md"}


def test_annotations_and_summary_are_automatic_in_a_workflow(tmp_path: Path) -> None:
    """In a workflow, failures are annotated at their lines and the Markdown report is added to the step summary."""
    (tmp_path / "repo" / "sub").mkdir(parents=True)
    bad = script(("ok", {}), id="a,b: 100%0A", expect={"text": {"contains": "6"}, "never": ["ok"]})
    write_jsonl(tmp_path / "repo" / "sub" / "p.jsonl", script(id="fine"), bad)
    cwd = tmp_path / "repo" / "sub"
    env = {**ACTIONS, "GITHUB_WORKSPACE": str(tmp_path / "repo")}
    done = run_mcprun("batch", "p.jsonl", RAW, "--markdown", "m.md", cwd=cwd, env=env)
    assert (done.code, found(done.stderr)) == (1, [])
    assert found(done.stdout) == [
        (
            "error",
            {"title": "failed: a,b: 100%0A", "file": "sub/p.jsonl", "line": "2"},
            "call 0: expected no call to ok, got ok{}\nexpected text with '6', got 'Done.'",
        )
    ]
    assert (cwd / "summary.md").read_bytes() == (cwd / "m.md").read_bytes()
    reported = run_mcprun("report", cwd=cwd, env=env)
    assert (reported.code, found(reported.stdout)) == (0, found(done.stdout))
    assert (cwd / "summary.md").read_bytes() == (cwd / "m.md").read_bytes() * 2


@pytest.mark.parametrize(
    ("flags", "env", "is_on"),
    [
        ((), {}, False),
        (("--github",), {"GITHUB_STEP_SUMMARY": "summary.md"}, True),
        (("--no-github",), ACTIONS, False),
        ((), {**ACTIONS, "GITHUB_ACTIONS": "false"}, False),
    ],
)
def test_github_flag_overrides_the_environment(
    tmp_path: Path, flags: tuple[str, ...], env: dict[str, str], is_on: bool
) -> None:
    """`--github` and `--no-github` override the environment, and are not recorded as arguments of the run."""
    write_jsonl(tmp_path / "p.jsonl", script(expect={"text": {"equals": "6"}}))
    done = run_mcprun("batch", "p.jsonl", RAW, *flags, cwd=tmp_path, env=env)
    assert (bool(found(done.stdout)), (tmp_path / "summary.md").exists()) == (is_on, is_on)
    assert "github" not in done.record["arguments"]


@pytest.mark.parametrize(
    ("flags", "env", "is_set"),
    [
        ((), ACTIONS, True),
        (("--no-github",), ACTIONS, True),
        (("--github",), {"GITHUB_STEP_SUMMARY": "summary.md"}, True),
        ((), {}, False),
    ],
)
def test_batch_sets_step_outputs(tmp_path: Path, flags: tuple[str, ...], env: dict[str, str], is_set: bool) -> None:
    """`mcprun batch` appends to the outputs file, also after an unterminated line; `mcprun report` sets no outputs."""
    write_jsonl(tmp_path / "p.jsonl", script(), script(id="wrong", expect={"text": {"equals": "6"}}))
    (tmp_path / "outputs.txt").write_text("x=1")
    environment = {**env, "GITHUB_OUTPUT": "outputs.txt"}
    assert run_mcprun("batch", "p.jsonl", RAW, "--out", "r", *flags, cwd=tmp_path, env=environment).code == 1
    assert run_mcprun("report", "r", "--csv", "r.csv", *flags, cwd=tmp_path, env=environment).code == 0
    run_outputs = {"run": "r", "passed": "1", "failed": "1", "error": "0", "skipped": "0"} if is_set else {}
    assert {"x": "1", **run_outputs} == outputs_of((tmp_path / "outputs.txt").read_text())


def test_unwritable_outputs_file_is_an_error(tmp_path: Path) -> None:
    """If the step outputs cannot be written, the message names the file and the exit code is 3."""
    write_jsonl(tmp_path / "p.jsonl", script())
    done = run_mcprun("batch", "p.jsonl", RAW, cwd=tmp_path, env={**ACTIONS, "GITHUB_OUTPUT": "."})
    assert done.code == 3
    assert "Error: . is a folder, not a regular file. The run is saved; write its reports with: " in done.stderr


def test_annotations_of_a_changed_prompts_file_have_no_line(tmp_path: Path) -> None:
    """The line is omitted if the prompts file has changed, and the file as well if the prompts came from stdin."""
    query = script(expect={"text": {"equals": "6"}})
    write_jsonl(tmp_path / "p.jsonl", query)
    run_mcprun("batch", "p.jsonl", RAW, cwd=tmp_path)
    write_jsonl(tmp_path / "p.jsonl", script(id="new"), query)
    ((_, properties, _),) = found(run_mcprun("report", "--github", cwd=tmp_path).stdout)
    assert properties == {"title": "failed: q", "file": "p.jsonl"}
    run_mcprun("batch", "-", RAW, cwd=tmp_path, input=(tmp_path / "p.jsonl").read_bytes())
    ((_, properties, _),) = found(run_mcprun("report", "--github", cwd=tmp_path).stdout)
    assert properties == {"title": "failed: q"}


def test_flaky_queries_are_annotated_as_warnings(mcprun: Forks, tmp_path: Path) -> None:
    """A flaky query is annotated as a warning even if it reached its required pass rate."""
    done = flaky(mcprun, tmp_path, "--repeat", "4", "--pass-rate", "0.5", "--github")
    assert found(done.stdout) == [("warning", {"title": "flaky: sometimes"}, "3/4 passed, 75 %")]


EVIL_LINES = "no\n::stop-commands::x\r::error::INJECTED\n  ##[error]INJECTED ##vso[x]INJECTED"


@pytest.mark.parametrize("job", ["GITHUB_ACTIONS", "TF_BUILD"])
def test_no_command_emits_workflow_commands(mcprun: Forks, tmp_path: Path, job: str) -> None:
    """No mcprun command prints text of a server, or a file name, that the runner would interpret as a command."""
    tool = {"name": "t", "description": EVIL_LINES, "inputSchema": {"type": "object", "description": EVIL_LINES}}
    (tmp_path / "server.py").write_text(COMMANDING.replace("EVIL", repr(EVIL_LINES)).replace("TOOL", repr(tool)))
    prompts = write_jsonl(
        tmp_path / "##[error]INJECTED.jsonl",
        script(("t", {}), id="a", text=EVIL_LINES, expect={"text": {"contains": "z"}}),
    )
    write_jsonl(tmp_path / "bad.jsonl", {"prompt": 1, EVIL_LINES: 1})
    env, output = {job: "true"}, ""
    for command in (
        ("batch", prompts.name, "server.py", "--out", "##[error]INJECTED"), ("batch", prompts.name, "server.py", "--out", "b"),
        ("show", "b", "a"), ("diff", "b", "##[error]INJECTED"), ("diff", "b", "##[error]INJECTED", "--html", "##[error]INJECTED.html"),
        ("report", "b", "--markdown", "-"), ("report", "b", "--tap", "-", "--no-github"), ("tools", "server.py"),
        ("tools", "server.py", "--json"), ("tools", "server.py", "--lint"), ("init", "server.py", "--no-workflow"),
        ("validate", "bad.jsonl"), ("validate", prompts.name), ("bless", "##[error]INJECTED", "base"), ("merge", "b", "##[error]INJECTED", "m"),
        ("show", "##[error]INJECTED.none"), ("##[error]INJECTED",), ("batch", prompts.name, "##[error]INJECTED.py"),
    ):  # fmt: skip
        done = mcprun.run(*command, cwd=tmp_path, env=env)
        assert "Traceback" not in done.stderr
        output += done.stdout + "\n" + done.stderr + "\n"
    commands = [line for line in re.split(r"[\r\n]", output) if re.search(r"^\s*::|##\w*\[", line)]
    assert [line for line in commands if not line.startswith("::error title=")] == []
    assert output.count("INJECTED") > 20


COMMANDING = """
import json, sys
evil, tool = EVIL, TOOL
print(evil, file=sys.stderr, flush=True)
for line in sys.stdin:
    message = json.loads(line)
    number, method = message.get("id"), message.get("method")
    result = {
        "initialize": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": evil, "version": evil}},
        "tools/list": {"tools": [tool]},
        "tools/call": {"content": [{"type": "text", "text": evil}], "isError": True},
    }.get(method)
    if number is not None:
        answer = {"result": result} if result else {"error": {"code": -32000, "message": evil}}
        print(json.dumps({"jsonrpc": "2.0", "id": number, **answer}), flush=True)
"""
"""A server that sends workflow commands in every text."""

HOSTILE = """
import sys
print("\\n  ::error::no\\n##[error]no\\n::stop-commands::x\\n::add-mask::a", file=sys.stderr, flush=True)
sys.exit(1)
"""


def test_server_output_is_not_interpreted_as_commands(tmp_path: Path) -> None:
    """Neither a server's log nor its results contain workflow commands when printed, on stdout or stderr."""
    (tmp_path / "server.py").write_text(HOSTILE)
    write_jsonl(tmp_path / "p.jsonl", script())
    done = run_mcprun("batch", "p.jsonl", "server.py", cwd=tmp_path, env=ACTIONS)
    assert "add-mask" in done.stderr
    assert found(done.stderr) == []
    ((kind, properties, _),) = found(done.stdout)
    assert (kind, properties) == ("error", {"title": "mcprun"})
    evil = "::error::no\n  ::error::no\n##[error]no"
    query = script(("echo", {"text": evil}), id="##[error]", text=evil, expect={"text": {"equals": evil + "x"}})
    write_jsonl(tmp_path / "p.jsonl", query)
    batch = run_mcprun("batch", "p.jsonl", SERVERS / "kinds.py", "--repeat", "2", cwd=tmp_path, env=ACTIONS)
    shown = run_mcprun("show", "latest", "##[error]", cwd=tmp_path, env=ACTIONS)
    reports = [
        run_mcprun("report", f"--{form}", "-", "--no-github", cwd=tmp_path, env=ACTIONS).stdout
        for form in ("junit", "markdown", "csv", "tap")
    ]
    assert evil.split("\n")[0] in run_mcprun("show", "latest", "##[error]", cwd=tmp_path).stdout
    for text in (batch.stderr, shown.stdout, *reports):
        assert found(text) == []
    assert [properties["title"] for _, properties, _ in found(batch.stdout)] == ["failed: ##[error]"]


def test_full_step_summary_is_an_error(tmp_path: Path) -> None:
    """A report that would exceed GitHub's limit is not written, and mcprun exits with 3."""
    (tmp_path / "summary.md").write_bytes(b"x" * (SUMMARY_BYTES - 1000))
    done = run_mcprun("batch", *QUICKSTART, cwd=tmp_path, env=ACTIONS)
    assert (done.code, "Error: can't add to the step summary summary.md: it is full" in done.stderr) == (3, True)
    assert (tmp_path / "summary.md").stat().st_size == SUMMARY_BYTES - 1000


def test_annotations_go_to_stderr_if_a_report_uses_stdout(tmp_path: Path) -> None:
    """With `--junit -`, stdout contains only the report, and annotations go to stderr."""
    write_jsonl(tmp_path / "p.jsonl", script(expect={"text": {"equals": "6"}}))
    done = run_mcprun("batch", "p.jsonl", RAW, "--junit", "-", cwd=tmp_path, env=ACTIONS)
    assert (done.stdout.startswith("<?xml"), found(done.stdout)) == (True, [])
    assert [kind for kind, _, _ in found(done.stderr)] == ["error"]
    assert os.path.lexists(tmp_path / "summary.md")
