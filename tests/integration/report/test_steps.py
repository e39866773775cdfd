"""What people see of the steps of a run: in the terminal, in a second command, and in a trace of OpenTelemetry."""

from __future__ import annotations

import json
import re
import shlex
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import SERVERS, Result, run_mcprun, write_jsonl
from tests.support.collector import Collector

TRACKER = SERVERS / "tracker.py"
NUMBER = {"$from": "issue", "path": "/structuredContent/id"}
DELETE = {"tool": "delete_issue", "input": {"id": NUMBER}}

CLOSE: dict[str, Any] = {
    "id": "close",
    "before": [{"id": "issue", "tool": "create_issue", "input": {"title": "Broken"}}],
    "vars": {"number": NUMBER},
    "prompt": "Close issue {{number}}.",
    "script": [{"calls": [{"tool": "close_issue", "input": {"id": "{{number}}"}}]}, {"text": "Closed {{number}}."}],
    "after": [
        {"id": "state", "tool": "get_issue", "input": {"id": NUMBER}, "result": {"status": "closed"}},
        {"resource": "issue://log", "text": {"contains": "closed"}},
    ],
    "cleanup": [DELETE],
}


def untitled(name: str) -> dict[str, Any]:
    """Return a query that is not set up, since an issue needs a title, and whose cleanup fails."""
    return {
        "id": name,
        "before": [{"tool": "create_issue", "input": {"title": ""}}],
        "prompt": "Close it.",
        "script": [{"text": "No."}],
        "cleanup": [{"tool": "delete_issue", "input": {"id": 1}}],
    }


@pytest.fixture(scope="module")
def lazy(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """Run a query whose server stores nothing, and two that are not set up, with `--verbose`."""
    folder = tmp_path_factory.mktemp("lazy")
    prompts = write_jsonl(folder / "p.jsonl", CLOSE, untitled("u-1"), untitled("u-2"))
    return run_mcprun(
        "batch", prompts, TRACKER, "-v", "--concurrency", "1", "--junit", "j.xml", "--", "lazy", cwd=folder
    )


def test_the_summary_says_why_and_counts_the_calls_of_the_model(lazy: Result) -> None:
    """The queries that were not set up are one cause, which says that the model was not asked."""
    assert lazy.code == 1
    assert "● 2 × setup: create_issue: expected no error" in lazy.stdout
    assert "the model was not asked: check the step, the server and its environment; u-1, u-2" in lazy.stdout
    assert '● 1 × after: get_issue: result.status: expected "closed", got "open"' in lazy.stdout
    assert lazy.record["counts"]["calls"] == 1
    assert lazy.record["counts"]["tool_errors"] == 0


def test_each_step_is_a_line_of_verbose_and_each_warning_of_the_end(lazy: Result) -> None:
    """A failed cleanup is a warning, which is printed once, after all queries."""
    lines = [re.sub(r"[\d.]+ (ms|s)\b", "T", line) for line in lazy.stderr.splitlines()]
    steps = [line for line in lines if line.startswith(("before ", "after ", "cleanup ")) and " close " in line]
    number = lazy.transcripts[0]["vars"]["number"]
    assert steps == [
        'before  close create_issue{title: "Broken"}  ok, T',
        f"after   close get_issue{{id: {number}}}  ok, T",
        "after   close read issue://log  ok, T",
        f"cleanup close delete_issue{{id: {number}}}  ok, T",
    ]
    warnings = [line for line in lines if line.startswith("Warning: ")]
    assert warnings == lines[-2:]
    assert [line.split(":")[1:3] for line in warnings] == [[" u-1", " cleanup[0]"], [" u-2", " cleanup[0]"]]


def test_a_conversation_is_shown_with_its_steps_and_times(lazy: Result) -> None:
    """The steps around it, the values of names, and the time that the steps took."""
    shown = run_mcprun("show", lazy.run, "close", "--trace", cwd=lazy.run).stdout
    found = re.findall(r"^(before|vars|user|call|model|after|cleanup|checks?)\b", shown, re.MULTILINE)
    assert found == [
        "before", "vars", "user", "call", "model", "after", "after", "cleanup", "checks", "check", "check"
    ]  # fmt: skip
    spans = re.findall(r"s  (before|after|cleanup) (\S+)", shown)
    assert spans == [
        ("before", "create_issue"), ("after", "get_issue"), ("after", "issue://log"), ("cleanup", "delete_issue")
    ]  # fmt: skip
    assert re.search(r"^[\d.]+ m?s: .*calls [\d.]+ m?s, .*steps [\d.]+ m?s", shown, re.MULTILINE)


def test_the_command_of_a_failed_step_makes_its_call_again(lazy: Result) -> None:
    """It is in JUnit, and exits with 1, since the call returns an error again."""
    cases = {case.get("name"): case for case in ET.parse(lazy.run.parents[1] / "j.xml").iter("testcase")}
    error = cases["u-1"].find("error")
    assert error is not None
    assert error.get("type") == "setup"
    command = next(line for line in (error.text or "").splitlines() if line.startswith("mcprun call "))
    again = run_mcprun(*shlex.split(command)[1:], cwd=lazy.run.parents[1])
    assert (again.code, "an issue needs a title" in again.stdout) == (1, True)
    failure = cases["close"].find("failure")
    assert failure is not None
    assert failure.get("type") == "after.state"


def test_coverage_counts_the_calls_and_reads_of_steps(lazy: Result) -> None:
    """A tool that only a step called is covered, and so is a resource that only a step read."""
    found = json.loads(run_mcprun("coverage", lazy.run, "--json", cwd=lazy.run).stdout)
    covered = {tool["name"] for tool in found["tools"] if tool["state"] == "covered"}
    assert covered == {"close_issue", "create_issue", "delete_issue", "get_issue"}
    assert [one["reads"] for one in found["resources"]] == [1]


def test_steps_are_spans_but_no_tool_executions(tmp_path: Path) -> None:
    """Only the model's call is one of the conventions for generative AI. All have the attributes of MCP."""
    prompts = write_jsonl(tmp_path / "p.jsonl", CLOSE)
    with Collector() as collector:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        done = run_mcprun("batch", prompts, TRACKER, "--otel", cwd=tmp_path, env=env)
    assert done.code == 0, done.stdout
    root = collector.roots["close"]
    calls = [span.attributes for span in collector.below(root) if span.attributes["mcp.method.name"] == "tools/call"]
    assert {
        one["gen_ai.tool.name"]: (one.get("gen_ai.operation.name"), one.get("mcprun.step.phase")) for one in calls
    } == {
        "create_issue": (None, "before"), "close_issue": ("execute_tool", None),
        "get_issue": (None, "after"), "delete_issue": (None, "cleanup"),
    }  # fmt: skip
    assert [one["mcprun.step.id"] for one in calls if "mcprun.step.id" in one] == ["issue", "state"]
    assert (root.attributes["mcprun.calls"], root.attributes["mcprun.steps"]) == (1, 4)
