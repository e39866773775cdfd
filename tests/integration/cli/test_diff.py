"""`mcprun diff` as a user runs it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcprun.analysis.diff.scrub import SCRUBS, Scrubber
from mcprun.analysis.diff.transcripts import ASPECTS
from mcprun.errors import UsageError
from mcprun.report.diff import leaves
from tests.support.cli import EXAMPLE_SERVERS, Result, run_mcprun, write_jsonl
from tests.support.examples import examples
from tests.support.json_strategies import JSON
from tests.support.shop import REGRESSION, good, recorded
from tests.support.transcripts import EXAMPLES, call, changes, transcript

__all__ = ["good", "recorded"]

ALL = frozenset(ASPECTS)


def test_our_own_keys_are_never_scrubbed() -> None:
    """A pattern that matches the word `result` renames no part of a transcript."""
    base, head = (transcript(calls=[call("a", structured={"result": "x", "n": n})]) for n in (1, 2))
    scrubber = Scrubber.of(["calls|tool|input|result|is_error"])
    (change,) = changes(base, head, *ALL, scrubber=scrubber)
    assert change.what == "result"
    assert [(path, before, after) for path, before, after in leaves(change.before, change.after)] == [
        ("structured.n", 1, 2)
    ]


@given(JSON, st.sampled_from(sorted(SCRUBS)), st.data())
@settings(max_examples=examples(200))
def test_what_is_scrubbed_never_shows_and_the_rest_does(value: Any, name: str, data: st.DataObject) -> None:
    """By name and by pattern, wherever it stands in whatever values; a second difference beside it shows."""
    one, other = (data.draw(st.sampled_from(EXAMPLES[name][:2])) for _ in range(2))
    odd, even = (f"run-{data.draw(st.integers(0, 999))}!" for _ in range(2))

    def made(known: str, own: str, kept: str) -> dict[str, Any]:
        return transcript(
            calls=[call("a", f"at {known}, {own}", {"value": value, "deep": [{"at": known}], "kept": kept}, x=own)],
            text=f"{own} at ({known})",
        )

    scrubber = Scrubber.of([name, r"run-\d+"])
    assert changes(made(one, odd, "k"), made(other, even, "k"), *ASPECTS, scrubber=scrubber) == []
    (change,) = changes(made(one, odd, "k"), made(other, even, "l"), *ASPECTS, scrubber=scrubber)
    assert (change.what, [path for path, _, _ in leaves(change.before, change.after)]) == (
        "result",
        ["structured.kept"],
    )
    if odd != even:
        assert changes(made(one, odd, "k"), made(one, even, "k"), *ASPECTS, scrubber=Scrubber.of([name]))


@pytest.mark.parametrize("scrub", ["(", "a*"])
def test_scrubs_that_can_not_be_meant(scrub: str) -> None:
    """A pattern that is none, and one that fits everywhere, are refused."""
    with pytest.raises(UsageError):
        Scrubber.of([scrub])


@pytest.mark.parametrize(
    ("scrub", "name"),
    [("uuids", "uuid"), ("UUID", "uuid"), ("timestamps", "timestamp"), ("temp", "tmp"), ("guid", "uuid")],
)
def test_a_mistyped_name_is_no_pattern(scrub: str, name: str) -> None:
    """What is all but a name is not silently taken for a regular expression; written as one, it is."""
    with pytest.raises(UsageError, match=f"^--scrub '{scrub}' is not known; did you mean {name}\\? "):
        Scrubber.of([scrub])
    for pattern in (f"({scrub})", "secret", "today"):
        assert Scrubber.of([pattern]).clean(f"{scrub} secret today") != f"{scrub} secret today"


# The command. --------------------------------------------------------------------------------------------


def replayed(folder: Path, version: str) -> Result:
    """Replay the good run against another version of the shop."""
    server = EXAMPLE_SERVERS / f"shop_{version}.py"
    return run_mcprun(
        "batch", REGRESSION / "regression.jsonl", server, "--model", "replay:good", "--out", version, cwd=folder
    )


def test_a_changed_result(tmp_path: Path, good: Result) -> None:
    """Everything passes, and the comparison shows what no check had looked at."""
    assert replayed(tmp_path, "free_shipping").code == 0
    done = run_mcprun("diff", "good", "free_shipping", cwd=tmp_path)
    assert (done.code, done.stdout.splitlines()) == (
        1,
        [
            "~ small-basket  passed",
            '    call 0  total{items: {"apple": 2, "milk": 1}}',
            "      - shipping: 2.5",
            "      + shipping: 0.0",
            "1 changed, 2 unchanged",
        ],
    )
    ignored = run_mcprun("diff", "good", "free_shipping", "--ignore", "calls[*].result.shipping", cwd=tmp_path)
    assert (ignored.code, ignored.stdout) == (0, "3 unchanged\n")
    assert run_mcprun("diff", "good", "free_shipping", "--only", "verdict", cwd=tmp_path).code == 0


def test_a_renamed_tool(tmp_path: Path, good: Result) -> None:
    """The query fails, and the comparison says which call, and what became of the tools."""
    assert replayed(tmp_path, "renamed").code == 1
    done = run_mcprun("diff", "good", "renamed", cwd=tmp_path)
    assert (done.code, done.stdout.splitlines()) == (
        1,
        [
            "~ apple  passed → failed",
            '    call 0  price{item: "apple"}',
            "      - 0.5",
            "      + error: Unknown tool: price",
            "~ server tools",
            "    ✗ price  removed, probably renamed to unit_price",
            "1 changed, 2 unchanged; 1 breaking tool change",
        ],
    )


def test_tools_that_no_query_calls(tmp_path: Path, good: Result) -> None:
    """What breaks those who call them counts, in all forms, unless something else is asked for; the rest is told."""
    shutil.copytree(good.run, tmp_path / "head")
    record = good.record
    price, total = record["server"]["tools"]
    total["description"] = "Sum up a basket."
    (tmp_path / "head" / "run.json").write_text(json.dumps(record))
    harmless = run_mcprun("diff", "good", "head", cwd=tmp_path)
    assert (harmless.code, harmless.stdout.splitlines()[0]) == (0, "~ server tools")
    assert "    ~ total  description: " in harmless.stdout
    price["inputSchema"]["properties"]["item"]["maxLength"] = 5
    (tmp_path / "head" / "run.json").write_text(json.dumps(record))
    breaking = run_mcprun("diff", "good", "head", cwd=tmp_path)
    message = "    ✗ price  input.item: maxLength none → 5"
    assert (breaking.code, message in breaking.stdout.splitlines()) == (1, True)
    assert breaking.stdout.endswith("3 unchanged; 1 breaking tool change\n")
    tools, totals = map(json.loads, run_mcprun("diff", "good", "head", "--json", cwd=tmp_path).stdout.splitlines())
    assert [change["breaking"] for change in tools["tools"]] == [True, False]
    assert (totals["totals"]["breaking"], totals["totals"]["regressions"]) == (1, 1)
    page = run_mcprun("diff", "good", "head", "--markdown", cwd=tmp_path).stdout
    assert "<code>~ server tools</code>" in page
    assert "✗ price  input.item: maxLength none → 5" in page
    assert run_mcprun("diff", "good", "head", "--only", "verdict", cwd=tmp_path).stdout == "3 unchanged\n"
    files = run_mcprun("diff", "good/transcripts.jsonl", "head", cwd=tmp_path)
    assert (files.code, files.stdout) == (0, "3 unchanged\n")
    args = ("batch", REGRESSION / "regression.jsonl", EXAMPLE_SERVERS / "shop.py", "--model", "replay:good")
    assert run_mcprun(*args, "--baseline", "head", cwd=tmp_path).code == 0  # it takes more than the baseline does
    assert run_mcprun(*args, "--baseline", "good", cwd=tmp_path).code == 0


def test_the_same_run_and_files_of_it(tmp_path: Path, good: Result) -> None:
    """A run may be given by its folder or its file, and HEAD is the latest run when it is left out."""
    shutil.copytree(good.run, tmp_path / "copy")
    for args in (["copy", "good"], ["copy"], ["copy/transcripts.jsonl", "latest"], ["good/transcripts.jsonl", "copy"]):
        done = run_mcprun("diff", *args, cwd=tmp_path)
        assert (done.code, done.stdout) == (0, "3 unchanged\n")


@pytest.mark.parametrize("args", [["latest"], ["good"], ["good", "latest"], ["good", "good/transcripts.jsonl"]])
def test_a_run_is_not_compared_with_itself(tmp_path: Path, good: Result, args: list[str]) -> None:
    """That nothing differs then means nothing: it says what to give in place of it."""
    done = run_mcprun("diff", *args, cwd=tmp_path)
    message = f"Error: BASE ({args[0]}) and HEAD ({args[-1] if args[1:] else 'latest'}) are the same run"
    assert (done.code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{message}: pass another BASE, such as a baseline or an earlier run in outputs/")


def test_forms_for_programs(tmp_path: Path, good: Result) -> None:
    """JSON lines with totals last, and Markdown whose text stays text."""
    bad = good.transcripts
    bad[0]["calls"][0]["structured"] = None
    bad[0]["calls"][0]["content"] = [{"type": "text", "text": "``` <script>alert(1)</script>\x1b[31m\nline"}]
    bad[1]["id"] = "<b>new</b>"
    write_jsonl(tmp_path / "bad.jsonl", *bad)
    done = run_mcprun("diff", "good", "bad.jsonl", "--json", cwd=tmp_path)
    *diffs, totals = map(json.loads, done.stdout.splitlines())
    counts = {
        "same": 1,
        "changed": 1,
        "added": 1,
        "removed": 1,
        "regressions": 2,
        "chance": 0,
        "fewer": 0,
        "breaking": 0,
    }
    assert (done.code, totals) == (1, {"totals": counts})
    assert [(diff["id"], diff["how"]) for diff in diffs] == [
        ("apple", "changed"), ("small-basket", "removed"), ("<b>new</b>", "added")
    ]  # fmt: skip
    done = run_mcprun("diff", "good", "bad.jsonl", "--markdown", cwd=tmp_path)
    assert done.stdout.startswith("**The runs differ**: 1 changed, 1 added, 1 removed, 1 unchanged.\n")
    assert "<code>+ &lt;b&gt;new&lt;/b&gt;  passed  only in HEAD</code>" in done.stdout
    assert "````diff\n" in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nope", "good"], "there is no run at nope"),
        (["good", "odd.jsonl"], "Error: HEAD has a line that is not a transcript: it has no 'repeat'"),
        (["list.jsonl", "good"], "Error: BASE has a line that is not a transcript: it is not an object"),
        (["good", "p.txt"], "Error: HEAD has a line that is not a transcript: it is not JSON: Expecting value"),
        (["good", "calls.jsonl"], "HEAD has a line that is not a transcript: its 'calls' has the wrong type"),
        (["good", "call.jsonl"], "HEAD has a line that is not a transcript: one of its 'calls' is not a call"),
        (["good", "error.jsonl"], "HEAD has a line that is not a transcript: its 'error' has the wrong type"),
        (["id.jsonl", "good"], "BASE has a line that is not a transcript: its 'id' has the wrong type"),
        (["p.txt", "good"], "BASE has a line that is not a transcript: it is not JSON"),
        (["deep.txt", "good"], "BASE has a line that is not a transcript: it is nested too deeply"),
        (["empty.jsonl", "none.jsonl"], "neither BASE nor HEAD has a transcript"),
        (["twice.jsonl", "good"], "BASE has two transcripts of 'q', repeat 1"),
        (["good", "good", "--alpha", "nan"], "must be a number above 0 and at most 1, not nan"),
        (["good", "good", "--ignore", "a["], "--ignore 'a[' is not a path"),
        (["good", "good", "--scrub", "uuids"], "did you mean uuid? To use it as a regular expression, write (uuids)"),
        (["good", "good", "--json", "--markdown"], "--json and --markdown can't be combined"),
        (["good", "good", "--only", "nope"], "'nope' is not one of"),
    ],
)
def test_what_can_not_be_compared(tmp_path: Path, good: Result, args: list[str], message: str) -> None:
    """Exit 2, and one message."""
    write_jsonl(tmp_path / "odd.jsonl", {"id": "a"})
    write_jsonl(tmp_path / "list.jsonl", [])
    (tmp_path / "p.txt").write_text("no JSON at all\n")
    (tmp_path / "deep.txt").write_text("[" * 100_000 + "\n")
    odd: dict[str, dict[str, Any]] = {
        "calls": {"calls": 5},
        "call": {"calls": [{"tool": "a"}]},
        "error": {"error": "boom"},
        "id": {"id": []},
    }
    for name, more in odd.items():
        write_jsonl(tmp_path / f"{name}.jsonl", transcript(**more))
    write_jsonl(tmp_path / "empty.jsonl")
    write_jsonl(tmp_path / "none.jsonl")
    write_jsonl(tmp_path / "twice.jsonl", transcript(), transcript(), transcript(id="r"), transcript(id="s"))
    done = run_mcprun("diff", *args, cwd=tmp_path)
    assert (done.code, message in done.stderr) == (2, True)
