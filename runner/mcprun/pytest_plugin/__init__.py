"""The pytest plugin: prompts files are collected as tests, and the fixture `mcp_run` runs queries in your own tests.

pytest loads it by its entry point. It does nothing and imports nothing heavy until a prompts file is collected or the
fixture is called. A `.jsonl` file is a prompts file if it is named on the command line or matches `prompts` of the
configuration, and if a server is set. So is a `.yaml` or `.yml` file, unless another plugin collects it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any
from weakref import WeakSet

import pytest

from mcprun.pytest_plugin.config import Settings, gate_flags
from mcprun.pytest_plugin.fixtures import McpRun
from mcprun.pytest_plugin.session_coverage import add_worker, finish_session, print_outcome
from mcprun.pytest_plugin.session_routing import print_session_routing

__all__ = ["McpRun", "mcp_run"]

_FIXTURES: WeakSet[McpRun] = WeakSet()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the command-line options, and the same options for pytest's configuration."""
    group = parser.getgroup("mcprun", "queries against an MCP server (mcprun)")
    group.addoption(
        "--mcp-server",
        metavar="SERVER",
        help="Server for prompts files and mcp_run: a .py or .js file, a URL, FILE.json#name, or a command line."
        " Arguments after -- are passed to the server: 'server.py -- --verbose'.",
    )
    group.addoption(
        "--mcp-model",
        metavar="MODEL",
        help="Model to use: an API name, script, or replay:RUN.",
    )
    group.addoption(
        "--mcp-min-coverage",
        metavar="SHARE",
        help="Fail if the prompts files cover less of the server's tools, such as 0.9.",
    )
    group.addoption(
        "--mcp-require",
        metavar="TOOL",
        action="append",
        default=[],
        help="Fail if the prompts files do not cover this tool. Repeatable.",
    )
    group.addoption(
        "--mcp-waive",
        metavar="PATTERN",
        action="append",
        default=[],
        help="Tools that need not be covered, such as 'admin_*'. Repeatable.",
    )
    group.addoption(
        "--mcp-route",
        action="store_true",
        help="Only ask which tools the model would call in prompts files, and make no call.",
    )
    parser.addini("mcp_server", "Same as --mcp-server, relative to the folder of the configuration.")
    parser.addini("mcp_model", "Same as --mcp-model.")
    parser.addini("mcp_prompts", "Patterns of prompts files to collect.", type="args", default=[])


def pytest_configure(config: pytest.Config) -> None:
    """Check coverage gates of the command line. Raises `pytest.UsageError`."""
    if gate_flags(config):
        Settings.of(config).check_gates()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Evaluate coverage gates, before the terminal's summary."""
    finish_session(session)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what a worker of pytest-xdist ran."""
    add_worker(node.config, getattr(node, "workeroutput", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the outcome of coverage gates, and how often the model of routed queries picks the right tool."""
    print_outcome(terminalreporter)
    print_session_routing(terminalreporter)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Name the prompts file as the place at which a query was skipped, not this plugin."""
    report = yield
    is_of_query = type(item).__module__ == "mcprun.pytest_plugin.collection"
    if is_of_query and report.skipped and isinstance(report.longrepr, tuple):
        path, line, _ = item.reportinfo()
        report.longrepr = (str(path), (line or 0) + 1, report.longrepr[2])
    return report


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> Generator[None, list[Any], list[Any]]:
    """Collect a prompts file, in addition to what other plugins collect from it."""
    found = yield
    is_named = file_path.suffix in (".jsonl", ".yaml", ".yml") and parent.session.isinitpath(file_path)
    settings = Settings.of(parent.config)
    # Other plugins have tests in YAML, which are no prompts files.
    is_wanted = settings.takes(file_path) or (is_named and (file_path.suffix == ".jsonl" or not found))
    # Without a server, collect a named file only if no other plugin does: the error names the missing option.
    if is_wanted and (settings.has_server or (is_named and not found)):
        from mcprun.pytest_plugin.collection import PromptsCollector

        found.append(PromptsCollector.from_parent(parent, path=file_path))
    return found


@pytest.fixture
def mcp_run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[McpRun]:
    """Yield a function that runs queries against an MCP server.

    `run = mcp_run([{"prompt": ..., "script": [...]}], server)` takes a prompts file or queries, and a server: an
    `MCPServer` object, or a value as for `--mcp-server`, which is also the default. It returns the `mcprun.Run`, whose
    folder is below `tmp_path`. It raises an `AssertionError` with the reasons if something did not pass, unless
    `check=False`, and `mcprun.UsageError` if nothing was run. Set how queries are run with an `mcprun.Options` object
    or with its fields by name: `mcp_run(queries, server, repeat=3)`. The default is the configuration.

    It can be called in async tests as well, but blocks the test's event loop. For a server in that loop, write
    `await asyncio.to_thread(mcp_run, queries, url)`.
    """
    run = McpRun(Settings.of(request.config), tmp_path)
    _FIXTURES.add(run)
    yield run
    run.close()


def pytest_keyboard_interrupt() -> None:
    """Cancel runs that other threads wait for (`asyncio.to_thread`): a loop closes only after its threads end."""
    for run in list(_FIXTURES):
        run.cancel()
