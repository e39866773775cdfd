"""Prompts and resources of the server open a query, as a user runs it."""

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
    """Make a query whose script says one word."""
    return {"id": "q", "script": [{"text": "Done."}], **more}


def played(tmp_path: Path, server: Path, *args: str, **more: Any) -> Result:
    """Run one query; `args` go to the server."""
    return run_mcprun("batch", write_jsonl(tmp_path / "p.jsonl", query(**more)), server, "--", *args, cwd=tmp_path)


def texts(transcript: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """Give the role of each message, and the texts in it."""
    items = [(message["role"], message["content"]) for message in transcript["messages"]]
    return [
        (role, [content] if isinstance(content, str) else [block.get("text", block["type"]) for block in content])
        for role, content in items
    ]


@pytest.mark.parametrize("protocol", ["legacy", "2026-07-28"])
def test_both_eras_give_prompts_and_resources(tmp_path: Path, protocol: str) -> None:
    """Resources come first, then the server's prompt, then the query's own; neighbours of a role are one message."""
    taken = {
        "resources": ["library://rules", "library://plan", "library://books/7"],
        "server_prompt": {"name": "lesson"},
    }
    prompts = write_jsonl(tmp_path / "p.jsonl", query(prompt="And 9 * 9?", **taken))
    done = run_mcprun("batch", prompts, LIBRARY, "--protocol", protocol, cwd=tmp_path)
    assert done.code == 0, done.stderr
    (transcript,) = done.transcripts
    assert texts(transcript) == [
        ("user", ["[resource library://rules]\nBe quiet.", "image", "[resource library://books/7]\nBook 7 is quiet.", "What is 2 + 2?"]),
        ("assistant", ["4.", "That was easy."]),
        ("user", ["Now a harder one.", "What is 7 * 8?", "And 9 * 9?"]),
        ("assistant", ["Done."]),
    ]  # fmt: skip
    assert transcript["given"] == {"messages": 3, "diverged": False}
    assert transcript["prompt"] == [
        *({"type": "resource", "uri": uri} for uri in taken["resources"]),
        {"type": "server_prompt", "name": "lesson", "arguments": {}},
        "And 9 * 9?",
    ]
    assert (len(transcript["turns"]), transcript["text"]) == (1, "Done.")


def test_a_server_prompt_needs_no_other(tmp_path: Path) -> None:
    """Its arguments go to the server, the events tell of it, and a made id does not change."""
    for _ in range(2):
        prompts = write_jsonl(tmp_path / "p.jsonl", {"server_prompt": BRIEF, "script": [{"text": "Owls."}]})
        done = run_mcprun("batch", prompts, LIBRARY, cwd=tmp_path)
    (transcript,) = done.transcripts
    assert texts(transcript)[0] == ("user", ["Write briefly about owls, in a dry tone, in a quiet room."])
    (event,) = [event for event in done.trace if event["event"] == "prompt_get"]
    assert event | {"at": "", "seconds": 0, "query": ""} == {
        "event": "prompt_get", "at": "", "query": "", "repeat": 1, "attempt": 1, "seconds": 0,
        "prompt": "brief", "arguments": {"topic": "owls"}, "server": 1, "log_offset": 0,
    }  # fmt: skip
    assert run_mcprun("batch", prompts, LIBRARY, "--model", "replay:latest", cwd=tmp_path).bytes == done.bytes


def test_several_prompts_follow_in_their_turns(tmp_path: Path) -> None:
    """Resources stand before the first of them, and a server's assistant may speak right before it."""
    taken = {"resources": ["library://rules"], "server_prompt": "unfinished", "prompts": ["a", "b"]}
    done = played(tmp_path, LIBRARY, **taken, script=[{"text": "One."}, {"text": "Two."}])
    (transcript,) = done.transcripts
    assert texts(transcript) == [
        ("user", ["[resource library://rules]\nBe quiet.", "Hello."]),
        ("assistant", ["Hello, what would you like?"]),
        ("user", ["a"]),
        ("assistant", ["One."]),
        ("user", ["b"]),
        ("assistant", ["Two."]),
    ]
    assert transcript["given"]["messages"] == 3


def test_the_api_is_sent_what_the_transcript_holds(tmp_path: Path) -> None:
    """The stub of the API, which refuses what the API would, takes it; the model's turn is told from the server's."""
    prompts = write_jsonl(tmp_path / "p.jsonl", {"id": "q", "server_prompt": "lesson"})
    with MessagesApi(lambda _: text("56.")) as api:
        env = {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": "sk-ant-test"}
        done = run_mcprun("batch", prompts, LIBRARY, cwd=tmp_path, env=env)
    (transcript,) = done.transcripts
    assert (done.code, transcript["text"]) == (0, "56.")
    assert [request.body["messages"] for request in api.requests] == [transcript["messages"][:-1]]
    shown = squeezed(run_mcprun("show", "latest", "q", cwd=tmp_path).stdout)
    assert [line.split()[0] for line in shown[1:7]] == ["user", "assistant", "assistant", "user", "user", "model"]


def test_a_judge_and_a_page_tell_the_turns_of_the_model(tmp_path: Path) -> None:
    """What the assistant says in a server's prompt is no turn: calls stand with the turn that made them."""
    turns = [{"calls": [{"tool": "echo", "input": {"text": "56"}}]}, {"text": "56"}]
    done = played(tmp_path, LIBRARY, server_prompt="lesson", script=turns)
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
def test_a_prompt_may_ask_before_it_is_given(tmp_path: Path, protocol: str) -> None:
    """The query's own answers are given, as to a call; what was asked stands in the transcript."""
    prompts = write_jsonl(tmp_path / "p.jsonl", query(server_prompt="ticket", elicit=["accept"]))
    done = run_mcprun("batch", prompts, LIBRARY, "--protocol", protocol, cwd=tmp_path)
    assert done.code == 0, done.stderr
    (transcript,) = done.transcripts
    assert texts(transcript)[0] == ("user", ["The ticket: accept."])
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
    """Run all queries for which the server does not give what they ask for."""
    folder = tmp_path_factory.mktemp("not-given")
    queries = ({**query(**more), "id": str(number)} for number, (more, _) in enumerate(UNAVAILABLE))
    return run_mcprun("batch", write_jsonl(folder / "p.jsonl", *queries), LIBRARY, cwd=folder)


@pytest.mark.parametrize("number", range(len(UNAVAILABLE)), ids=[str(more) for more, _ in UNAVAILABLE])
def test_what_the_server_does_not_give_is_an_error(unavailable: Result, number: int) -> None:
    """It has a kind, and says what there is; nothing was said to a model."""
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
def test_odd_servers_are_errors_of_the_query(tmp_path: Path, mode: str, more: dict[str, Any], message: str) -> None:
    """Whatever a server answers, its words reach the terminal only with their controls made visible."""
    done = played(tmp_path, ODD, mode, **more)
    assert (done.code, done.transcripts[0]["error"]["kind"]) == (3, "prompts")
    assert done.transcripts[0]["error"]["message"].startswith(message)
    assert not any(character in done.stdout + done.stderr for character in "\x1b\u202e")


@pytest.mark.parametrize("era", ERAS)
def test_a_server_that_lists_nothing_still_says_why(tmp_path: Path, era: str) -> None:
    """The reason comes first, whatever it is; what the list says of it stands behind."""
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
def test_a_server_that_does_not_answer_is_not_waited_for(tmp_path: Path, flag: str) -> None:
    """The time of a call bounds it, and that of the query; the event tells how it ended."""
    prompts = write_jsonl(tmp_path / "p.jsonl", query(server_prompt="x"))
    done = run_mcprun("batch", prompts, ODD, flag, "0.2", "--", "hangs", cwd=tmp_path)
    kind, problem = ("request_timeout", "timeout") if flag == "--call-timeout" else ("query_timeout", "cancelled")
    (transcript,) = done.transcripts
    assert (done.code, transcript["stop"], transcript["error"]["kind"]) == (3, "timeout", kind)
    assert 'waiting for prompt "x" (for 0.' in transcript["error"]["message"]
    assert [event["problem"] for event in done.trace if event["event"] == "prompt_get"] == [problem]


def test_a_dead_server_takes_no_other_query_down(tmp_path: Path) -> None:
    """A prompt that kills it is tried again alone, and ends as `server_died`; another query passes."""
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
    """Record three queries against one version of the server; give the run."""
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


def replayed(base: Path, tmp_path: Path, *args: str) -> Result:
    """Play the run back against another version of the server."""
    replay = ["--model", f"replay:{base}", "--out", "head"]
    return run_mcprun("batch", base.parents[1] / "p.jsonl", LIBRARY, *replay, *args, "--", "loud", cwd=tmp_path)


def test_a_changed_prompt_is_told(tmp_path: Path, base: Path) -> None:
    """By `diff`, of a slim baseline as well, by the count of what diverged, and not where it is ignored."""
    done = replayed(base, tmp_path)
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
        again = run_mcprun("diff", run, "head", cwd=tmp_path)
        assert (again.code, squeezed(again.stdout)) == (1, expected)
    assert run_mcprun("diff", base, "head", "--ignore", "messages[0].content", cwd=tmp_path).code == 0
    assert run_mcprun("diff", base, "head", "--scrub", "quiet|loud", cwd=tmp_path).code == 0
    page = run_mcprun("diff", base, "head", "--html", "d.html", cwd=tmp_path)
    assert page.code == 1
    assert "in a loud room" in (tmp_path / "d.html").read_text()


def test_repeats_with_a_changed_prompt_go_another_way(tmp_path: Path) -> None:
    """All repeats of HEAD are a variant that BASE never had."""
    prompts = write_jsonl(tmp_path / "p.jsonl", query(server_prompt=BRIEF))
    for out, word in (("base", "quiet"), ("head", "loud")):
        run_mcprun("batch", prompts, LIBRARY, "--repeat", "2", "--out", out, "--", word, cwd=tmp_path)
    stdout = squeezed(run_mcprun("diff", "base", "head", cwd=tmp_path).stdout)
    assert stdout[:3] == ["~ q 2/2 passed", "new in 2 of 2 runs, for example repeat 1", "prompt"]


@pytest.mark.parametrize(("policy", "turns"), [("fail", 1), ("stop", 0)])
def test_a_diverged_prompt_fails_or_stops(tmp_path: Path, base: Path, policy: str, turns: int) -> None:
    """As a diverged call does; what the server gives now stands in the transcript."""
    done = replayed(base, tmp_path, "--on-divergence", policy)
    first, _, same = done.transcripts
    assert (done.code, first["verdict"], len(first["turns"]), same["verdict"]) == (1, "failed", turns, "passed")
    assert first["checks"][-1]["message"] == (
        "the server's prompt or resources were recorded with 'Write briefly about owls, in a dry tone, in a quiet room.',"
        " got 'Write briefly about owls, in a dry tone, in a loud room.'"
    )
    assert texts(first)[0] == ("user", ["Write briefly about owls, in a dry tone, in a loud room."])


def test_scrubbed_prompts_and_secrets_do_not_diverge(tmp_path: Path, base: Path) -> None:
    """What is taken out of a recording differs from nothing: neither by `--scrub` nor by `--redact`."""
    assert replayed(base, tmp_path, "--scrub", "quiet|loud").record["counts"]["diverged"] == 0
    prompts = write_jsonl(tmp_path / "p.jsonl", query(server_prompt="lesson"))
    hidden = ["--redact", "text|easily"]
    run_mcprun("batch", prompts, LIBRARY, *hidden, "--out", "a", cwd=tmp_path)
    again = run_mcprun("batch", prompts, LIBRARY, *hidden, "--model", "replay:a", "--out", "b", cwd=tmp_path)
    assert (again.code, again.record["counts"]["diverged"]) == (0, 0)


def test_a_recording_of_other_arguments_is_not_played(tmp_path: Path, base: Path) -> None:
    """What is taken from the server is a part of the prompt: with another one, nothing was recorded."""
    other = {**BRIEF, "arguments": {"topic": "cats"}}
    prompts = write_jsonl(tmp_path / "p.jsonl", query(server_prompt=other))
    done = run_mcprun("batch", prompts, LIBRARY, "--model", f"replay:{base}", cwd=tmp_path)
    assert (done.code, done.transcripts[0]["error"]["kind"]) == (3, "not_recorded")
    assert "q was recorded with another prompt" in done.transcripts[0]["error"]["message"]


def test_arguments_that_can_not_be_sent(tmp_path: Path) -> None:
    """Half of a surrogate pair in an argument is a bad line of the prompts file: nothing is run."""
    asked = {"server_prompt": {"name": "brief", "arguments": {"topic": "\ud800"}}}
    queries = (query(**asked), {**query(prompt="Hello."), "id": "good"})
    done = run_mcprun("batch", write_jsonl(tmp_path / "p.jsonl", *queries), LIBRARY, cwd=tmp_path)
    content = "server_prompt.arguments.topic: has a lone surrogate, which UTF-8 cannot encode"
    assert (done.code, done.stderr) == (2, f"{tmp_path / 'p.jsonl'}:1: {content}\n")
