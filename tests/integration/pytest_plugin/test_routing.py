"""Routed prompts files in pytest: queries that are graded, those that are not, and the routing of the session."""

from __future__ import annotations

import pytest

from tests.support.cli import stdlib_server, write_jsonl
from tests.support.pytest_plugin import Suite, suite

__all__ = ["suite"]

pytest_plugins = ["pytester"]

SERVER = """
server = StdlibServer("tracker")


@server.tool()
def get(id: int) -> str:
    open("called", "w").close()
    return f"issue {id}"


@server.tool()
def close(id: int) -> str:
    open("called", "w").close()
    return "closed"


server.run()
"""
CONFIGURATION = 'server = "server.py"\nprompts = "*.jsonl"\n'


def query(name: str, expected: str | None, called: str) -> dict[str, object]:
    """Return a query whose first turn calls a tool."""
    expect = {} if expected is None else {"expect": {"calls": [{"tool": expected}]}}
    return {
        "id": name,
        "prompt": "x",
        "script": [{"calls": [{"tool": called, "input": {"id": 1}}]}, {"text": "Done."}],
        **expect,
    }


@pytest.fixture
def routed(suite: Suite) -> Suite:
    """Return a suite of two prompts files, one of which has nothing to grade."""
    (suite.path / "quickstart.jsonl").unlink()
    suite.write("server.py", stdlib_server(SERVER))
    suite.write("mcprun.toml", f"{CONFIGURATION}route = true\n")
    write_jsonl(
        suite.path / "a.jsonl", query("right", "get", "get"), query("wrong", "get", "close"), query("text", None, "get")
    )
    write_jsonl(suite.path / "b.jsonl", query("only-text", None, "get"))
    return suite


def test_a_routed_project_grades_first_turns(routed: Suite) -> None:
    """No call is made; queries that are not graded are skipped with the reason, at their line of the file."""
    done = routed.run("-rs")
    done.assert_outcomes(passed=1, failed=1, skipped=2)
    done.stdout.fnmatch_lines([
        "*expected a call to get, got close{id: 1}*",
        "*mcprun routing*",
        "Routing: 1 of 2 (50 %) right, 95 % interval 9 to 91 %",
        "  not graded: 1 query without expect.calls, or with vars from steps",
        "Expected → called:",
        "    1 × get → close",
        "SKIPPED [[]1[]] a.jsonl:3: not graded: the query has no expect.calls",
        "SKIPPED [[]1[]] b.jsonl:1: not graded: the query has no expect.calls",
    ])  # fmt: skip
    assert not (routed.path / "called").exists()


def test_the_option_routes_a_project(routed: Suite) -> None:
    """`--mcp-route` needs no setting, and leaves out the coverage gates of the configuration."""
    routed.write("mcprun.toml", f"{CONFIGURATION}min-coverage = 1.0\n")
    done = routed.run("--mcp-route", "-k", "right")
    done.assert_outcomes(passed=1, deselected=3)
    done.stdout.fnmatch_lines(["Routing: 1 of 1 (100 %) right, *"])
    done.stdout.no_fnmatch_line("*mcprun coverage*")
    assert not (routed.path / "called").exists()


def test_gates_of_the_command_line_are_refused(routed: Suite) -> None:
    """They could never be met."""
    done = routed.run("--mcp-route", "--mcp-min-coverage", "1")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(["*--mcp-route makes no calls, so coverage gates can't be met: leave them out*"])


def test_queries_in_tests_make_their_calls(routed: Suite) -> None:
    """`mcp_run` is not routed by the configuration, since its tests look at results."""
    script = '[{"calls": [{"tool": "get", "input": {"id": 1}}]}, {"text": "Done."}]'
    routed.write(
        "test_it.py",
        f"""
def test_get(mcp_run):
    (one,) = mcp_run([{{"prompt": "x", "script": {script}}}]).transcripts()
    assert one.calls[0].tool == "get"
""",
    )
    routed.run("test_it.py").assert_outcomes(passed=1)


def test_a_session_that_is_not_routed_has_no_section(routed: Suite) -> None:
    """Its terminal output is as before."""
    routed.write("mcprun.toml", CONFIGURATION)
    done = routed.run()
    done.assert_outcomes(passed=3, failed=1)
    done.stdout.no_fnmatch_line("*routing*")
