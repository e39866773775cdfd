"""Queries that start with the server's prompts and resources."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mcprun.engine.conversation import Conversation
from mcprun.engine.grading import case
from mcprun.report.html.conversation import conversation_json
from mcprun.runs.run import Run
from tests.support import canned_bytes
from tests.support.canned_bytes import ERAS
from tests.support.cli import Result, run_mcprun, squeezed, write_jsonl
from tests.support.library import LIBRARY, ODD
from tests.support.messages_api import MessagesApi, text

BRIEF = {"name": "brief", "arguments": {"topic": "owls"}}


def query(**more: Any) -> dict[str, Any]:
    """Return a query whose script has one reply."""
    return {"id": "q", "script": [{"text": "Done."}], **more}


def run_query(tmp_path: Path, server: Path, *args: str, **more: Any) -> Result:
    """Run one query; `args` go to the server."""
    return run_mcprun("batch", write_jsonl(tmp_path / "p.jsonl", query(**more)), server, "--", *args, cwd=tmp_path)


def message_texts(transcript: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """Return the role and the texts of each message."""
    items = [(message["role"], message["content"]) for message in transcript["messages"]]
    return [
        (role, [content] if isinstance(content, str) else [block.get("text", block["type"]) for block in content])
        for role, content in items
    ]


@pytest.mark.parametrize("protocol", ["legacy", "2026-07-28"])
def test_prompts_and_resources_open_a_query_in_both_eras(tmp_path: Path, protocol: str) -> None:
    """Resources come first, then the server's prompt, then the query's own; neighbours of one role are merged."""
    server_input = {
        "resources": ["library://rules", "library://plan", "library://books/7"],
        "server_prompt": {"name": "lesson"},
    }
    prompts = write_jsonl(tmp_path / "p.jsonl", query(prompt="And 9 * 9?", **server_input))
    done = run_mcprun("batch", prompts, LIBRARY, "--protocol", protocol, cwd=tmp_path)
    assert done.code == 0, done.stderr
    (transcript,) = done.transcripts
    assert message_texts(transcript) == [
        ("user", ["[resource library://rules]\nBe quiet.", "image", "[resource library://books/7]\nBook 7 is quiet.", "What is 2 + 2?"]),
        ("assistant", ["4.", "That was easy."]),
        ("user", ["Now a harder one.", "What is 7 * 8?", "And 9 * 9?"]),
        ("assistant", ["Done."]),
    ]  # fmt: skip
    assert transcript["given"] == {"messages": 3, "diverged": False}
    assert transcript["prompt"] == [
        *({"type": "resource", "uri": uri} for uri in server_input["resources"]),
        {"type": "server_prompt", "name": "lesson", "arguments": {}},
        "And 9 * 9?",
    ]
    assert (len(transcript["turns"]), transcript["text"]) == (1, "Done.")


def test_query_may_consist_of_a_server_prompt(tmp_path: Path) -> None:
    """A query needs no prompt besides `server_prompt`.

    Its arguments go to the server, `prompt_get` events record them, and a generated id is stable.
    """
    for _ in range(2):
        prompts = write_jsonl(tmp_path / "p.jsonl", {"server_prompt": BRIEF, "script": [{"text": "Owls."}]})
        done = run_mcprun("batch", prompts, LIBRARY, cwd=tmp_path)
    (transcript,) = done.transcripts
    assert message_texts(transcript)[0] == ("user", ["Write briefly about owls, in a dry tone, in a quiet room."])
    (event,) = [event for event in done.trace if event["event"] == "prompt_get"]
    assert event | {"at": "", "seconds": 0, "query": ""} == {
        "event": "prompt_get", "at": "", "query": "", "repeat": 1, "attempt": 1, "seconds": 0,
        "prompt": "brief", "arguments": {"topic": "owls"}, "server": 1, "log_offset": 0,
    }  # fmt: skip
    assert run_mcprun("batch", prompts, LIBRARY, "--model", "replay:latest", cwd=tmp_path).bytes == done.bytes


def test_server_input_precedes_the_first_of_several_prompts(tmp_path: Path) -> None:
    """Resources and the server's prompt, which may end with the assistant, precede the first of the query's prompts."""
    server_input = {"resources": ["library://rules"], "server_prompt": "unfinished", "prompts": ["a", "b"]}
    done = run_query(tmp_path, LIBRARY, **server_input, script=[{"text": "One."}, {"text": "Two."}])
    (transcript,) = done.transcripts
    assert message_texts(transcript) == [
        ("user", ["[resource library://rules]\nBe quiet.", "Hello."]),
        ("assistant", ["Hello, what would you like?"]),
        ("user", ["a"]),
        ("assistant", ["One."]),
        ("user", ["b"]),
        ("assistant", ["Two."]),
    ]
    assert transcript["given"]["messages"] == 3


def test_api_request_matches_the_transcript(tmp_path: Path) -> None:
    """The API accepts the server's messages as recorded, and `show` distinguishes them from the model's turns."""
    prompts = write_jsonl(tmp_path / "p.jsonl", {"id": "q", "server_prompt": "lesson"})
    with MessagesApi(lambda _: text("56.")) as api:
        env = {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": "sk-ant-test"}
        done = run_mcprun("batch", prompts, LIBRARY, cwd=tmp_path, env=env)
    (transcript,) = done.transcripts
    assert (done.code, transcript["text"]) == (0, "56.")
    assert [request.body["messages"] for request in api.requests] == [transcript["messages"][:-1]]
    shown = squeezed(run_mcprun("show", "latest", "q", cwd=tmp_path).stdout)
    assert [line.split()[0] for line in shown[1:7]] == ["user", "assistant", "assistant", "user", "user", "model"]


def test_judge_and_html_separate_server_messages_from_turns(tmp_path: Path) -> None:
    """Assistant messages from a server's prompt are not turns, and calls follow the turn that made them."""
    turns = [{"calls": [{"tool": "echo", "input": {"text": "56"}}]}, {"text": "56"}]
    done = run_query(tmp_path, LIBRARY, server_prompt="lesson", script=turns)
    transcript = next(done_transcript for done_transcript, _ in Run.lines(done.run))
    items = conversation_json(transcript)["items"]
    assert [item.get("who") or item["kind"] for item in items] == [
        "user", "assistant", "assistant", "user", "user", "turn", "call", "turn", "model",
    ]  # fmt: skip
    conversation = Conversation(
        model="m", messages=transcript.messages, calls=transcript.calls, turns=transcript.turns, given=transcript.given
    )
    data = json.loads(case("rubric", conversation))["conversation"]
    assert [next(iter(one)) for one in data] == ["user", "assistant", "assistant", "user", "user", "call", "assistant"]


@pytest.mark.parametrize("protocol", ["legacy", "2026-07-28"])
def test_server_prompt_may_elicit_input(tmp_path: Path, protocol: str) -> None:
    """The query's `elicit` answers are used during `prompts/get`, and the transcript records the elicitation."""
    prompts = write_jsonl(tmp_path / "p.jsonl", query(server_prompt="ticket", elicit=["accept"]))
    done = run_mcprun("batch", prompts, LIBRARY, "--protocol", protocol, cwd=tmp_path)
    assert done.code == 0, done.stderr
    (transcript,) = done.transcripts
    assert message_texts(transcript)[0] == ("user", ["The ticket: accept."])
    assert [(one["kind"], one["call"]) for one in transcript["asked"]] == [("elicitation", None)]


UNAVAILABLE: tuple[tuple[dict[str, Any], str], ...] = (
    ({"server_prompt": "nope"}, 'prompts: prompt "nope" could not be loaded: Internal server error; it is not among the server\'s prompts: brief, lesson, '),
    ({"server_prompt": "brief"}, 'prompts: prompt "brief" could not be loaded: Internal server error; missing arguments: topic'),
    ({"server_prompt": "monologue"}, 'prompts: prompt "monologue" can\'t be used: it starts with an assistant message, '),
    ({"server_prompt": "unfinished"}, 'prompts: prompt "unfinished" can\'t be used: it ends with an assistant message: '),
    ({"server_prompt": "song"}, 'prompts: prompt "song" can\'t be used: message 0 has content that the API does not accept: audio: audio/wav, 70 bytes'),
    ({"server_prompt": "silence"}, 'prompts: prompt "silence" can\'t be used: it is empty'),
    ({"resources": ["library://nope"], "prompt": "x"}, 'prompts: resource "library://nope" could not be read: Unknown resource: library://nope (data: {"uri": "library://nope"}); it is not among the server\'s resources: library://rules, library://plan, library://paper, library://archive; templates: library://books/{number}'),
    ({"resources": ["library://archive"], "prompt": "x"}, 'prompts: resource "library://archive" can\'t be sent: the API does not accept resource library://archive: application/zip, 4 bytes'),
)  # fmt: skip


@pytest.fixture(scope="module")
def unavailable(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """Run every query of `UNAVAILABLE`."""
    folder = tmp_path_factory.mktemp("not-given")
    queries = ({**query(**more), "id": str(number)} for number, (more, _) in enumerate(UNAVAILABLE))
    return run_mcprun("batch", write_jsonl(folder / "p.jsonl", *queries), LIBRARY, cwd=folder)


@pytest.mark.parametrize("number", range(len(UNAVAILABLE)), ids=[str(more) for more, _ in UNAVAILABLE])
def test_unavailable_prompt_or_resource_is_an_error(unavailable: Result, number: int) -> None:
    """The error has a kind and lists the available prompts or resources; no request goes to the model."""
    transcript = unavailable.transcripts[number]
    assert (unavailable.code, transcript["verdict"], transcript["turns"], transcript["stop"]) == (
        3,
        "error",
        [],
        "error",
    )
    assert f"{transcript['error']['kind']}: {transcript['error']['message']}".startswith(UNAVAILABLE[number][1])


@pytest.mark.parametrize(
    ("mode", "more", "message"),
    [
        ("bare", {"server_prompt": "x"}, 'the query uses prompt "x", but the server does not support prompts'),
        ("bare", {"resources": ["a:b"], "prompt": "x"}, 'the query uses resource "a:b", but the server does not support resources'),
        ("plain", {"resources": ["a:b"], "prompt": "x"}, 'resource "a:b" can\'t be sent: it is empty'),
        ("invalid", {"server_prompt": "prompt:0a"}, 'prompt "prompt:0a" could not be loaded: the server sent an invalid result: messages[0].role is "chorus", not user or assistant'),
        ("refuses", {"server_prompt": "prompt:0a"}, 'prompt "prompt:0a" could not be loaded: \x1b[2J\u202e[red]evil[/red] line'),
        ("refuses", {"resources": ["thing:0a"], "prompt": "x"}, 'resource "thing:0a" could not be read: \x1b[2J'),
    ],
)  # fmt: skip
def test_invalid_server_input_is_an_error_of_the_query(
    tmp_path: Path, mode: str, more: dict[str, Any], message: str
) -> None:
    """An invalid prompt or resource is its query's error, and control characters in it are escaped in the output."""
    done = run_query(tmp_path, ODD, mode, **more)
    assert (done.code, done.transcripts[0]["error"]["kind"]) == (3, "prompts")
    assert done.transcripts[0]["error"]["message"].startswith(message)
    assert not any(character in done.stdout + done.stderr for character in "\x1b\u202e")


@pytest.mark.parametrize("era", ERAS)
def test_reason_precedes_what_the_server_lists(tmp_path: Path, era: str) -> None:
    """The error message begins with the reason, followed by a remark on the server's empty or broken list."""
    message = {"role": "user", "content": {"type": "text", "text": "hi"}}
    results: dict[str, tuple[Any, str]] = {
        "blocks": (
            {"messages": [message | {"content": [message["content"]]}]},
            "messages[0].content is a list, not an ",
        ),
        "words": ({"messages": [message | {"content": "hi"}]}, "messages[0].content is text, not an object"),
        "role": ({"messages": [message | {"role": "system"}]}, 'messages[0].role is "system", not user or assistant'),
        "none": ({"description": "x"}, "messages is missing"),
        "broken": (
            'error: {"code": -32603, "message": "no disk"}',
            "could not be loaded: no disk; the server lists no ",
        ),
        "unknown": ('error: {"code": -32602, "message": "What?"}', "could not be loaded: What?; the server lists no "),
        "odd": ('error: {"code": "x"}', "the server lists no prompts"),
        "list": ("[]", "could not be loaded: "),
        "x:number": ({"contents": [{"uri": "x:number", "text": 5}]}, "contents[0]: text is a number, not text"),
        "x:broken": (
            'error: {"code": -32603, "message": "no disk"}',
            "be read: no disk; the server lists no resources",
        ),
    }
    queries = (
        query(id=name, **({"resources": [name], "prompt": "x"} if ":" in name else {"server_prompt": name}))
        for name in results
    )
    file = canned_bytes.server_args(tmp_path, era, {name: result for name, (result, _) in results.items()})
    done = canned_bytes.played(tmp_path, file, "stdio", *queries)
    for one in done.transcripts:
        assert one["error"]["kind"] == "prompts"
        assert results[one["id"]][1] in one["error"]["message"]


@pytest.mark.parametrize("flag", ["--call-timeout", "--query-timeout"])
def test_timeouts_apply_to_server_prompts(tmp_path: Path, flag: str) -> None:
    """`--call-timeout` and `--query-timeout` end a `prompts/get` that hangs, and its event records the problem."""
    prompts = write_jsonl(tmp_path / "p.jsonl", query(server_prompt="x"))
    done = run_mcprun("batch", prompts, ODD, flag, "0.2", "--", "hangs", cwd=tmp_path)
    kind, problem = ("request_timeout", "timeout") if flag == "--call-timeout" else ("query_timeout", "cancelled")
    (transcript,) = done.transcripts
    assert (done.code, transcript["stop"], transcript["error"]["kind"]) == (3, "timeout", kind)
    expected = 'waiting for prompt "x" (for 0.' if flag == "--call-timeout" else 'in prompt "x" (`--query-timeout`)'
    assert expected in transcript["error"]["message"]
    assert [event["problem"] for event in done.trace if event["event"] == "prompt_get"] == [problem]


def test_prompt_that_kills_the_server_fails_only_its_query(tmp_path: Path) -> None:
    """A prompt that kills the server is retried on its own and ends as `server_died`; the other query passes."""
    deadly, other = query(server_prompt="deadly"), query(resources=["library://rules"], prompt="x")
    prompts = write_jsonl(tmp_path / "p.jsonl", deadly, {**other, "id": "other"})
    done = run_mcprun("batch", prompts, LIBRARY, cwd=tmp_path)
    assert (done.code, done.verdicts) == (3, {"q": "error", "other": "passed"})
    first = done.transcripts[0]
    assert (first["attempts"], first["turns"], first["stop"], first["error"]["kind"]) == (3, [], "error", "server_died")
    assert first["error"]["message"].startswith(
        'the connection to the server was lost during prompt "deadly"; its stderr ends: fatal: the roof fell in'
    )


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Record three queries against one version of the server, and return the run."""
    folder = tmp_path_factory.mktemp("quiet")
    prompts = write_jsonl(
        folder / "p.jsonl",
        query(server_prompt=BRIEF),
        {**query(resources=["library://rules"], prompt="Sum up."), "id": "rules"},
        {**query(server_prompt="lesson"), "id": "same"},
    )
    done = run_mcprun("batch", prompts, LIBRARY, cwd=folder)
    assert done.code == 0
    return done.run


def replay_loud(base: Path, tmp_path: Path, *args: str) -> Result:
    """Replay the run against another version of the server."""
    replay = ["--model", f"replay:{base}", "--out", "head"]
    return run_mcprun("batch", base.parents[1] / "p.jsonl", LIBRARY, *replay, *args, "--", "loud", cwd=tmp_path)


def test_changed_prompt_is_reported(tmp_path: Path, base: Path) -> None:
    """A changed prompt counts as diverged, and `diff` shows it, also against a slim baseline.

    `--ignore` and `--scrub` exclude it.
    """
    done = replay_loud(base, tmp_path)
    assert (done.code, done.record["counts"]["diverged"]) == (0, 2)
    assert [one["given"]["diverged"] for one in done.transcripts] == [True, True, False]
    assert [one["text"] for one in done.transcripts] == ["Done."] * 3
    expected = [
        "~ q passed",
        "prompt",
        "- messages[0].content[0].text: Write briefly about owls, in a dry tone, in a quiet room.",
        "+ messages[0].content[0].text: Write briefly about owls, in a dry tone, in a loud room.",
        "~ rules passed", "prompt", "messages[0].content[0].text:", "[resource library://rules]", "- Be quiet.", "+ Be loud.",
        "2 changed, 1 unchanged",
    ]  # fmt: skip
    run_mcprun("bless", base, "slim", "--slim", cwd=tmp_path)
    for run in (base, "slim"):
        diff = run_mcprun("diff", run, "head", cwd=tmp_path)
        assert (diff.code, squeezed(diff.stdout)) == (1, expected)
    assert run_mcprun("diff", base, "head", "--ignore", "messages[0].content", cwd=tmp_path).code == 0
    assert run_mcprun("diff", base, "head", "--scrub", "quiet|loud", cwd=tmp_path).code == 0
    page = run_mcprun("diff", base, "head", "--html", "d.html", cwd=tmp_path)
    assert page.code == 1
    assert "in a loud room" in (tmp_path / "d.html").read_text()


def test_repeats_with_a_changed_prompt_are_a_new_variant(tmp_path: Path) -> None:
    """With repeats, `diff` reports the changed prompt as a variant that BASE never had."""
    prompts = write_jsonl(tmp_path / "p.jsonl", query(server_prompt=BRIEF))
    for out, word in (("base", "quiet"), ("head", "loud")):
        run_mcprun("batch", prompts, LIBRARY, "--repeat", "2", "--out", out, "--", word, cwd=tmp_path)
    stdout = squeezed(run_mcprun("diff", "base", "head", cwd=tmp_path).stdout)
    assert stdout[:3] == ["~ q 2/2 passed", "new in 2 of 2 runs, for example repeat 1", "prompt"]


@pytest.mark.parametrize(("policy", "turns"), [("fail", 1), ("stop", 0)])
def test_on_divergence_applies_to_prompts(tmp_path: Path, base: Path, policy: str, turns: int) -> None:
    """A diverged prompt fails or stops its query by `--on-divergence`, and the transcript has the new text."""
    done = replay_loud(base, tmp_path, "--on-divergence", policy)
    first, _, same = done.transcripts
    assert (done.code, first["verdict"], len(first["turns"]), same["verdict"]) == (1, "failed", turns, "passed")
    assert first["checks"][-1]["message"] == (
        "the server's prompt or resources were recorded with 'Write briefly about owls, in a dry tone, in a quiet room.',"
        " got 'Write briefly about owls, in a dry tone, in a loud room.'"
    )
    assert message_texts(first)[0] == ("user", ["Write briefly about owls, in a dry tone, in a loud room."])


def test_scrubbed_or_redacted_prompts_do_not_diverge(tmp_path: Path, base: Path) -> None:
    """Text that `--scrub` or `--redact` replaces does not count as diverged."""
    assert replay_loud(base, tmp_path, "--scrub", "quiet|loud").record["counts"]["diverged"] == 0
    prompts = write_jsonl(tmp_path / "p.jsonl", query(server_prompt="lesson"))
    hidden = ["--redact", "text|easily"]
    run_mcprun("batch", prompts, LIBRARY, *hidden, "--out", "a", cwd=tmp_path)
    replayed = run_mcprun("batch", prompts, LIBRARY, *hidden, "--model", "replay:a", "--out", "b", cwd=tmp_path)
    assert (replayed.code, replayed.record["counts"]["diverged"]) == (0, 0)


def test_recording_with_other_arguments_is_not_replayed(tmp_path: Path, base: Path) -> None:
    """The prompt's arguments are part of the query: a replay with other arguments ends with `not_recorded`."""
    other = {**BRIEF, "arguments": {"topic": "cats"}}
    prompts = write_jsonl(tmp_path / "p.jsonl", query(server_prompt=other))
    done = run_mcprun("batch", prompts, LIBRARY, "--model", f"replay:{base}", cwd=tmp_path)
    assert (done.code, done.transcripts[0]["error"]["kind"]) == (3, "not_recorded")
    assert "q was recorded with another prompt" in done.transcripts[0]["error"]["message"]


def test_lone_surrogate_in_an_argument_is_refused(tmp_path: Path) -> None:
    """A lone surrogate in a prompt's argument is a bad line of the prompts file, and nothing runs."""
    server_input = {"server_prompt": {"name": "brief", "arguments": {"topic": "\ud800"}}}
    queries = (query(**server_input), {**query(prompt="Hello."), "id": "good"})
    done = run_mcprun("batch", write_jsonl(tmp_path / "p.jsonl", *queries), LIBRARY, cwd=tmp_path)
    content = "server_prompt.arguments.topic: has a lone surrogate, which UTF-8 cannot encode"
    assert (done.code, done.stderr) == (2, f"{tmp_path / 'p.jsonl'}:1: {content}\n")
