"""Server requests of a third-party server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support import npm
from tests.support.cli import Result, run_mcprun, script, write_jsonl


def events(done: Result, name: str) -> list[dict[str, Any]]:
    """Return the trace events with this name."""
    return [event for event in done.trace if event["event"] == name]


@pytest.mark.parametrize("transport", ["stdio", "streamableHttp"])
def test_requests_of_server_everything(tmp_path: Path, transport: str) -> None:
    """Elicitation, sampling, roots, progress and log messages of a legacy-era server work over both transports."""
    if missing := npm.missing():
        pytest.skip(f"{' and '.join(missing)} not installed: servers from npm need it")
    queries = [
        script(("trigger-elicitation-request", {}), id="form", elicit=[{"name": "Ann"}]),
        script(("trigger-url-elicitation", {"url": "https://a.example/pay"}), id="url", elicit=["accept"]),
        script(
            ("trigger-url-elicitation", {"url": "https://a.example/first", "errorPath": True}),
            id="refused",
            expect={"tool_errors": "allow"},
        ),
        script(("trigger-sampling-request", {"prompt": "Why?"}), id="sample", sampling=["Because."]),
        script(("get-roots-list", {}), id="roots"),
        script(("trigger-long-running-operation", {"duration": 0.2, "steps": 2}), id="progress"),
        script(("toggle-simulated-logging", {}), id="log"),
    ]
    prompts = write_jsonl(tmp_path / "p.jsonl", *queries)
    flags = ("--root", str(tmp_path), "--log-level", "debug")
    if transport == "stdio":
        server = f"node {npm.node_modules()}/@modelcontextprotocol/server-everything/dist/index.js"
        done = run_mcprun("batch", prompts, server, *flags, cwd=tmp_path)
    else:
        with npm.everything_over_http(transport, tmp_path / "node.log") as port:
            done = run_mcprun("batch", prompts, f"http://127.0.0.1:{port}/mcp", *flags, cwd=tmp_path)
    assert (done.code, len(done.record["server"]["tools"])) == (0, 17)
    reply = {
        one["id"]: "".join(part.get("text", "") for part in one["calls"][0]["content"]) for one in done.transcripts
    }
    assert "Name: Ann" in reply["form"]
    assert "accept" in reply["url"]
    assert "Because." in reply["sample"]
    assert tmp_path.as_uri() in reply["roots"]
    requests = {one["id"]: one["asked"][0] for one in done.transcripts if "asked" in one}
    assert [event["reason"] for event in events(done, "asked") if event.get("query") == "refused"] == [
        "the server refuses the call until this URL has been visited"
    ]
    assert requests["url"]["request"]["url"] == "https://a.example/pay"
    assert {name: one["kind"] for name, one in requests.items()} == {
        "form": "elicitation", "url": "elicitation", "sample": "sampling",
    }  # fmt: skip
    assert [event["progress"] for event in events(done, "progress")] == [1, 2]
    assert events(done, "log")
