"""The program that runs and reports the protocol's conformance tests for clients."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conformance import scenarios
from tests.conformance.__main__ import DOCUMENT
from tests.conformance.known import KNOWN
from tests.conformance.scenarios import ScenarioRequest, commands
from tests.conformance.suite import Outcome, Suite, Trial, trials, verdicts
from tests.conformance.table import BEGIN, END, HEAD, markdown, parse_rows, rows, unexpected
from tests.support import npm
from tests.support.cli import ROOT
from tests.support.documents import replace_block
from tests.support.http_server import http_server

__all__ = ["http_server"]

DOCUMENTED = parse_rows(DOCUMENT.read_text(encoding="utf-8"))

names = st.text("abc/-_0123", min_size=1, max_size=9)

outcomes = st.lists(
    st.builds(
        Outcome,
        st.builds(Trial, names, st.sampled_from(["2025-11-25", "2026-07-28", "extension"])),
        st.sampled_from(["passed", "failed", "skipped"]),
        st.integers(0, 9),
        st.integers(0, 99),
        st.text(max_size=9),
    )
)

reasons = st.dictionaries(names, st.text("why not, ", min_size=1).map(str.strip).filter(bool))


@pytest.fixture(scope="module")
def suite() -> Suite:
    """Install the suite if necessary."""
    if missing := npm.missing():
        pytest.skip(f"{' and '.join(missing)} not installed: the suite needs them")
    return Suite.install()


def client(scenario: str, url: str, protocol: str, context: object = None) -> subprocess.CompletedProcess[str]:
    """Run the client as the suite runs it."""
    variables = {"MCP_CONFORMANCE_SCENARIO": scenario, "MCP_CONFORMANCE_PROTOCOL_VERSION": protocol}
    variables |= {"MCP_CONFORMANCE_CONTEXT": json.dumps(context)} if context else {}
    return subprocess.run(
        [sys.executable, "-m", "tests.conformance.client", url],
        cwd=ROOT, env=os.environ | variables, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("http_server", [("streamable-http",)], indirect=True)
def test_the_client_runs_mcprun_commands(http_server: int) -> None:
    """The client lists or calls tools with the requested protocol, and exits with mcprun's exit code."""
    url = f"http://127.0.0.1:{http_server}/mcp"
    for protocol, spoken in (("2025-06-18", "2025-11-25"), ("2026-07-28", "2026-07-28")):
        assert f"over-http 1.0.0, protocol {spoken}" in client("initialize", url, protocol).stdout
    each = client("something new", url, "2025-11-25")
    assert (each.returncode, "passed  echo  2 turns, 1 call" in each.stderr) == (0, True)
    calls = {"toolCalls": [{"name": "echo", "arguments": {"text": "a"}}, {"name": "echo", "arguments": {"text": "b"}}]}
    both = client("http-custom-headers", url, "2026-07-28", calls)
    assert (both.returncode, "passed  q  2 turns, 2 calls" in both.stderr) == (0, True)
    wrong = client("http-custom-headers", url, "2026-07-28", {"toolCalls": [{"name": "echo", "arguments": {"a": 1}}]})
    assert (wrong.returncode, "failed  q" in wrong.stderr) == (1, True)


def test_a_later_command_can_read_the_output_of_an_earlier_one(tmp_path: Path) -> None:
    """The schema that is sent back to the server is the one in the snapshot, unchanged."""
    request = ScenarioRequest("json-schema-2020-12-preservation", "http://server", "2026-07-28", {}, tmp_path)
    steps = commands(request)
    assert next(steps)[:2] == ("tools", "http://server")
    schema = {"type": "object", "$defs": {"a": {"$anchor": "a"}}, "additionalProperties": False}
    listed = [{"name": "other", "inputSchema": {}}, {"name": "json_schema_2020_12_tool", "inputSchema": schema}]
    (tmp_path / "tools.json").write_text(json.dumps({"tools": listed}))
    command = next(steps)
    (turn, _) = json.loads(Path(command[1]).read_text())["script"]
    assert turn["calls"] == [{"tool": "json_schema_echo", "input": {"schema": schema}}]
    assert list(steps) == []


def test_the_list_of_scenarios_is_parsed() -> None:
    """Each version of a scenario is one trial, and other lines are ignored."""
    listed = "Client scenarios (test against a client):\n  - a [1,2]\n  - auth/b-c [extension]\n\n  - nothing\n"
    assert list(trials(listed)) == [Trial("a", "1"), Trial("a", "2"), Trial("auth/b-c", "extension")]


def test_a_check_passes_only_if_it_passed_every_time() -> None:
    """A repeated check counts once, a warning is a failure, and INFO and SKIPPED entries are ignored."""
    statuses = [("a", "A", "SUCCESS"), ("a", "A", "FAILURE"), ("a", "A", "SUCCESS"), ("a", "B", "SUCCESS"),
            ("b", "B", "WARNING"), ("c", "C", "INFO"), ("d", "D", "SKIPPED"), ("a", "B", "SUCCESS")]  # fmt: skip
    checks = [{"id": number, "name": name, "status": status} for number, name, status in statuses]
    assert verdicts(checks) == {("a", "A"): False, ("a", "B"): True, ("b", "B"): False}


@given(outcomes, reasons, st.text("ab\n"), st.text("ab\n"))
def test_parsing_a_table_returns_the_rows_written(
    found: list[Outcome], known: dict[str, str], before: str, after: str
) -> None:
    """Replacing and parsing a table keeps its rows and the text around it, whatever it contained before."""
    table = list(rows(found, known))
    document = before + markdown([]) + after
    replaced = replace_block(replace_block(document, BEGIN, END, markdown([HEAD])), BEGIN, END, markdown(table))
    assert parse_rows(replaced) == table
    assert (replaced.startswith(before), replaced.endswith(after)) == (True, True)
    assert sum(len(row[1].split(", ")) for row in table) == len(found)
    with pytest.raises(ValueError, match="no place"):
        replace_block(before, BEGIN, END, markdown(table))


@given(outcomes, reasons)
def test_unknown_failures_and_outdated_reasons_are_unexpected(found: list[Outcome], known: dict[str, str]) -> None:
    """A scenario is unexpected if it failed without a known reason, or passed with one."""
    not_passed = {outcome.trial.scenario for outcome in found if outcome.verdict != "passed"}
    tried = {outcome.trial.scenario for outcome in found}
    wrong = unexpected(found, known)
    assert len(wrong) == len(not_passed ^ (known.keys() & tried))
    assert unexpected(found, dict.fromkeys(not_passed, "because")) == []


def test_the_document_lists_every_known_reason() -> None:
    """The scenarios in the table that did not pass are those of `known.py`, with the same reasons."""
    assert {scenario: why for scenario, _, verdict, _, why in DOCUMENTED if verdict != "passed"} == KNOWN
    assert [why for _, _, verdict, _, why in DOCUMENTED if verdict == "passed" and why] == []
    assert scenarios.SPECIAL.keys() <= {row[0] for row in DOCUMENTED}


def test_the_document_lists_exactly_the_scenarios_of_the_suite(suite: Suite) -> None:
    """The table has every scenario of the suite in every protocol version, and no others."""
    lines = [Trial(scenario, protocol) for scenario, protocols, *_ in DOCUMENTED for protocol in protocols.split(", ")]
    assert lines == suite.trials()


@pytest.mark.parametrize("scenario", ["tools_call", "http-custom-headers"])
def test_two_scenarios_of_the_suite_pass(scenario: str, suite: Suite) -> None:
    """A scenario of both eras passes, and so does one that specifies the client's calls."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.conformance", scenario, "--jobs", "1"],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    versions = [protocols.split(", ") for name, protocols, *_ in DOCUMENTED if name == scenario]
    count = sum(map(len, versions))
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, f"{count} of {count} passed; 0 not as known")


def test_a_client_that_does_nothing_does_not_pass(
    suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that sends nothing fails, or is skipped if the scenario then makes no check."""
    monkeypatch.setattr("tests.conformance.suite.CLIENT", ("true",))
    failed = suite.run(Trial("tools_call", "2026-07-28"), tmp_path / "a")
    assert (failed.verdict, failed.held, failed.checks) == ("failed", 0, 1)
    skipped = suite.run(Trial("sep-2640-client-verify-digest", "extension"), tmp_path / "b")
    assert (skipped.verdict, skipped.checks) == ("skipped", 0)
