"""`mcprun init` with third-party servers."""

from __future__ import annotations

import subprocess
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


@pytest.mark.parametrize(("server", "flags", "min_working"), [
    ("mcp-server-time", (), 2),
    ("mcp-server-git", ("--no-scratch",), 5),
    ("everything", (), 11),
])  # fmt: skip
def test_suites_for_third_party_servers_pass(
    tmp_path: Path, server: str, flags: tuple[str, ...], min_working: int
) -> None:
    """After `--try`, the file is valid and passes. The queries that do no real work have metadata."""
    if server == "everything":
        if missing := npm.missing():
            pytest.skip(f"{' and '.join(missing)} not installed: servers from npm need it")
        server = f"node {npm.node_modules()}/@modelcontextprotocol/server-everything/dist/index.js"
    (tmp_path / "README.md").write_text("# A repository\n")
    for step in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "Begin")):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@example.com", *step], cwd=tmp_path, check=True)
    done = run_mcprun("init", server, "--try", "--no-workflow", *flags, cwd=tmp_path)
    queries = read_jsonl(tmp_path / "prompts.jsonl")
    works = len(queries) - sum("metadata" in query for query in queries)
    assert (done.code, works >= min_working) == (0, True)
    assert f"Each was tried twice: {works} of {len(queries)} work" in done.stdout
    assert run_mcprun("validate", "prompts.jsonl", cwd=tmp_path).code == 0
    batch = run_mcprun("batch", "prompts.jsonl", server, cwd=tmp_path)
    noted = {query["id"] for query in queries if "metadata" in query}
    assert {one["id"] for one in batch.transcripts if any(call["is_error"] for call in one["calls"])} <= noted
