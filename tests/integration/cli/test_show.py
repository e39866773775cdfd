"""`mcprun show`: a run or a conversation in the terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.cli import QUICKSTART, RAW, SERVERS, run_mcprun, script, squeezed, write_jsonl
from tests.support.junit_files import run_mixed
from tests.support.runs import call, event, transcript, write_run


@pytest.fixture(scope="module")
def quickstart_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the quickstart once, and return the folder it quickstart_folder in."""
    folder = tmp_path_factory.mktemp("ran")
    assert run_mcprun("batch", *QUICKSTART, cwd=folder).code == 0
    return folder


def test_show_lists_the_queries(quickstart_folder: Path) -> None:
    """Without a run, `show` lists the queries of the latest run."""
    done = run_mcprun("show", cwd=quickstart_folder)
    assert (done.code, done.stderr) == (0, "")
    assert squeezed(done.stdout)[1:7] == [
        "passed add 2 turns 1 call What is 2 + 3?",
        "passed add-twice 2 turns 2 calls What is 1.5 + 2, and what is 10 + 20?",
        "passed divide 2 turns 1 call Share 12 apples among 4 children.",
        "passed divide-by-zero 2 turns 1 call Share 12 apples among no children.",
        "passed note 3 turns 2 calls Keep a note titled 'Shopping list' that says 'milk', then read it back to me.",
        "passed two-questions 4 turns 2 calls What is 7 + 8?",
    ]


def test_show_prints_a_conversation(quickstart_folder: Path) -> None:
    """With a query, `show` prints its messages, its calls with their results, and its checks."""
    done = run_mcprun("show", "latest", "two-questions", cwd=quickstart_folder)
    assert done.code == 0
    assert squeezed(done.stdout) == [
        "passed two-questions script",
        "user What is 7 + 8?",
        "call 0 add{a: 7, b: 8}",
        "→ 15.0",
        "model 15.",
        "user And half of that?",
        "call 1 divide{a: 15, b: 2}",
        "→ 7.5",
        "model 7.5.",
        "checks ✓ ended, tool_errors, calls, text.contains",
    ]


def test_show_prints_the_timeline_of_a_query(tmp_path: Path) -> None:
    """With `--trace`, the conversation is followed by its spans, with waiting and idle time, and what is not listed."""
    calls_made = (call("price", "0.5"), call("\x1b[2Jstock", "none", is_error=True))
    one = transcript("slow", *calls_made)
    where = {"query": "slow"}
    trace = [
        event("run_start", 0, queries=1, done=0),
        event("model_call", 9000, query="slow", turn=0, seconds=9.0, model="m"),
        event("run_start", 10_000, queries=1, done=0),
        event("model_call", 12_000, **where, turn=0, seconds=1.0, model="m"),
        event("retry", 11_200, **where, turn=0, tried=1, error="throttled", wait=0.5),
        event("tool_call", 12_500, **where, turn=0, seconds=0.5, call=0, tool="price"),
        event("tool_call", 12_300, **where, turn=0, seconds=0.3, call=1, tool="\x1b[2Jstock", is_error=True),
        event("model_call", 14_000, **where, turn=1, seconds=0.9, model="m"),
        event("attempt_end", 14_000, **where, seconds=4.0, waited=1.5, stop="end_turn"),
        event("query_end", 14_000, **where, seconds=4.0, verdict="passed"),
    ]
    write_run(tmp_path / "run", [one], trace)
    done = run_mcprun("show", "run", "slow", "--trace", cwd=tmp_path)
    assert (done.code, done.stderr) == (0, "")
    assert squeezed(done.stdout)[-10:] == [
        "4 s: model 1.4 s, calls 500 ms, waiting 1.5 s, idle 600 ms",
        "starts at took",
        "0 ms 4 s attempt 1",
        "0 ms 1 s wait for a server",
        "1 s 1 s turn 0",
        "1.2 s 500 ms wait before a retry ✗ throttled",
        "2 s 500 ms call 0 price",
        r"2 s 300 ms call 1 \x1b[2Jstock ✗ returned an error",
        "2.5 s 600 ms idle",
        "3.1 s 900 ms turn 1",
    ]


def test_a_run_without_a_trace_has_no_timeline(tmp_path: Path) -> None:
    """Baselines keep no trace: `--trace` says so, and prints nothing else."""
    write_run(tmp_path / "run", [transcript("a")])
    done = run_mcprun("show", "run", "a", "--trace", cwd=tmp_path)
    assert (done.code, done.stdout, done.stderr) == (2, "", "Error: run has no trace of 'a'\n")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ("nope",),
            "Error: there is no run at nope or outputs/nope; list the runs with mcprun runs, or make one with mcprun batch\n",
        ),
        (("lastest",), "there is no run at lastest or outputs/lastest; did you mean latest?\n"),
        (("latest", "add-twyce"), "has no query 'add-twyce'; did you mean 'add-twice'?\n"),
        (("latest", "zzz"), "has no query 'zzz'; list them with: mcprun show latest --all\n"),
        (("latest", "--trace"), "Error: --trace needs a QUERY: mcprun show RUN QUERY --trace\n"),
    ],
)
def test_show_reports_an_unknown_run_or_query(quickstart_folder: Path, args: tuple[str, ...], message: str) -> None:
    """An unknown run or query exits with 2 and one message."""
    done = run_mcprun("show", *args, cwd=quickstart_folder)
    assert (done.code, done.stdout) == (2, "")
    assert done.stderr.endswith(message)


def test_control_characters_and_markup_are_escaped(tmp_path: Path) -> None:
    """Escape sequences, bidi marks and markup in ids, results and texts are printed as visible text."""
    evil = "\x1b[2J\x1b]0;title\x07[red]red[/red] \u202etxt.exe\r\x9b1m"
    query = {"id": "evil", "prompt": evil, "script": [{"calls": [{"tool": "echo", "input": {"text": evil}}]}, {"text": evil}],
             "expect": {"text": {"contains": "nice"}}}  # fmt: skip
    prompts = write_jsonl(tmp_path / "p.jsonl", query)
    done = run_mcprun("batch", prompts, SERVERS / "kinds.py", cwd=tmp_path)
    assert done.transcripts[0]["calls"][0]["content"][0]["text"] == evil
    shown = [run_mcprun("show", cwd=tmp_path).stdout, run_mcprun("show", "latest", "evil", cwd=tmp_path).stdout]
    for text in (done.stdout, done.stderr, *shown):
        assert not any(character in text for character in "\x1b\x07\x9b\u202e\r")
    assert r"\x1b[2J\x1b]0;title\x07[red]red[/red] \u202etxt.exe" in "".join(shown)


def test_a_damaged_transcript_is_one_message(quickstart_folder: Path) -> None:
    """A line that is not a transcript exits with 2 and one message that names the file, without a traceback."""
    run = quickstart_folder / "damaged"
    run.mkdir()
    (run / "run.json").write_bytes((quickstart_folder / "outputs" / "latest" / "run.json").read_bytes())
    (run / "transcripts.jsonl").write_text(json.dumps({"id": 1}) + "\n")
    done = run_mcprun("show", "damaged", cwd=quickstart_folder)
    assert done.code == 2
    assert done.stderr.startswith("Error: damaged/transcripts.jsonl has a line that is not a transcript: ")
    assert len(done.stderr.splitlines()) == 1


def test_a_red_run_lists_its_errors_and_failures_first(tmp_path: Path) -> None:
    """Passed queries are only counted, each cause has a line of its own, and the causes of the run come last."""
    run_mixed(tmp_path)
    done = run_mcprun("show", cwd=tmp_path)
    assert (done.code, done.stderr) == (0, "")
    lines = squeezed(done.stdout)[1:]
    assert [line.split()[:2] for line in lines if line.startswith(("error ", "failed "))] == [
        ["error", "kills"],
        ["failed", "fails"],
    ]
    assert lines[1].startswith("server_died: ")
    assert lines[3:6] == [
        "call 0: expected no call to ok, got ok{}",
        "expected text with '6', got 'Done.'",
        "1 passed (--all lists them)",
    ]
    end = lines[lines.index("Why it is red") + 1 :]
    assert end[:2] == ["● 1 × call 0: expected no call to ok, got ok{}", "fails"]


def test_a_red_run_lists_regressions_after_failures(tmp_path: Path) -> None:
    """A query whose result is another one follows the one that fails, although it comes first in the file."""
    queries = script(("get_order", {"order": "A-1"}), id="other"), script(("list_stores", {"city": "X"}), id="fails")
    batch = ("batch", write_jsonl(tmp_path / "p.jsonl", *queries), SERVERS / "orders.py")
    assert run_mcprun(*batch, "--out", "base", cwd=tmp_path).code == 0
    assert run_mcprun(*batch, "--baseline", "base", "--", "changed", cwd=tmp_path).code == 1
    done = run_mcprun("show", "--failed", cwd=tmp_path)
    listed = [line.split()[:2] for line in done.stdout.splitlines() if line.startswith(("failed ", "regressed "))]
    assert listed == [["failed", "fails"], ["regressed", "other"]]
    assert "\n\nWhy it is red\n● breaking tool change: " in done.stdout
    assert '● 1 × regressed: call 0 get_order{order: "A-1"}: state: shipped → in_transit\n' in done.stdout
    assert done.stdout.splitlines()[-2].endswith(" fails")


def test_a_server_that_does_not_start_is_shown_with_its_arguments(tmp_path: Path) -> None:
    """The next command starts the same version of the server, and the reason is printed once."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script(id="q"))
    done = run_mcprun("batch", prompts, SERVERS / "orders.py", "--", "dead", cwd=tmp_path)
    assert done.code == 3
    assert f"\nNext: mcprun tools {SERVERS / 'orders.py'} -- dead\n" in done.stdout
    assert done.stdout.count("the server exited before it responded") == 1


@pytest.mark.parametrize(
    ("flag", "listed"), [("--failed", ["kills", "fails"]), ("--all", ["kills", "fails", "passes"])]
)
def test_failed_and_all_choose_the_queries(tmp_path: Path, flag: str, listed: list[str]) -> None:
    """`--failed` lists red queries only, `--all` those that passed too."""
    run_mixed(tmp_path)
    lines = squeezed(run_mcprun("show", "latest", flag, cwd=tmp_path).stdout)
    found = [line.split()[1] for line in lines if line.startswith(("error ", "failed ", "passed ")) and " turn" in line]
    assert found[: len(listed)] == listed


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("latest", "add", "--failed"), "--failed lists queries, and can't be combined with a QUERY"),
        (("latest", "--failed", "--all"), "--failed and --all can't be combined"),
    ],
)
def test_lists_and_conversations_are_different_requests(
    quickstart_folder: Path, args: tuple[str, ...], message: str
) -> None:
    """Options about a list are refused beside a query, and so are both of them together."""
    done = run_mcprun("show", *args, cwd=quickstart_folder)
    assert done.code == 2
    assert message in done.stderr


def test_a_red_query_is_shown_with_the_commands_that_reproduce_it(tmp_path: Path) -> None:
    """They follow the conversation, and also its Markdown, which has the server's log as well."""
    write_jsonl(
        tmp_path / "p.jsonl",
        script(("ok", {}), id="bad", expect={"text": {"contains": "6"}}),
        script(("ok", {}), id="good"),
    )
    done = run_mcprun("batch", "p.jsonl", RAW, "--out", "r", "--max-turns", "5", cwd=tmp_path)
    assert done.code == 1
    commands = [f"mcprun batch p.jsonl {RAW} --model script --max-turns 5 --filter bad", "mcprun show r bad"]
    shown = run_mcprun("show", "r", "bad", cwd=tmp_path)
    assert shown.stdout.splitlines()[-3:] == ["Reproduce:", *(f"  {command}" for command in commands)]
    assert "Reproduce" not in run_mcprun("show", "r", "good", cwd=tmp_path).stdout
    text = run_mcprun("show", "r", "bad", "--markdown", cwd=tmp_path).stdout
    assert text.startswith("# mcprun: `bad` failed\n")
    assert "\n".join(["```sh", *commands, "```"]) in text


def test_markdown_needs_a_query(tmp_path: Path) -> None:
    """A run's Markdown is a report."""
    write_jsonl(tmp_path / "p.jsonl", script())
    run_mcprun("batch", "p.jsonl", RAW, "--out", "r", cwd=tmp_path)
    failed = run_mcprun("show", "r", "--markdown", cwd=tmp_path)
    assert (failed.code, "mcprun report --markdown -" in failed.stderr) == (2, True)
