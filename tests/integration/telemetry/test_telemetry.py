"""OpenTelemetry: each query is a trace, from mcprun's root span through both SDKs' spans to the server."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.batches_api import Fault
from tests.support.cli import QUICKSTART, RAW, SERVERS, Result, clean_environment, run_mcprun, script, write_jsonl
from tests.support.collector import Collector
from tests.support.forks import Forks
from tests.support.messages_api import Answer, MessagesApi, calls, error, scripted, text

TRACED = SERVERS / "traced.py"

INTERNAL, CLIENT, ERROR = 1, 3, 2
"""OTLP numbers: two span kinds and a status code."""

OK = {"usage": {"input_tokens": 3, "output_tokens": 2}}

CONVERSATIONS: dict[str, list[Answer]] = {
    prompt: [calls(("traceparent", {}), ("traceparent", {})), text(f"Answer to {prompt}") | OK]
    for prompt in ("One", "Two")
}


def run_with_otel(
    folder: Path,
    api: MessagesApi,
    *args: str | Path,
    endpoint: str,
    env: dict[str, str] | None = None,
    queries: tuple[Any, ...] = (),
) -> Result:
    """Run queries with `--otel` and a collector at `endpoint`."""
    prompts = write_jsonl(
        folder / "p.jsonl", *(queries or ({"id": "one", "prompt": "One"}, {"id": "two", "prompt": "Two"}))
    )
    return run_mcprun(
        "batch", prompts, TRACED, "--otel", *args, cwd=folder, env={**build_environment(api, endpoint), **(env or {})}
    )


def build_environment(api: MessagesApi, endpoint: str) -> dict[str, str]:
    """Return the environment of a run with an API key and a collector."""
    return {"ANTHROPIC_API_KEY": "sk-ant-test", "ANTHROPIC_BASE_URL": api.url, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}


def find_unused_url() -> str:
    """Return a URL at which no server listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_each_query_is_one_trace(tmp_path: Path) -> None:
    """The root span of a query contains its model requests and its calls.

    The server and the trace file have the same trace ID.
    """
    with Collector() as collector, MessagesApi(scripted(CONVERSATIONS)) as api:
        done = run_with_otel(tmp_path, api, endpoint=collector.url)
    assert done.code == 0, done.stderr
    assert (set(collector.roots), len({root.trace for root in collector.roots.values()})) == ({"one", "two"}, 2)
    for transcript in done.transcripts:
        root = collector.roots[transcript["id"]]
        below = collector.below(root)
        assert sorted(span.name for span in below) == [
            "MCP send tools/call traceparent", "MCP send tools/call traceparent",
            "anthropic.messages.create", "anthropic.messages.create",
        ]  # fmt: skip
        assert {(span.trace, span.kind) for span in below} == {(root.trace, CLIENT)}
        result_text = [call["content"][0]["text"].split("-") for call in transcript["calls"]]
        call_spans = {span.id for span in below if span.name.startswith("MCP")}
        assert ({one[1] for one in result_text}, {one[2] for one in result_text}) == ({root.trace}, call_spans)
        events = [event for event in done.trace if event.get("query") == transcript["id"]]
        assert {event.get("trace_id") for event in events} == {root.trace}
    assert {event.get("trace_id") for event in done.trace if "query" not in event} == {None}


def test_spans_follow_the_semantic_conventions(tmp_path: Path) -> None:
    """The root span and both SDKs' spans have `gen_ai.*` and `mcp.*` attributes. The run itself has its own trace."""
    with Collector() as collector, MessagesApi(scripted(CONVERSATIONS)) as api:
        done = run_with_otel(tmp_path, api, "--filter", "one", endpoint=collector.url)
    (root,) = collector.roots.values()
    assert (root.kind, root.parent, root.status, root.resource["service.name"]) == (INTERNAL, "", 0, "mcprun")
    expected = {
        "gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "mcprun", "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "claude-sonnet-5-5", "gen_ai.usage.output_tokens": done.transcripts[0]["usage"]["output_tokens"], "mcprun.verdict": "passed",
        "mcprun.stop": "end_turn", "mcprun.calls": 2, "mcprun.attempts": 1, "mcprun.query.repeat": 1,
        "mcp.protocol.version": done.record["server"]["protocol"],
    }  # fmt: skip
    assert {name: root.attributes.get(name) for name in expected} == expected
    spans = {span.scope: span for span in collector.below(root)}
    call, request = spans["mcp-python-sdk"].attributes, spans["com.anthropic.sdk.python"].attributes
    assert (call["mcp.method.name"], call["gen_ai.operation.name"], call["gen_ai.tool.name"]) == (
        "tools/call", "execute_tool", "traceparent"
    )  # fmt: skip
    assert (request["gen_ai.operation.name"], request["gen_ai.request.model"]) == ("chat", "claude-sonnet-5-5")
    (run,) = (span for span in collector.spans if span.name == "mcprun batch")
    assert root.links == (run.trace,)
    assert "MCP send tools/list" in {span.name for span in collector.below(run)}
    others = [span for span in collector.spans if not span.parent and span not in (run, root)]
    assert others == []


def test_no_content_and_no_secret_is_exported(tmp_path: Path) -> None:
    """Prompts, replies and results are not exported, and secrets in error messages are redacted."""
    secret = "correct-horse-battery"
    answers: dict[str, list[Answer]] = {
        "One": [error(400, "invalid_request_error", f"no {secret} please")],
        "Two": [calls(("fails", {"why": secret})), text("Well")],
    }
    with Collector() as collector, MessagesApi(scripted(answers)) as api:
        flags = ("--redact", secret, "--allow-tool-errors")
        done = run_with_otel(tmp_path, api, *flags, endpoint=collector.url)
    assert sorted(done.verdicts.values()) == ["error", "passed"]
    assert set(collector.roots) == {"one", "two"}
    assert (collector.roots["one"].status, collector.roots["one"].attributes["error.type"]) == (ERROR, "api_refused")
    for word in (secret, "Well", "sk-ant-test"):
        assert word.encode() not in collector.raw
    assert b"[redacted]" in collector.raw


def test_a_failed_check_is_not_an_error_of_the_span(tmp_path: Path) -> None:
    """The span of a completed query has no error, whatever the verdict.

    Retries and ends of attempts are span events.
    """
    answers: Iterator[Answer] = iter(
        [error(529, "overloaded_error", "Busy", headers={"retry-after-ms": "1"}), text("No")]
    )
    with Collector() as collector, MessagesApi(lambda _: next(answers)) as api:
        query = {"id": "q", "prompt": "Hi", "expect": {"text": {"contains": "Yes"}}}
        done = run_with_otel(tmp_path, api, endpoint=collector.url, queries=(query,))
    root = collector.roots["q"]
    assert (done.code, root.status, root.attributes["mcprun.verdict"]) == (1, 0, "failed")
    assert [(name, dict(expected)) for name, expected in root.events] == [
        ("retry", {"error.type": "throttled", "mcprun.wait": 0.001}), ("attempt_end", {"mcprun.attempt": 1, "mcprun.stop": "end_turn"})
    ]  # fmt: skip
    assert len(collector.below(root)) == 2  # each request is a span


def test_failed_calls_are_errors_of_their_spans(tmp_path: Path) -> None:
    """`error.type` is `tool_error` for `isError`, the code of a JSON-RPC error, or the reason for a missing result."""
    tools = ("ok", "sorry", "refuse", "hang", "invalid", "liar", "sorry", "ok")
    together = script(*((tool, {}) for tool in tools), id="together", expect={"tool_errors": "allow"})
    alone = {
        "id": "alone", "prompt": "Do it.", "expect": {"tool_errors": "allow"},
        "script": [*({"calls": [{"tool": tool, "input": {}}]} for tool in (*tools, "die")), {"text": "Done."}],
    }  # fmt: skip
    prompts = write_jsonl(tmp_path / "p.jsonl", together, alone)
    with Collector() as collector:
        flags = ("--model", "script", "--otel", "--concurrency", "1", "--call-timeout", "0.3", "--redact", "secret")
        done = run_mcprun(
            "batch", prompts, RAW, *flags, cwd=tmp_path, env={"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        )
    assert done.verdicts == {"together": "passed", "alone": "error"}
    expected = [
        ("hang", ERROR, "timeout"), ("invalid", ERROR, "invalid_result"), ("liar", ERROR, "output_schema"),
        ("ok", 0, None), ("ok", 0, None), ("refuse", ERROR, "-32603"), ("sorry", ERROR, "tool_error"), ("sorry", ERROR, "tool_error"),
    ]  # fmt: skip
    assert expected == sorted(collect_outcomes(collector, "together"), key=str)
    attempts = [*expected, ("die", ERROR, "server_died")] * done.transcripts[1]["attempts"]
    assert sorted(attempts, key=str) == sorted(collect_outcomes(collector, "alone"), key=str)
    assert {root.status for root in collector.roots.values()} == {0, ERROR}


def collect_outcomes(collector: Collector, query: str) -> list[tuple[str, int, str | None]]:
    """Return the tool, the status and the `error.type` of each call of a query."""
    spans = [span for span in collector.below(collector.roots[query]) if "gen_ai.tool.name" in span.attributes]
    return [(span.attributes["gen_ai.tool.name"], span.status, span.attributes.get("error.type")) for span in spans]


def test_batches_belong_to_the_trace_of_the_run(tmp_path: Path) -> None:
    """Each batch is a span in the run's trace that links to its queries and contains its requests.

    The traces of queries contain none of them.
    """
    flags = ("--batch-api", "--batch-wait", "600", "--batch-poll", "0.05", "--out", "run")
    with Collector() as collector, MessagesApi(scripted(CONVERSATIONS)) as api:
        api.batches.looks = 1
        unreadable: list[Fault | None] = ["garbage"]
        api.batches.faults["results"] = [None, *unreadable * 12]
        done = run_with_otel(tmp_path, api, *flags, endpoint=collector.url)
        assert sorted(done.verdicts.values()) == ["error", "passed"]
        (run,) = (span for span in collector.spans if span.name == "mcprun batch")
        batches = [span for span in collector.spans if span.name == "mcprun message_batch"]
        roots = {root.trace for root in collector.roots.values()}
        assert [(span.trace, span.parent, {*span.links}) for span in batches] == [(run.trace, run.id, roots)] * 2
        assert [span.attributes["mcprun.batch.id"] for span in batches] == [batch.id for batch in api.batches.all]
        requests = {span.name for span in collector.below(batches[0])}
        assert {name.rpartition(".")[2] for name in requests} == {"create", "retrieve", "results"}
        assert {span.scope for span in collector.below(batches[0])} == {"com.anthropic.sdk.python"}
        for root in collector.roots.values():
            assert {span.name for span in collector.below(root)} == {"MCP send tools/call traceparent"}
        collector.spans.clear()
        resumed = run_mcprun(
            "batch", "--resume", "run", "--retry-errors", cwd=tmp_path, env=build_environment(api, collector.url)
        )
    assert resumed.code == 0
    earlier = [span for span in collector.spans if span.name == "mcprun message_batch"]
    (root,) = collector.roots.values()
    assert {span.attributes["mcprun.batch.id"] for span in earlier} == {api.batches.all[0].id, api.batches.all[2].id}
    assert {span.links for span in earlier} == {(root.trace,)}
    assert root.trace not in {span.trace for span in earlier}


def test_scripted_queries_have_traces(tmp_path: Path) -> None:
    """Without a model, each call belongs to the trace of its query, with repeats and at any concurrency."""
    queries = [script(("traceparent", {}), id=f"q{number}") for number in range(6)]
    prompts = write_jsonl(tmp_path / "p.jsonl", *queries)
    with Collector() as collector:
        env = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_SERVICE_NAME": "nightly",
            "OTEL_EXPORTER_OTLP_HEADERS": "x-team=a",
        }
        flags = ("--model", "script", "--otel", "--repeat", "2", "--fresh-server")
        done = run_mcprun("batch", prompts, TRACED, *flags, cwd=tmp_path, env=env)
    assert done.code == 0, done.stderr
    roots = [span for span in collector.spans if span.name.startswith("invoke_agent")]
    assert (len(roots), len({root.trace for root in roots})) == (12, 12)
    assert {root.resource["service.name"] for root in roots} == {"nightly"}
    assert {one["x-team"] for one in collector.headers} == {"a"}
    by_key = {(root.attributes["mcprun.query.id"], root.attributes["mcprun.query.repeat"]): root for root in roots}
    for transcript in done.transcripts:
        content = transcript["calls"][0]["content"][0]["text"]
        assert content.split("-")[1] == by_key[transcript["id"], transcript["repeat"]].trace
    assert "gen_ai.provider.name" not in roots[0].attributes


@pytest.mark.parametrize("kind", ["unreachable", "rejecting"])
def test_an_unavailable_collector_does_not_fail_the_run(tmp_path: Path, kind: str) -> None:
    """If the collector is unreachable or rejects spans, the run has the same result and one warning."""
    with Collector(status=400) as collector, MessagesApi(scripted(CONVERSATIONS)) as api:
        endpoint = find_unused_url() if kind == "unreachable" else collector.url
        done = run_with_otel(tmp_path, api, endpoint=endpoint, env={"OTEL_EXPORTER_OTLP_TIMEOUT": "1"})
    assert (done.code, list(done.verdicts.values())) == (0, ["passed", "passed"])
    warnings = [event["message"] for event in done.trace if event["event"] == "warning"]
    assert (len(warnings), done.stderr.count("--otel")) == (1, 1), done.stderr
    assert warnings[0].startswith("--otel: ")
    assert "Traceback" not in done.stderr


def test_telemetry_is_off_without_the_option(tmp_path: Path) -> None:
    """A collector's URL alone gives no spans, no `trace_id`, no context for the server and no import of the SDK."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("traceparent", {})))
    with Collector() as collector:
        env = clean_environment() | {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        command = [
            sys.executable,
            "-X",
            "importtime",
            "-m",
            "mcprun",
            "batch",
            str(prompts),
            str(TRACED),
            "--out",
            "run",
        ]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    assert collector.headers == []
    assert "opentelemetry.sdk" not in done.stderr
    assert "trace_id" not in (tmp_path / "run" / "trace.jsonl").read_text()
    assert '"text":"None"' in (tmp_path / "run" / "transcripts.jsonl").read_text()


def test_telemetry_changes_no_transcript(tmp_path: Path) -> None:
    """The same prompts and server give the same bytes, with and without `--otel`."""
    with Collector() as collector:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        done = run_mcprun("batch", *QUICKSTART, "--otel", cwd=tmp_path, env=env)
    assert done.bytes == run_mcprun("batch", *QUICKSTART, cwd=tmp_path).bytes
    assert len(collector.roots) == len(done.transcripts)


def test_another_protocol_is_refused(mcprun: Forks, tmp_path: Path) -> None:
    """Spans are sent over OTLP/HTTP. Another protocol exits with 2 before anything runs."""
    done = mcprun.run("batch", *QUICKSTART, "--otel", cwd=tmp_path, env={"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})
    assert (done.code, done.stderr) == (
        2,
        "Error: --otel supports only http/protobuf, but OTEL_EXPORTER_OTLP_PROTOCOL is grpc\n",
    )
    assert not (tmp_path / "outputs").exists()


def test_otel_requires_opentelemetry(tmp_path: Path) -> None:
    """`--otel` without the package exits with 2 before anything runs, and the message says what to install."""
    hidden = "import sys; sys.modules['opentelemetry.sdk.trace'] = None; from mcprun.cli import main; main()"
    command = [sys.executable, "-c", hidden, "batch", *map(str, QUICKSTART), "--otel"]
    done = subprocess.run(command, cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "Error: --otel needs OpenTelemetry: pip install 'mcprun[otel]'\n")
