"""The Messages API over real HTTP, against a local stand-in that refuses what the API refuses. No model answers here."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.asking import KEY, ask
from tests.support.cli import SERVERS, run_mcprun, write_jsonl
from tests.support.loopback import free_port
from tests.support.messages_api import Answer, Body, HttpReply, MessagesApi, calls, error, message, scripted, text

pytestmark = pytest.mark.usefixtures("each_transport")

KINDS = SERVERS / "kinds.py"

RAW = SERVERS / "raw.py"


def test_api_key_selects_claude(tmp_path: Path) -> None:
    """With an API key, the same command uses Claude, with tools, caching and a bound on the reply."""
    conversation = {"Greet Ada.": [calls(("structured", {"name": "Ada"}), text="One moment."), text("She is greeted.")]}
    with MessagesApi(scripted(conversation)) as api:
        done = ask(tmp_path, api, KINDS, queries=("Greet Ada.",))
    assert (done.code, done.transcripts[0]["text"]) == (0, "She is greeted.")
    assert done.record["model"] == {"kind": "claude", "name": "claude-sonnet-5-5", "chosen": "there is an API key"}
    first, second = (request.body for request in api.requests)
    assert first["model"] == "claude-sonnet-5-5"
    assert first["max_tokens"] == 16000
    assert first["cache_control"] == {"type": "ephemeral"}
    assert [tool.get("cache_control") for tool in first["tools"]] == [None] * (len(first["tools"]) - 1) + [
        {"type": "ephemeral"}  # all queries share the cached prefix of tools
    ]
    assert [tool["name"] for tool in first["tools"]] == sorted(tool["name"] for tool in first["tools"])
    assert first["tools"] == second["tools"]
    assert [sent["role"] for sent in second["messages"]] == ["user", "assistant", "user"]


def test_transcript_has_the_messages_that_were_sent(tmp_path: Path) -> None:
    """The transcript's messages are those of the last request, followed by the reply to it."""
    conversation = {"Hi": [calls(("echo", {"text": "a"}), ("echo", {"text": "b"})), text("Both.")]}
    with MessagesApi(scripted(conversation)) as api:
        done = ask(tmp_path, api, KINDS, queries=("Hi",))
    messages = done.transcripts[0]["messages"]
    assert messages[:-1] == api.requests[-1].body["messages"]
    assert messages[-1]["content"] == [{"type": "text", "text": "Both."}]
    results = messages[2]["content"]
    assert [block["content"][0]["text"] for block in results] == ["a", "b"]  # all results of a turn are in one message


def test_usage_is_summed_over_turns(tmp_path: Path) -> None:
    """The transcript and the run's counts have the token usage of all turns."""
    kinds = ("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    usages = [dict(zip(kinds, numbers, strict=True)) for numbers in ((10, 1, 3, 0), (20, 2, 0, 3))]
    conversation = {"Hi": [calls(("echo", {"text": "a"})) | {"usage": usages[0]}, text("ok") | {"usage": usages[1]}]}
    with MessagesApi(scripted(conversation)) as api:
        done = ask(tmp_path, api, KINDS, queries=("Hi",))
    total = dict(zip(kinds, (30, 3, 3, 3), strict=True))
    assert [turn["usage"] for turn in done.transcripts[0]["turns"]] == usages
    assert done.transcripts[0]["usage"] == total
    assert done.record["counts"]["usage"] == total
    assert "36 / 3" in done.stdout


def test_run_with_claude_can_be_replayed(tmp_path: Path) -> None:
    """A replay without a key gives the same bytes, including thinking blocks, pauses and usage."""
    thinking = {"type": "thinking", "thinking": "Hm.", "signature": "c2lnbmVk"}
    conversation = {
        "Hi": [
            message([thinking, {"type": "tool_use", "name": "echo", "input": {"text": "a"}}], stop_reason="tool_use"),
            message([{"type": "text", "text": "Wait"}], stop_reason="pause_turn"),
            text("Done."),
        ],
        "Ho": [message([{"type": "text", "text": "I wo"}], stop_reason="max_tokens")],
    }
    with MessagesApi(scripted(conversation)) as api:
        recorded = ask(tmp_path, api, KINDS, queries=("Hi", "Ho"))
    assert recorded.code == 1
    assert list(recorded.verdicts.values()) == ["passed", "failed"]
    replay = run_mcprun("batch", "p.jsonl", KINDS, "--model", f"replay:{recorded.run}", cwd=tmp_path)
    assert replay.bytes == recorded.bytes
    assert replay.code == 1
    assert "recorded tokens in/out" in " ".join(replay.stdout.split())


@pytest.mark.parametrize(
    ("stop_reason", "code"),
    [("end_turn", 0), ("stop_sequence", 0), ("max_tokens", 1), ("refusal", 1), ("model_context_window_exceeded", 1)],
)
def test_stop_reasons_are_recorded_unchanged(tmp_path: Path, stop_reason: str, code: int) -> None:
    """A reply that ended its turn passes, and one that was cut short or refused fails."""
    with MessagesApi(lambda _: message([{"type": "text", "text": "x"}], stop_reason=stop_reason)) as api:
        done = ask(tmp_path, api, RAW)
    assert (done.code, done.transcripts[0]["stop"]) == (code, stop_reason)


def test_truncated_call_is_not_made(tmp_path: Path) -> None:
    """A `tool_use` block in a reply that stopped at `max_tokens` may be incomplete, and is not sent to the server."""
    with MessagesApi(lambda _: calls(("echo", {"te": ""})) | {"stop_reason": "max_tokens"}) as api:
        done = ask(tmp_path, api, KINDS)
    assert (done.transcripts[0]["stop"], done.transcripts[0]["calls"]) == ("max_tokens", [])


def test_every_kind_of_content_becomes_blocks_that_the_api_accepts(tmp_path: Path) -> None:
    """Text, images, audio, links, embedded resources, structured content, empty results and errors are converted."""
    tools = ["echo", "image", "drawing", "audio", "link", "embedded_text", "embedded_pdf", "embedded_blob",
             "structured", "empty", "fails"]  # fmt: skip
    inputs: dict[str, Body] = {"echo": {"text": "a"}, "structured": {"name": "Ada"}, "fails": {"why": "x"}}
    with MessagesApi(scripted({"All": [calls(*((tool, inputs.get(tool, {})) for tool in tools)), text("ok")]})) as api:
        done = ask(tmp_path, api, KINDS, "--allow-tool-errors", queries=("All",))
    assert (done.code, done.stderr.count("error")) == (0, 0)
    contents = dict(zip(tools, api.requests[1].body["messages"][2]["content"], strict=True))
    kinds = {tool: [block["type"] for block in result.get("content", [])] for tool, result in contents.items()}
    assert kinds == {
        "echo": ["text"], "image": ["image"], "drawing": ["text"], "audio": ["text"], "link": ["text"],
        "embedded_text": ["text"], "embedded_pdf": ["document"], "embedded_blob": ["text"], "structured": ["text"],
        "empty": [], "fails": ["text"],
    }  # fmt: skip
    texts = {tool: contents[tool]["content"][0]["text"] for tool in ("drawing", "audio", "link", "embedded_text")}
    assert texts["drawing"].startswith("[image: image/svg+xml, ")
    assert texts["audio"].startswith("[audio: audio/wav, ")
    assert texts["link"] == "[resource link demo://readme: readme, text/markdown]"
    assert texts["embedded_text"] == "[resource demo://readme]\n# Read me"
    assert contents["fails"]["is_error"] is True


def test_unusual_tool_names_are_mapped_for_the_api(tmp_path: Path) -> None:
    """Names and keys that the API does not accept are mapped, and calls are mapped back for the server."""

    def answer(body: Body) -> Answer:
        if len(body["messages"]) > 1:
            return text("ok")
        keys = next(tool for tool in body["tools"] if tool["name"] == "keys")
        user, where = keys["input_schema"]["properties"]
        inner = next(iter(keys["input_schema"]["properties"][where]["properties"]))
        dotted = next(tool["name"] for tool in body["tools"] if tool["name"].startswith("files_read_all_"))
        return calls(("keys", {user: "7", where: {inner: 1}}), (dotted, {"path": "/"}))

    with MessagesApi(answer) as api:
        done = ask(tmp_path, api, SERVERS / "raw.py", "--", "odd")
    assert done.code == 0, done.stderr
    assert [(call["tool"], call["input"]) for call in done.transcripts[0]["calls"]] == [
        ("keys", {"user id": "7", "$filter": {"é": 1}}),
        ("files.read/all", {"path": "/"}),
    ]


def test_query_overrides_flags_for_the_request(tmp_path: Path) -> None:
    """`--model`, `--max-tokens` and `--system` reach the API, and a query's own values override them."""
    own = {"prompt": "Own", "model": "claude-haiku-5-5", "max_tokens": 5, "system": "Be brief."}
    with MessagesApi(lambda _: text("ok")) as api:
        flags = ("--model", "claude-opus-5-5", "--max-tokens", "99", "--system", "Be kind.", "--concurrency", "1")
        done = ask(tmp_path, api, RAW, *flags, queries=("Flags", own))
    assert [transcript["system"] for transcript in done.transcripts] == ["Be kind.", "Be brief."]
    sent = [(one.body["model"], one.body["max_tokens"], one.body["system"]) for one in api.requests]
    assert sent == [("claude-opus-5-5", 99, "Be kind."), ("claude-haiku-5-5", 5, "Be brief.")]


def test_key_from_dotenv_and_url_from_a_flag(tmp_path: Path) -> None:
    """The key is read from `.env`, the endpoint from `--base-url`, and the model from `MCPRUN_MODEL`."""
    (tmp_path / ".env").write_text(f"ANTHROPIC_API_KEY={KEY}\n")
    prompts = write_jsonl(tmp_path / "p.jsonl", "Hello?")
    with MessagesApi(lambda _: text("ok")) as api:
        flags = ("--base-url", api.url)
        done = run_mcprun("batch", prompts, RAW, *flags, cwd=tmp_path, env={"MCPRUN_MODEL": "local-model"})
    assert (done.code, api.requests[0].body["model"]) == (0, "local-model")


def test_environment_overrides_dotenv(tmp_path: Path) -> None:
    """Variables of the environment override `.env`, and an auth token replaces a key."""
    (tmp_path / ".env").write_text("ANTHROPIC_AUTH_TOKEN=sk-ant-wrong\nMCPRUN_MODEL=wrong\n")
    prompts = write_jsonl(tmp_path / "p.jsonl", "Hello?")
    with MessagesApi(lambda _: text("ok")) as api:
        env = {"ANTHROPIC_AUTH_TOKEN": KEY, "MCPRUN_MODEL": "right", "ANTHROPIC_BASE_URL": api.url}
        done = run_mcprun("batch", prompts, RAW, cwd=tmp_path, env=env)
    assert (done.code, api.requests[0].body["model"]) == (0, "right")


def test_the_key_is_in_no_file_and_no_message(tmp_path: Path) -> None:
    """The key appears in nothing that a run writes or prints, nor in the server's environment."""
    with MessagesApi(lambda _: text("ok")) as api:
        done = ask(tmp_path, api, SERVERS / "environment.py")
    assert done.code == 0
    written = b"".join(file.read_bytes() for file in done.run.iterdir())
    assert b"PATH" in (done.run / "server.log").read_bytes()
    for place in (written, done.stdout.encode(), done.stderr.encode()):
        assert KEY.encode() not in place


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (error(429, "rate_limit_error", "Slow down"), "throttled", "429 rate_limit_error: Slow down"),
        (error(529, "overloaded_error", "Overloaded"), "throttled", "529 overloaded_error: Overloaded"),
        (error(500, "api_error", "Oops"), "api_error", "500 api_error: Oops"),
        (error(400, "invalid_request_error", "prompt is too long"), "api_refused", "prompt is too long"),
        (HttpReply(200, "not json"), "api_error", "the API's response can't be read"),
        (HttpReply(200, {"type": "message"}), "api_error", "the API's response is not a message"),
        (HttpReply(200, "", fails="drop"), "api_error", "no connection to the API"),
        *(
            (HttpReply(200, {"content": [block], "stop_reason": "end_turn", "model": "m"}), "api_error", "content[0]")
            for block in (
                {"type": "text"},
                {"type": "text", "text": None},
                {"type": "tool_use", "name": "ok", "input": {}},
                {"type": "tool_use", "id": "a", "input": {}},
                {"type": "tool_use", "id": "a", "name": "ok", "input": "{}"},
                "text",
                {},
            )
        ),
    ],
)
def test_failure_of_the_api_is_an_error_of_the_query(
    tmp_path: Path, answer: HttpReply, kind: str, message: str
) -> None:
    """A failed request or an invalid response is an error of its kind with exit code 3, never a pass."""
    with MessagesApi(lambda _: answer) as api:
        done = ask(tmp_path, api, RAW, "--no-retry")
    assert (done.code, list(done.verdicts.values())) == (3, ["error"])
    assert done.transcripts[0]["error"]["kind"] == kind
    assert message in done.transcripts[0]["error"]["message"]
    assert kind in done.stderr


def test_unreachable_api_is_named_without_secrets(tmp_path: Path) -> None:
    """The message names the URL that could not be reached, with its credentials redacted."""
    prompts = write_jsonl(tmp_path / "p.jsonl", "Hello?")
    address = f"127.0.0.1:{free_port()}"
    flags = ("--base-url", f"http://me:s3cret@{address}/gateway", "--no-retry")
    done = run_mcprun("batch", prompts, RAW, *flags, cwd=tmp_path, env={"ANTHROPIC_API_KEY": KEY})
    expected = (
        f"no connection to the API at http://[redacted]@{address}/gateway/v1/messages: All connection attempts failed"
    )
    assert (done.code, done.transcripts[0]["error"]["message"]) == (
        3,
        f"{expected}; no request of this run has reached the API",
    )
    assert expected in " ".join(done.stderr.split())
    assert not any(b"s3cret" in file.read_bytes() for file in done.run.iterdir())


@pytest.mark.parametrize(
    ("flags", "key", "kind", "message"),
    [
        ((), "sk-ant-wrong", "api_refused", "the API refused the key: 401 authentication_error"),
        (("--model", "claude-0"), KEY, "api_refused", "the API has no model 'claude-0'"),
    ],
)
def test_refused_key_or_unknown_model_ends_the_run(
    tmp_path: Path, flags: tuple[str, ...], key: str, kind: str, message: str
) -> None:
    """A refused key and an unknown model are one message for the run, not one for each query."""
    with MessagesApi(lambda _: text("ok"), unknown_models={"claude-0"}) as api:
        done = ask(tmp_path, api, RAW, *flags, key=key, queries=("One", "Two", "Three"))
    assert done.code == 3
    assert done.stderr.count(message) == 1
    assert done.record["error"]["kind"] == kind
    assert done.record["state"] == "interrupted"
    assert "passed" not in done.verdicts.values()


def test_unreachable_api_ends_the_run(tmp_path: Path) -> None:
    """After the retries of one request the run ends with all queries skipped, and can be resumed."""
    prompts = write_jsonl(tmp_path / "p.jsonl", *(f"q{number}" for number in range(40)))
    env = {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": "http://127.0.0.1:1"}
    flags = ("--retries", "1", "--max-retry-wait", "0.01")
    done = run_mcprun("batch", prompts, RAW, *flags, "--out", "run", cwd=tmp_path, env=env)
    assert (done.code, done.stderr.count("no connection to the API")) == (3, 1)
    assert (done.record["state"], done.record["error"]["kind"]) == ("interrupted", "api_error")
    assert (len(done.verdicts), set(done.verdicts.values())) == (40, {"skipped"})
    assert "Resume with: mcprun batch --resume run" in done.stderr
    with MessagesApi(lambda _: text("ok")) as api:
        resumed = run_mcprun("batch", "--resume", "run", cwd=tmp_path, env={**env, "ANTHROPIC_BASE_URL": api.url})
    assert (resumed.code, set(resumed.verdicts.values())) == (0, {"passed"})


def test_deeply_nested_response_is_an_error_of_its_query(tmp_path: Path) -> None:
    """A response nested 100,000 levels deep is an API error of its query, and the other queries pass."""
    deep = HttpReply(200, "[" * 100_000, {"content-type": "application/json"})
    with MessagesApi(scripted({"One": [deep], "Two": [text("ok")]})) as api:
        done = ask(tmp_path, api, RAW, "--no-retry", queries=("One", "Two"))
    assert (done.code, [one["verdict"] for one in done.transcripts]) == (3, ["error", "passed"])
    assert done.transcripts[0]["error"]["kind"] == "api_error"


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (error(402, "billing_error", "No credit"), "api_refused", "payment required by the API: 402 billing_error"),
        (
            error(400, "invalid_request_error", "Your credit balance is too low to access the API"),
            "api_refused",
            "payment required by the API: 400",
        ),
        (error(403, "permission_error", "Not yours"), "api_refused", "the API refused the key: 403 permission_error"),
        (
            error(400, "invalid_request_error", "tools.0.custom.input_schema: not valid"),
            "bad_tools",
            "the API refused the tool list: 400",
        ),
    ],
)
def test_refusals_of_the_account_or_tools_end_the_run(
    tmp_path: Path, answer: HttpReply, kind: str, message: str
) -> None:
    """Missing credit, missing permission and a refused tool list end the run at once, with one message."""
    with MessagesApi(lambda _: answer) as api:
        done = ask(tmp_path, api, RAW, "--concurrency", "2", queries=tuple(f"Query {n}" for n in range(9)))
        assert len(api.requests) <= 2
    assert (done.code, done.record["error"]["kind"], set(done.verdicts.values())) == (3, kind, {"skipped"})
    assert done.stderr.count(message) == 1
    assert len(done.verdicts) == 9


def test_an_unknown_model_of_one_query_is_its_own_error(tmp_path: Path) -> None:
    """A query that names an unknown model ends with an error, and the other queries run."""
    queries = ({"id": "odd", "prompt": "One", "model": "claude-0"}, {"id": "fine", "prompt": "Two"})
    with MessagesApi(lambda _: text("ok"), unknown_models={"claude-0"}) as api:
        done = ask(tmp_path, api, RAW, queries=queries)
    assert (done.code, done.verdicts) == (3, {"odd": "error", "fine": "passed"})
    assert "the API has no model 'claude-0', which the query names" in done.stderr


def test_unanswered_request_times_out(tmp_path: Path) -> None:
    """A request without a response ends at `--request-timeout`, and the message names the pending turn."""

    def answer(_: Body) -> Answer:
        api.closed.wait()
        return text("too late")

    with MessagesApi(answer) as api:
        done = ask(tmp_path, api, RAW, "--request-timeout", "0.3", "--no-retry")
    transcript = done.transcripts[0]
    assert (done.code, transcript["stop"]) == (3, "timeout")
    assert transcript["error"]["kind"] == "request_timeout"
    reported = (
        r"the API did not respond within 0\.3 s \(--request-timeout\); waiting for the model's turn 0 \(for \d\.\d s\)"
    )
    assert re.fullmatch(reported, transcript["error"]["message"])


def test_query_timeout_names_the_pending_call(tmp_path: Path) -> None:
    """A query that exceeds its timeout keeps its transcript, and its error names the pending call."""
    query = {"id": "slow", "prompt": "Hang", "timeout": 1.5}
    with MessagesApi(scripted({"Hang": [calls(("hangs", {}))]})) as api:
        done = ask(tmp_path, api, KINDS, queries=(query,))
    transcript = done.transcripts[0]
    assert (done.code, transcript["stop"], len(transcript["messages"])) == (3, "timeout", 2)
    assert transcript["error"]["kind"] == "query_timeout"
    assert re.fullmatch(
        r"timed out after 1\.5 s in call 0, `hangs` \(the query's `timeout`\)",
        transcript["error"]["message"],
    )
    hung = next(event for event in done.trace if event["event"] == "tool_call")
    assert (hung["tool"], hung["problem"]) == ("hangs", "cancelled")


def test_queries_run_concurrently(tmp_path: Path) -> None:
    """`--concurrency 4` sends four requests at once."""
    with MessagesApi(answer_together(4)) as api:
        done = ask(tmp_path, api, RAW, "--concurrency", "4", queries=tuple(f"q{number}" for number in range(8)))
    assert (done.code, len(api.requests)) == (0, 8)


def answer_together(parties: int) -> Callable[[Body], Answer]:
    """Return an answer function that answers once `parties` requests are waiting, or fails after 30 s."""
    barrier = threading.Barrier(parties)

    def answer(_: Body) -> Answer:
        barrier.wait(timeout=30)
        return text("together")

    return answer


def test_model_settings_are_sent_to_the_api(tmp_path: Path) -> None:
    """Effort and thinking are sent with every request, and `--tool-choice` only with a query's first."""
    for flags, first in (
        (("--effort", "low"), {"output_config": {"effort": "low"}}),
        (("--thinking", "adaptive"), {"thinking": {"type": "adaptive"}}),
        (("--thinking", "2048"), {"thinking": {"type": "enabled", "budget_tokens": 2048}}),
        (("--tool-choice", "any"), {"tool_choice": {"type": "any"}}),
        (("--tool-choice", "echo"), {"tool_choice": {"type": "tool", "name": "echo"}}),
        ((), {}),
    ):
        with MessagesApi(scripted({"Hi": [calls(("echo", {"text": "a"})), text("ok")]})) as api:
            assert ask(tmp_path, api, KINDS, *flags, queries=("Hi",)).code == 0
        settings = [
            {
                name: value
                for name, value in request.body.items()
                if name in ("output_config", "thinking", "tool_choice")
            }
            for request in api.requests
        ]
        assert settings == [first, {name: value for name, value in first.items() if name != "tool_choice"}]


@pytest.mark.parametrize("flags", [("--effort", "huge"), ("--thinking", "much"), ("--thinking", "10")])
def test_invalid_model_settings_are_refused(tmp_path: Path, flags: tuple[str, str]) -> None:
    """An invalid value of `--effort` or `--thinking` exits with 2 before anything runs."""
    done = run_mcprun("batch", "p.jsonl", KINDS, *flags, cwd=tmp_path)
    assert (done.code, f"Invalid value for '{flags[0]}'" in done.stderr) == (2, True)
