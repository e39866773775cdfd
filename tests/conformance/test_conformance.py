"""The protocol's conformance tests for clients: how they are run and reported."""

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
from tests.conformance.scenarios import Asked, commands
from tests.conformance.suite import Outcome, Suite, Trial, trials, verdicts
from tests.conformance.table import HEAD, markdown, put, rows, taken, unexpected
from tests.support import npm
from tests.support.cli import ROOT
from tests.support.http_server import http_server

__all__ = ["http_server"]

DOCUMENTED = taken(DOCUMENT.read_text(encoding="utf-8"))

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
    """Have the suite installed."""
    if missing := npm.missing():
        pytest.skip(f"{' and '.join(missing)} not installed: the suite is run with them")
    return Suite.install()


def client(scenario: str, url: str, protocol: str, context: object = None) -> subprocess.CompletedProcess[str]:
    """Run the client as the suite does."""
    asked = {"MCP_CONFORMANCE_SCENARIO": scenario, "MCP_CONFORMANCE_PROTOCOL_VERSION": protocol}
    asked |= {"MCP_CONFORMANCE_CONTEXT": json.dumps(context)} if context else {}
    return subprocess.run(
        [sys.executable, "-m", "tests.conformance.client", url],
        cwd=ROOT, env=os.environ | asked, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("http_server", [("streamable-http",)], indirect=True)
def test_the_client_runs_plain_commands(http_server: int) -> None:
    """It lists tools or calls them, in the protocol that is asked for, and ends as mcprun does."""
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


def test_a_later_command_may_read_what_an_earlier_one_wrote(tmp_path: Path) -> None:
    """The schema that is sent back is the one of the snapshot, whatever it holds."""
    asked = Asked("json-schema-2020-12-preservation", "http://server", "2026-07-28", {}, tmp_path)
    steps = commands(asked)
    assert next(steps)[:2] == ("tools", "http://server")
    schema = {"type": "object", "$defs": {"a": {"$anchor": "a"}}, "additionalProperties": False}
    listed = [{"name": "other", "inputSchema": {}}, {"name": "json_schema_2020_12_tool", "inputSchema": schema}]
    (tmp_path / "tools.json").write_text(json.dumps({"tools": listed}))
    command = next(steps)
    (turn, _) = json.loads(Path(command[1]).read_text())["script"]
    assert turn["calls"] == [{"tool": "json_schema_echo", "input": {"schema": schema}}]
    assert list(steps) == []


def test_the_list_of_scenarios_is_read() -> None:
    """Each version that a scenario holds for is a trial of its own; other lines are none."""
    listed = "Client scenarios (test against a client):\n  - a [1,2]\n  - auth/b-c [extension]\n\n  - nothing\n"
    assert list(trials(listed)) == [Trial("a", "1"), Trial("a", "2"), Trial("auth/b-c", "extension")]


def test_a_check_holds_when_it_always_did() -> None:
    """It counts once, however often it was made; warnings are failures, and what is only told is nothing."""
    made = [("a", "A", "SUCCESS"), ("a", "A", "FAILURE"), ("a", "A", "SUCCESS"), ("a", "B", "SUCCESS"),
            ("b", "B", "WARNING"), ("c", "C", "INFO"), ("d", "D", "SKIPPED"), ("a", "B", "SUCCESS")]  # fmt: skip
    checks = [{"id": number, "name": name, "status": status} for number, name, status in made]
    assert verdicts(checks) == {("a", "A"): False, ("a", "B"): True, ("b", "B"): False}


@given(outcomes, reasons, st.text("ab\n"), st.text("ab\n"))
def test_a_table_is_read_as_it_was_written(
    found: list[Outcome], known: dict[str, str], before: str, after: str
) -> None:
    """Whatever it held before, and whatever stands around it."""
    table = list(rows(found, known))
    document = before + markdown([]) + after
    written = put(put(document, markdown([HEAD])), markdown(table))
    assert taken(written) == table
    assert (written.startswith(before), written.endswith(after)) == (True, True)
    assert sum(len(row[1].split(", ")) for row in table) == len(found)
    with pytest.raises(ValueError, match="no place"):
        put(before, markdown(table))


@given(outcomes, reasons)
def test_what_is_known_must_be_true(found: list[Outcome], known: dict[str, str]) -> None:
    """All is well when each that did not pass has its reason, and each reason that was tried has its failure."""
    wanting = {outcome.trial.scenario for outcome in found if outcome.verdict != "passed"}
    tried = {outcome.trial.scenario for outcome in found}
    wrong = unexpected(found, known)
    assert len(wrong) == len(wanting ^ (known.keys() & tried))
    assert unexpected(found, dict.fromkeys(wanting, "because")) == []


def test_the_document_and_the_reasons_agree() -> None:
    """What did not pass has the reason of `known.py` beside it, and each of those stands in the table."""
    assert {scenario: why for scenario, _, verdict, _, why in DOCUMENTED if verdict != "passed"} == KNOWN
    assert [why for _, _, verdict, _, why in DOCUMENTED if verdict == "passed" and why] == []
    assert scenarios.SPECIAL.keys() <= {row[0] for row in DOCUMENTED}


def test_the_scenarios_of_the_document_are_the_suites(suite: Suite) -> None:
    """No scenario is left out, in no version of the protocol, and none is there no more."""
    lines = [Trial(scenario, protocol) for scenario, protocols, *_ in DOCUMENTED for protocol in protocols.split(", ")]
    assert lines == suite.trials()


@pytest.mark.parametrize("scenario", ["tools_call", "http-custom-headers"])
def test_a_part_of_the_suite_passes(scenario: str, suite: Suite) -> None:
    """A scenario of both eras, and one that gives the client what to send."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.conformance", scenario, "--jobs", "1"],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    versions = [protocols.split(", ") for name, protocols, *_ in DOCUMENTED if name == scenario]
    count = sum(map(len, versions))
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, f"{count} of {count} passed; 0 not as known")


def test_who_does_nothing_does_not_pass(suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that sends nothing fails a scenario, and one that can't be judged is skipped."""
    monkeypatch.setattr("tests.conformance.suite.CLIENT", ("true",))
    failed = suite.run(Trial("tools_call", "2026-07-28"), tmp_path / "a")
    assert (failed.verdict, failed.held, failed.checks) == ("failed", 0, 1)
    skipped = suite.run(Trial("sep-2640-client-verify-digest", "extension"), tmp_path / "b")
    assert (skipped.verdict, skipped.checks) == ("skipped", 0)
