"""GitHub Actions: annotations, step summary, and a log into which no server writes commands."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from mcprun.report.markdown import SUMMARY_BYTES
from tests.support.actions import outputs_of
from tests.support.cli import QUICKSTART, RAW, SERVERS, run_mcprun, script, write_jsonl
from tests.support.flaky import flaky
from tests.support.forks import Forks
from tests.support.workflow_commands import found

ACTIONS = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": "summary.md"}


def test_it_turns_on_by_itself(tmp_path: Path) -> None:
    """In a workflow failures are annotated at their lines, and the summary of the step gets the Markdown."""
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
    again = run_mcprun("report", cwd=cwd, env=env)
    assert (again.code, found(again.stdout)) == (0, found(done.stdout))
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
def test_the_switch(tmp_path: Path, flags: tuple[str, ...], env: dict[str, str], is_on: bool) -> None:
    """A flag comes before the environment, and is no argument of the run."""
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
def test_a_run_sets_the_outputs_of_its_step(
    tmp_path: Path, flags: tuple[str, ...], env: dict[str, str], is_set: bool
) -> None:
    """They come after those that are there, also where the last one lacks its line break; reports set none."""
    write_jsonl(tmp_path / "p.jsonl", script(), script(id="wrong", expect={"text": {"equals": "6"}}))
    (tmp_path / "outputs.txt").write_text("x=1")
    given = {**env, "GITHUB_OUTPUT": "outputs.txt"}
    assert run_mcprun("batch", "p.jsonl", RAW, "--out", "r", *flags, cwd=tmp_path, env=given).code == 1
    assert run_mcprun("report", "r", "--csv", "r.csv", *flags, cwd=tmp_path, env=given).code == 0
    of_run = {"run": "r", "passed": "1", "failed": "1", "error": "0", "skipped": "0"} if is_set else {}
    assert {"x": "1", **of_run} == outputs_of((tmp_path / "outputs.txt").read_text())


def test_outputs_that_can_not_be_set(tmp_path: Path) -> None:
    """A step without its outputs is no success: the message names the file, and the exit code is 3."""
    write_jsonl(tmp_path / "p.jsonl", script())
    done = run_mcprun("batch", "p.jsonl", RAW, cwd=tmp_path, env={**ACTIONS, "GITHUB_OUTPUT": "."})
    assert done.code == 3
    assert "Error: . is a folder, not a regular file. The run is saved; write its reports with: " in done.stderr


def test_a_prompts_file_that_has_changed(tmp_path: Path) -> None:
    """Lines that may be wrong are left out; stdin is no file at all."""
    query = script(expect={"text": {"equals": "6"}})
    write_jsonl(tmp_path / "p.jsonl", query)
    run_mcprun("batch", "p.jsonl", RAW, cwd=tmp_path)
    write_jsonl(tmp_path / "p.jsonl", script(id="new"), query)
    ((_, properties, _),) = found(run_mcprun("report", "--github", cwd=tmp_path).stdout)
    assert properties == {"title": "failed: q", "file": "p.jsonl"}
    run_mcprun("batch", "-", RAW, cwd=tmp_path, input=(tmp_path / "p.jsonl").read_bytes())
    ((_, properties, _),) = found(run_mcprun("report", "--github", cwd=tmp_path).stdout)
    assert properties == {"title": "failed: q"}


def test_flaky_queries_are_warned_of(mcprun: Forks, tmp_path: Path) -> None:
    """They are, also where the rate that was asked for is reached."""
    done = flaky(mcprun, tmp_path, "--repeat", "4", "--pass-rate", "0.5", "--github")
    assert found(done.stdout) == [("warning", {"title": "flaky: sometimes"}, "3/4 passed, 75%")]


EVIL_LINES = "no\n::stop-commands::x\r::error::INJECTED\n  ##[error]INJECTED ##vso[x]INJECTED"


@pytest.mark.parametrize("job", ["GITHUB_ACTIONS", "TF_BUILD"])
def test_no_command_writes_commands(mcprun: Forks, tmp_path: Path, job: str) -> None:
    """Whichever command shows the words of a server, or names a file: none of them is taken by the runner."""
    tool = {"name": "t", "description": EVIL_LINES, "inputSchema": {"type": "object", "description": EVIL_LINES}}
    (tmp_path / "server.py").write_text(COMMANDING.replace("EVIL", repr(EVIL_LINES)).replace("TOOL", repr(tool)))
    prompts = write_jsonl(
        tmp_path / "##[error]INJECTED.jsonl",
        script(("t", {}), id="a", text=EVIL_LINES, expect={"text": {"contains": "z"}}),
    )
    write_jsonl(tmp_path / "bad.jsonl", {"prompt": 1, EVIL_LINES: 1})
    env, fields = {job: "true"}, ""
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
        fields += done.stdout + "\n" + done.stderr + "\n"
    wrong = [line for line in re.split(r"[\r\n]", fields) if re.search(r"^\s*::|##\w*\[", line)]
    assert [line for line in wrong if not line.startswith("::error title=")] == []
    assert fields.count("INJECTED") > 20


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
"""A server that says commands in all of its words."""

HOSTILE = """
import sys
print("\\n  ::error::no\\n##[error]no\\n::stop-commands::x\\n::add-mask::a", file=sys.stderr, flush=True)
sys.exit(1)
"""


def test_a_server_can_not_write_commands(tmp_path: Path) -> None:
    """Neither the end of its log, nor results, nor its noise are commands, on whichever stream they are shown."""
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
    assert [properties["title"] for _, properties, _ in found(batch.stdout)] == [
        "failed: ##[error]",
        "failed: ##[error] (2)",
    ]


def test_a_summary_that_is_full(tmp_path: Path) -> None:
    """What GitHub would refuse is not written: that is said, and green is not shown."""
    (tmp_path / "summary.md").write_bytes(b"x" * (SUMMARY_BYTES - 1000))
    done = run_mcprun("batch", *QUICKSTART, cwd=tmp_path, env=ACTIONS)
    assert (done.code, "Error: can't add to the step summary summary.md: it is full" in done.stderr) == (3, True)
    assert (tmp_path / "summary.md").stat().st_size == SUMMARY_BYTES - 1000


def test_annotations_keep_off_a_taken_stdout(tmp_path: Path) -> None:
    """A report on stdout stays whole."""
    write_jsonl(tmp_path / "p.jsonl", script(expect={"text": {"equals": "6"}}))
    done = run_mcprun("batch", "p.jsonl", RAW, "--junit", "-", cwd=tmp_path, env=ACTIONS)
    assert (done.stdout.startswith("<?xml"), found(done.stdout)) == (True, [])
    assert [kind for kind, _, _ in found(done.stderr)] == ["error"]
    assert os.path.lexists(tmp_path / "summary.md")
