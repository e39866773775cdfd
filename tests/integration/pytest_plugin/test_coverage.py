"""Coverage gates in pytest: of the configuration for whole suites, and of the command line."""

from __future__ import annotations

import pytest

from tests.support.cli import script, stdlib_server, write_jsonl
from tests.support.pytest_plugin import Suite, suite

__all__ = ["suite"]

pytest_plugins = ["pytester"]

SERVER = """
server = StdlibServer("shop")


@server.tool()
def get(id: int) -> str:
    return f"item {id}"


@server.tool()
def refund(id: int) -> str:
    return "refunded"
"""

ADMIN = """

@server.tool()
def admin_purge() -> str:
    return "purged"
"""

CONFIGURATION = """
server = "server.py"
prompts = "*.jsonl"
min-coverage = 1.0
"""

LEFT_OUT = "Note: the gates of the configuration were left out, since they hold for whole suites: "


@pytest.fixture
def shop(suite: Suite) -> Suite:
    """Return a suite of two prompts files, each of which calls another tool of the server, with a gate for all tools."""
    (suite.path / "quickstart.jsonl").unlink()
    suite.write("server.py", stdlib_server(f"{SERVER}\nserver.run()"))
    suite.write("mcprun.toml", CONFIGURATION)
    write_jsonl(suite.path / "a.jsonl", script(("get", {"id": 1}), id="get"), script(("get", {"id": 2}), id="again"))
    write_jsonl(suite.path / "b.jsonl", script(("refund", {"id": 1}), id="refund"))
    return suite


def add_tool(suite: Suite) -> None:
    suite.write("server.py", stdlib_server(f"{SERVER}{ADMIN}\nserver.run()"))


@pytest.mark.parametrize("workers", [(), ("-n2",)])
def test_all_runs_of_a_session_are_covered_together(shop: Suite, workers: tuple[str, ...]) -> None:
    """No file calls all tools alone, and the session passes. With a new tool it fails, naming it, and all tests pass."""
    done = shop.run(*workers)
    assert done.ret == 0
    done.stdout.fnmatch_lines(["*= mcprun coverage =*", "Coverage: 2 of 2 tools (100 %)*: passed"])
    add_tool(shop)
    done = shop.run(*workers)
    assert done.ret == 1
    done.assert_outcomes(passed=3)
    done.stdout.fnmatch_lines(
        [
            "● coverage is below --min-coverage 1: 2 of 3 tools (66.6 %); not called: admin_purge",
            "mcprun coverage outputs/*",
            "Coverage: 2 of 3 tools (66.6 %)*: FAILED",
        ]
    )


@pytest.mark.parametrize(
    ("selection", "reason"),
    [
        (("-k", "refund"), "1 of 3 queries ran"),
        (("-k", "refund", "-n2"), "1 of 3 queries ran"),
        (("a.jsonl::get",), "1 of 2 queries ran; not collected: b.jsonl"),
        (("a.jsonl",), "not collected: b.jsonl"),
    ],
)
def test_selected_tests_are_not_red_for_other_tools(shop: Suite, selection: tuple[str, ...], reason: str) -> None:
    """Gates of the configuration are left out, and the reason is printed, if some queries are not run."""
    done = shop.run(*selection)
    assert done.ret == 0
    done.stdout.fnmatch_lines([f"{LEFT_OUT}{reason}"])
    done.stdout.no_fnmatch_line("Coverage: *")


def test_gates_of_the_command_line_always_hold(shop: Suite) -> None:
    """They override those of the configuration, and hold for a selection as well."""
    done = shop.run("-k", "refund", "--mcp-min-coverage", "0.9", "--mcp-require", "get")
    assert done.ret == 1
    done.stdout.fnmatch_lines(
        [
            "● coverage is below --min-coverage 0.9: 1 of 2 tools (50 %); not called: get",
            "● --require get: it is not covered, since no call reached it",
        ]
    )
    waived = shop.run("-k", "refund", "--mcp-min-coverage", "1", "--mcp-waive", "g*")
    assert waived.ret == 0
    waived.stdout.fnmatch_lines(["Coverage: 1 of 1 tool (100 %)*; 1 waived: passed"])
    done = shop.run("--mcp-min-coverage", "90")
    assert done.ret == 4
    done.stderr.fnmatch_lines(["ERROR: *must be a share from 0 to 1, not 90; did you mean 0.9?"])


def test_gate_is_not_met_if_no_query_was_run(shop: Suite) -> None:
    """A session with a gate of the command line never passes unchecked, but lists tests as always."""
    shop.write("test_other.py", "def test_other(): pass")
    done = shop.run("test_other.py", "--mcp-min-coverage", "0.1")
    assert done.ret == 1
    done.stdout.fnmatch_lines(["● coverage gates are set, but no query of a prompts file was run"])
    assert shop.run("test_other.py").ret == 0
    assert shop.run("--collect-only", "--mcp-min-coverage", "1").ret == 0


def test_runs_of_the_fixture_have_gates_of_their_own(shop: Suite) -> None:
    """`mcp_run` takes no gates of the configuration. Those that are passed fail the test, which names the tools."""
    queries = [script(("get", {"id": 1}), id="get")]
    shop.write(
        "test_own.py",
        f"""
def test_configured(mcp_run):
    assert mcp_run({queries!r}).ok


def test_given(mcp_run):
    mcp_run({queries!r}, min_coverage=0.9)
""",
    )
    done = shop.run("test_own.py")
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines(["E * coverage is below --min-coverage 0.9: 1 of 2 tools (50 %); not called: refund"])
