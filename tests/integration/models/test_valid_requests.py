"""Requests are valid even if servers, models and prompts contain what the API rejects."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.support.any_content import results
from tests.support.cli import SERVERS, Result, run_mcprun, script, write_jsonl
from tests.support.messages_api import Answer, Body, MessagesApi, calls, error, message, prompt_of, scripted, text
from tests.support.pictures import encoded, jpeg, pdf, png

pytestmark = pytest.mark.usefixtures("each_transport")

CANNED = SERVERS / "canned_answers.py"

KEY = "sk-ant-test"

EMPTY_THINKING = {"type": "thinking", "thinking": ""}

EPHEMERAL = {"cache_control": {"type": "ephemeral"}}


def text_block(words: str) -> Body:
    return {"type": "text", "text": words}


def image_block(data: str, mime: str = "image/png") -> Body:
    return {"type": "image", "data": data, "mimeType": mime}


RESULTS: dict[str, Any] = {
    "plain": {"content": [text_block("ok")]},
    "blank": {"content": [text_block(""), text_block(" \n")]},
    "failed": {"content": [text_block("no element"), image_block(png())], "isError": True},
    "failed-blank": {"content": [text_block("")], "isError": True},
    "half": {"content": [text_block("a\ud800b")], "structuredContent": {"\udc00": "\ud800"}},
    "half-link": {"content": [{"type": "resource_link", "uri": "a:\ud800", "name": "\ud800"}]},
    "drawn": {"content": [image_block(encoded(b"<svg/>"), "image/svg+xml")]},
    "mistaken": {"content": [image_block(jpeg(), "image/png"), image_block(png(), "image/jpg")]},
    "large": {"content": [image_block(png(9000, 1)), image_block(png(size=4_000_000))]},
    "wrapped": {"content": [image_block("\n".join(png()), "image/png"), image_block(f"data:image/png;base64,{png()}")]},
    "cut": {"content": [image_block(png()[:12]), image_block("?"), image_block("")]},
    "blob": {"content": [{"type": "resource", "resource": {"uri": "a:b", "blob": pdf(), "mimeType": "image/png"}}]},
}

SERVER: dict[str, Any] = {
    "name": "given \ud800",
    "results": RESULTS,
    "tools": [
        {"name": name, "description": "Give what is asked for \ud800", "inputSchema": {"type": "object", "title": "\udfff"}}
        for name in RESULTS
    ],
    "prompts": {
        "shown": [
            {"role": "user", "content": image_block(encoded(b"BM"), "image/bmp")},
            {"role": "user", "content": text_block(" ")},
            {"role": "assistant", "content": image_block(png())},
            {"role": "user", "content": text_block("half \ud800")},
        ]
    },
    "resources": {"a:image": {"mimeType": "image/tiff", "blob": encoded(b"II*\0")}},
}  # fmt: skip

QUERIES: list[Body] = [
    *({"id": name, "prompt": f"Call {name}.", "expect": {"tool_errors": "allow"}} for name in RESULTS),
    {"id": "blank-replies", "prompts": ["Say nothing.", "Again.", "And again.", "Now."]},
    {"id": "pause", "prompt": "Pause."},
    {"id": "marked", "prompt": [{**text_block("Marked."), **EPHEMERAL}] * 4},
    {"id": "drawn-by-the-user", "prompt": [text_block("Look."), {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": png()}}, {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": png(9000, 1)}}]},
    {"id": "from-the-server", "server_prompt": "shown", "resources": ["a:image"], "prompt": "Go."},
    {"id": "judged", "prompt": "Half.", "expect": {"judge": "Is whole."}},
    {"id": "system", "prompt": "System.", "system": " "},
]  # fmt: skip


def answer(body: Body) -> Answer:
    """Return the model's reply to a request."""
    prompt, turn = prompt_of(body), len([one for one in body["messages"] if one["role"] == "assistant"])
    if prompt.startswith("Call ") and not turn:
        name = prompt.removeprefix("Call ").removesuffix(".")
        return message(
            [text_block(""), {"type": "tool_use", "name": name, "input": {"x": "\ud800"}}], stop_reason="tool_use"
        )
    if prompt.startswith("Say nothing."):
        if "Now." in json.dumps(body["messages"][-1]):
            return text("Now.")
        return message(
            [EMPTY_THINKING, text_block("")] if "And again." in json.dumps(body["messages"][-1]) else [text_block(" ")]
        )
    if prompt == "Pause.":
        return message([text_block("Wait \n")], stop_reason="pause_turn") if not turn else text("Done.")
    if '"criterion"' in prompt:
        return text('{"reason": "It is.", "passed": true}')
    return text("half \ud800 of it" if prompt == "Half." else "ok")


def configure_server(folder: Path, **changes: Any) -> None:
    """Write the server's answers, with `changes` to `SERVER`."""
    (folder / "given.json").write_text(json.dumps(SERVER | changes))


def run_queries(folder: Path, api: MessagesApi, *args: str, queries: list[Any], server: str | Path = CANNED) -> Result:
    """Run queries against the server and the API."""
    write_jsonl(folder / "p.jsonl", *queries)
    env = {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": api.url}
    server_args = () if isinstance(server, str) else ("--", "given.json")
    return run_mcprun("batch", "p.jsonl", server, *args, *server_args, cwd=folder, env=env)


def is_strict(folder: Path) -> bool:
    """Return whether all files of a run are UTF-8 without escaped lone surrogates."""
    return all("\\ud8" not in file.read_bytes().decode() for file in folder.iterdir() if file.is_file())


@pytest.mark.parametrize("flags", [(), ("--batch-api", "--batch-poll", "0.2", "--batch-wait", "0.2")])
def test_every_request_is_accepted(tmp_path: Path, flags: tuple[str, ...]) -> None:
    """Blank text, lone surrogates, all kinds of images, errors and cache marks: each query passes, also in batches.

    Each kind of problem is warned about once, and the run replays identically.
    """
    configure_server(tmp_path)
    with MessagesApi(answer) as api:
        done = run_queries(tmp_path, api, *flags, queries=QUERIES)
        request_count = len(api.requests)
    assert (done.code, set(done.verdicts.values())) == (0, {"passed"}), done.stdout + done.stderr
    assert [reply.status for reply in api.replies] == [200] * request_count
    warnings = [event["message"] for event in done.trace if event["event"] == "warning"]
    assert len(warnings) == len(set(warnings))
    assert sum("message of the server: a lone surrogate" in one for one in warnings) == 1
    assert sum("reply from the model: a lone surrogate" in one for one in warnings) == 1
    assert sum("the API accepts only JPEG" in one for one in warnings) == 1
    assert is_strict(done.run)
    transcripts = {one["id"]: one for one in done.transcripts}
    assert (
        transcripts["failed"]["calls"][0]["content"] == RESULTS["failed"]["content"]
    )  # the server's result is unchanged
    assert transcripts["plain"]["messages"][1]["content"][0] == text_block("")  # and so is the model's reply
    assert transcripts["half"]["calls"][0]["content"] == [text_block("a\ufffdb")]
    assert transcripts["judged"]["text"] == "half \ufffd of it"
    replay = run_mcprun("batch", "p.jsonl", CANNED, "--model", f"replay:{done.run}", "--", "given.json", cwd=tmp_path)
    assert (replay.code, replay.bytes) == (0, done.bytes)
    assert run_mcprun("diff", done.run, replay.run, cwd=tmp_path).code == 0


@settings(max_examples=2, deadline=None, phases=[Phase.generate])
@given(st.lists(results, min_size=40, max_size=40))
def test_any_result_becomes_a_valid_request(tmp_path_factory: pytest.TempPathFactory, generated: list[Any]) -> None:
    """No generated result leads to a rejected request or an internal error."""
    folder = tmp_path_factory.mktemp("generated")
    (folder / "given.json").write_text(json.dumps({"results": {f"t{at}": one for at, one in enumerate(generated)}}))
    queries = [
        {"id": f"t{at}", "prompt": f"Call t{at}.", "expect": {"tool_errors": "allow"}} for at in range(len(generated))
    ]
    with MessagesApi(answer) as api:
        done = run_queries(folder, api, queries=queries)
    assert {reply.status for reply in api.replies} == {200}
    assert set(done.verdicts.values()) == {"passed"}, done.stdout + done.stderr
    assert "error in mcprun" not in done.stderr
    assert is_strict(done.run)


def test_older_recording_with_lone_surrogates_does_not_diverge(tmp_path: Path) -> None:
    """Recorded escapes of lone surrogates are read as U+FFFD, so that a replay and a diff find no difference."""
    configure_server(tmp_path)
    write_jsonl(tmp_path / "p.jsonl", script(("half", {})))
    done = run_mcprun("batch", "p.jsonl", CANNED, "--", "given.json", cwd=tmp_path)
    file = done.run / "transcripts.jsonl"
    file.write_bytes(file.read_bytes().replace("a\ufffdb".encode(), rb"a\ud800b"))
    replay = run_mcprun("batch", "p.jsonl", CANNED, "--model", f"replay:{done.run}", "--", "given.json", cwd=tmp_path)
    assert [call["diverged"] for call in replay.transcripts[0]["calls"]] == [False]
    assert run_mcprun("diff", done.run, replay.run, cwd=tmp_path).code == 0
    reports = ("--html", "r.html", "--junit", "j.xml", "--markdown", "m.md", "--csv", "c.csv")
    assert run_mcprun("report", str(done.run), *reports, cwd=tmp_path).code == 0
    assert all((tmp_path / name).read_bytes().decode() for name in reports[1::2])


@contextmanager
def serve_over_http(folder: Path) -> Iterator[str]:
    """Start the same server over HTTP, and yield its URL."""
    with subprocess.Popen(
        [sys.executable, CANNED, "given.json", "http"], cwd=folder, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}/mcp"
        finally:
            process.terminate()


def test_lone_surrogate_over_http_is_replaced(tmp_path: Path) -> None:
    """A response over HTTP with a lone surrogate, which the SDK rejects, is repaired as over stdio."""
    configure_server(tmp_path)
    with serve_over_http(tmp_path) as url, MessagesApi(answer) as api:
        done = run_queries(tmp_path, api, queries=QUERIES[4:6], server=url)
        listed = run_mcprun("tools", url, "--lint", "--snapshot", "s.json", cwd=tmp_path)
    assert (done.code, done.stderr.count("a message of the server: a lone surrogate")) == (0, 1), done.stderr
    assert done.transcripts[0]["calls"][0]["content"] == [text_block("a\ufffdb")]
    assert "its definition contains U+FFFD: the server sent a lone surrogate" in " ".join(listed.stdout.split())
    assert json.loads((tmp_path / "s.json").read_bytes().decode())["name"] == "given \ufffd"


def test_images_beyond_the_request_limit_are_reduced(tmp_path: Path) -> None:
    """A query whose turns together return more images than a request may have passes."""
    configure_server(tmp_path, tools=None, results={"shots": {"content": [image_block(png(2500, 2500))] * 30}})
    turns = [calls(("shots", {}))] * 4 + [text("Done.")]
    with MessagesApi(scripted({"Look.": turns})) as api:
        done = run_queries(tmp_path, api, queries=["Look."])
    assert (done.code, [reply.status for reply in api.replies]) == (0, [200] * 5)
    assert done.stderr.count("the API accepts at most") == 2  # the size of images, and their number


def test_400_about_one_query_does_not_end_the_run(tmp_path: Path) -> None:
    """If the API rejects a query's own `cache_control`, only that query fails, and `--bare-api` is not suggested."""

    def bare(body: Body) -> Answer:
        if prompt_of(body) == "Marked.":
            return error(400, "invalid_request_error", "messages.0.content.0.cache_control: not supported")
        return text("ok")

    queries = [
        {"id": "marked", "prompt": [{**text_block("Marked."), **EPHEMERAL}]},
        {"id": "plain", "prompt": "Hello?"},
    ]
    configure_server(tmp_path)
    with MessagesApi(bare) as api:
        done = run_queries(tmp_path, api, queries=queries)
    assert (done.code, done.verdicts) == (3, {"marked": "error", "plain": "passed"})
    assert "--bare-api" not in done.stdout + done.stderr


FORCED = "Error: --tool-choice any and --thinking {} cannot be combined: the API rejects forced calls with thinking; leave out one"


@pytest.mark.parametrize(
    ("flags", "queries", "expected"),
    [
        (("--thinking", "adaptive", "--tool-choice", "any"), ["x"], FORCED.format("adaptive")),
        (("--thinking", "2000", "--tool-choice", "any"), ["x"], FORCED.format("2000")),
        (("--thinking", "2000", "--max-tokens", "2000"), ["x"], "Error: --thinking 2000 must be less than --max-tokens 2000"),
        (("--thinking", "2000"), [{"prompt": "x", "max_tokens": 2000}], "p.jsonl:1: max_tokens: must be greater than --thinking 2000, not 2000"),
        (("--tool-choice", "plain"), [{"prompt": "x", "tools": ["b*"]}], "p.jsonl:1: tools: must include plain, which --tool-choice names"),
        (("--tool-choice", "plan"), ["x"], "Error: --tool-choice: plan is not a tool of the server; did you mean plain?"),
        (("--tool-choice", "plain", "--deny-tool", "p*"), ["x"], "Error: --tool-choice: plain is excluded by --allow-tool, --deny-tool or --read-only"),
        (("--tool-choice", "plain", "--allow-tool", "half"), ["x"], "Error: --tool-choice: plain is excluded by --allow-tool, --deny-tool or --read-only"),
    ],
)  # fmt: skip
def test_invalid_settings_are_refused_before_the_run(
    tmp_path: Path, flags: tuple[str, ...], queries: list[Any], expected: str
) -> None:
    """Exit code 2, no request, no run folder, and `outputs/latest` is unchanged."""
    configure_server(tmp_path)
    with MessagesApi(lambda _: text("ok")) as api:
        before = run_queries(tmp_path, api, queries=["before"])
        request_count = len(api.requests)
        done = run_queries(tmp_path, api, *flags, queries=queries)
        again = run_queries(tmp_path, api, *flags, "--out", "out", queries=queries)
        assert len(api.requests) == request_count
    assert (done.code, again.code) == (2, 2)
    assert expected in done.stderr
    assert done.run == before.run
    assert [path.name for path in (tmp_path / "outputs").iterdir() if not path.is_symlink()] == [before.run.name]
    assert not (tmp_path / "out").exists()


def test_invalid_settings_are_refused_in_files_and_chats(tmp_path: Path) -> None:
    """Settings in a file, in the environment and of a chat are checked like flags, but not for scripts."""
    configure_server(tmp_path)
    (tmp_path / "mcprun.toml").write_text('thinking = "adaptive"\n')
    write_jsonl(tmp_path / "p.jsonl", script())
    env = {"ANTHROPIC_API_KEY": KEY, "MCPRUN_TOOL_CHOICE": "any", "ANTHROPIC_BASE_URL": "http://127.0.0.1:9"}
    done = run_mcprun("batch", "p.jsonl", CANNED, "--", "given.json", cwd=tmp_path, env=env)
    assert (done.code, FORCED.format("adaptive") in done.stderr) == (2, True)
    (tmp_path / "mcprun.toml").unlink()
    env["MCPRUN_TOOL_CHOICE"] = "gone"
    done = run_mcprun("batch", "p.jsonl", CANNED, "--model", "script", "--", "given.json", cwd=tmp_path, env=env)
    assert done.code == 0
    done = run_mcprun("chat", CANNED, "--thinking", "2000", "--max-tokens", "2000", cwd=tmp_path, env=env)
    assert (done.code, "--thinking 2000 must be less than --max-tokens 2000" in done.stderr) == (2, True)
