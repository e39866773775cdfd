"""The servers in the table: their packages, how each is started, and the tool that is called.

All start without a network and an account. Keys are fake, telemetry is disabled, and calls work offline without side
effects.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Registry = Literal["npm", "PyPI"]
Transport = Literal["stdio", "Streamable HTTP", "SSE"]

KEY = "made-up-key"


@dataclass(frozen=True)
class Candidate:
    """A server. `{port}` and `{here}` are replaced in `args` and in the values of `env` and the call.

    Args:
        versions: The version specifier for npm or pip.
        program: The command that starts the server, if it is not the package's first.
        also: Requirements to install beside the package.
        host: The host in the server's URL.
        path: The path in the server's URL.
        note: An observation that is not measured.
    """

    registry: Registry
    package: str
    versions: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    call: tuple[str, Mapping[str, Any]] | None = None
    note: str = ""
    transport: Transport = "stdio"
    host: str = "127.0.0.1"
    path: str = "/mcp"
    program: str = ""
    also: tuple[str, ...] = ()

    @property
    def requirements(self) -> tuple[str, ...]:
        """The requirements to pass to npm or pip."""
        between = "@" if self.registry == "npm" else ""
        return (f"{self.package}{between}{self.versions}", *self.also)


EVERYTHING = ("@modelcontextprotocol/server-everything", "~2026.8.31")
ECHO = ("echo", {"message": "Hello"})

CANDIDATES = (
    Candidate(
        "npm", *EVERYTHING,
        call=ECHO,
        note="one tool can be run as a task only; lists fewer tools to clients without elicitation",
    ),
    Candidate("npm", *EVERYTHING, ("streamableHttp",), {"PORT": "{port}"}, ECHO, transport="Streamable HTTP"),
    Candidate("npm", *EVERYTHING, ("sse",), {"PORT": "{port}"}, ECHO, transport="SSE", path="/sse"),
    Candidate(
        "npm", "@modelcontextprotocol/server-filesystem", "~2026.8.31", ("{here}",), {}, ("list_directory", {"path": "{here}"}),
    ),
    Candidate(
        "npm", "@modelcontextprotocol/server-memory", "~2026.8.31", (), {"MEMORY_FILE_PATH": "{here}/memory.jsonl"},
        ("read_graph", {}), "stores its memory within its own package by default",
    ),
    Candidate(
        "npm", "@modelcontextprotocol/server-sequential-thinking", "~2026.8.31", (), {},
        ("sequentialthinking", {"thought": "One.", "thoughtNumber": 1, "totalThoughts": 1, "nextThoughtNeeded": False}),
        "one tool, whose description makes two thirds of its tokens",
    ),
    Candidate("npm", "@playwright/mcp", "~0.0.83", ("--headless", "--isolated"), note="the browser is looked for at the first call only"),
    Candidate("npm", "@playwright/mcp", "~0.0.83", ("--headless", "--isolated", "--port", "{port}"), note="answers at `localhost` only, and refuses `127.0.0.1` with status 403", transport="Streamable HTTP", host="localhost"),
    Candidate("npm", "chrome-devtools-mcp", "~1.11.0", ("--headless", "--isolated", "--no-usage-statistics")),
    Candidate("npm", "@upstash/context7-mcp", "~4.1.1", note="without a network its answers say so, and are no errors (`isError`)"),
    Candidate("npm", "firecrawl-mcp", "~3.22.2", env={"FIRECRAWL_API_KEY": KEY}),
    Candidate("npm", "@notionhq/notion-mcp-server", "~2.5.2", env={"NOTION_TOKEN": KEY}, note="half of its tools say that they are destructive, searching too"),
    Candidate("npm", "mcp-server-kubernetes", "~4.1.7"),
    Candidate("npm", "tavily-mcp", "~0.2.22", env={"TAVILY_API_KEY": KEY}),
    Candidate("npm", "exa-mcp-server", "~3.4.1", env={"EXA_API_KEY": KEY}),
    Candidate("npm", "@sentry/mcp-server", "~0.36.0", env={"SENTRY_ACCESS_TOKEN": KEY, "SENTRY_DISABLE_TELEMETRY": "1"}),
    Candidate("npm", "@wonderwhy-er/desktop-commander", "~0.2.52", call=("get_config", {})),
    Candidate("npm", "figma-developer-mcp", "~0.13.2", ("--stdio",), {"FIGMA_API_KEY": KEY, "FRAMELINK_TELEMETRY": "off"}, note="without the flag `stdio` it serves HTTP, and prints its settings on stdout"),
    Candidate("npm", "@brave/brave-search-mcp-server", "~2.1.4", env={"BRAVE_API_KEY": KEY}),
    Candidate("npm", "mongodb-mcp-server", "~3.0.4", env={"DO_NOT_TRACK": "1", "MDB_MCP_TELEMETRY": "disabled"}, call=("list-connections", {})),
    Candidate("npm", "@antv/mcp-server-chart", "~0.9.10"),
    Candidate("PyPI", "mcp-server-time", ">=2026.10.19,<2027", (), {}, ("get_current_time", {"timezone": "UTC"})),
    Candidate("PyPI", "mcp-server-git", ">=2026.10.19,<2027", (), {}, ("git_status", {"repo_path": "{here}"})),
    Candidate("PyPI", "mcp-server-fetch", ">=2026.10.19,<2027"),
    Candidate(
        "PyPI", "mcp-server-sqlite", "~=2025.4.25", ("--db-path", "{here}/test.db"), {}, ("list_tables", {}),
        "needs `mcp<2`, and does not say so: with 2.x it dies at its start", also=("mcp<2",),
    ),
    Candidate("PyPI", "markitdown-mcp", "~=0.0.1a8", (), {}, ("convert_to_markdown", {"uri": "data:text/plain,Hello"})),
    Candidate(
        "PyPI", "markitdown-mcp", "~=0.0.1a8", ("--http", "--port", "{port}"), {}, ("convert_to_markdown", {"uri": "data:text/plain,Hello"}),
        transport="Streamable HTTP",
    ),
    Candidate("PyPI", "arxiv-mcp-server", "~=0.8.2", ("--storage-path", "{here}"), {}, ("list_papers", {})),
    Candidate("PyPI", "blender-mcp", "~=2.0.0", env={"DISABLE_TELEMETRY": "true"}),
    Candidate("PyPI", "mcp-atlassian", "~=0.23.1", env={"JIRA_URL": "http://127.0.0.1:9", "JIRA_PERSONAL_TOKEN": KEY}),
    Candidate("PyPI", "awslabs.aws-documentation-mcp-server", "~=1.2.3"),
    Candidate("PyPI", "mcp-server-motherduck", "~=1.1.0", ("--db-path", ":memory:", "--read-write"), {}, ("list_databases", {})),
    Candidate("PyPI", "duckduckgo-mcp-server", "~=0.7.0"),
    Candidate("PyPI", "mcp-clickhouse", "~=0.7.0", env={"CLICKHOUSE_HOST": "127.0.0.1", "CLICKHOUSE_USER": "test", "CLICKHOUSE_PASSWORD": KEY}),
    Candidate("PyPI", "excel-mcp-server", "~=2.2.2", ("stdio",)),
    Candidate("PyPI", "serena-agent", "~=2.1.0", ("start-mcp-server", "--enable-web-dashboard", "false"), program="serena"),
)  # fmt: skip
