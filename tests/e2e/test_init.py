"""`mcprun init` with third-party servers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import npm
from tests.support.cli import read_jsonl, run_mcprun

WORKFLOW = Path(".github", "workflows", "mcprun.yml")


def test_the_query_string_of_a_url_is_redacted(tmp_path: Path) -> None:
    """The output and the workflow contain the URL without its query string, however short the secret in it."""
    if missing := npm.missing():
        pytest.skip(f"{' and '.join(missing)} not installed: servers from npm need it")
    with npm.everything_over_http("streamableHttp", tmp_path / "node.log") as port:
        done = run_mcprun("init", f"http://127.0.0.1:{port}/mcp?k=abc", "--tool", "echo", cwd=tmp_path)
    assert done.code == 0
    for text in (done.stdout, (tmp_path / WORKFLOW).read_text()):
        assert f"'http://127.0.0.1:{port}/mcp?[redacted]'" in text
        assert "k=abc" not in text


@pytest.mark.parametrize(("server", "min_queries", "error_ids"), [
    ("mcp-server-time", 2, set()),
    ("mcp-server-git", 11, {"git_add", "git_status"}),
    ("everything", 12, set()),
])  # fmt: skip
def test_drafts_for_third_party_servers_pass(
    tmp_path: Path, server: str, min_queries: int, error_ids: set[str]
) -> None:
    """After `--try`, the drafted file is valid and passes. Queries whose calls returned errors have metadata."""
    if server == "everything":
        if missing := npm.missing():
            pytest.skip(f"{' and '.join(missing)} not installed: servers from npm need it")
        server = f"node {npm.node_modules()}/@modelcontextprotocol/server-everything/dist/index.js"
    done = run_mcprun("init", server, "--try", cwd=tmp_path)
    queries = read_jsonl(tmp_path / "prompts.jsonl")
    assert (done.code, len(queries) >= min_queries) == (0, True)
    assert f"Each was tried twice: {len(queries)} passed." in done.stdout
    noted = {query["id"] for query in queries if "metadata" in query}
    assert set(error_ids) <= noted
    assert run_mcprun("validate", "prompts.jsonl", cwd=tmp_path).code == 0
    batch = run_mcprun("batch", "prompts.jsonl", server, "--fresh-server", cwd=tmp_path)
    assert batch.code == 0
    assert {one["id"] for one in batch.transcripts if any(call["is_error"] for call in one["calls"])} == noted
