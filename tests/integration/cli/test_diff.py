"""`mcprun diff`: scrubbing, output formats and exit codes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcprun.analysis.diff.forms import SCRUBS
from mcprun.analysis.diff.scrub import Scrubber
from mcprun.analysis.diff.transcripts import ASPECTS
from mcprun.analysis.diff.values import value_differences
from mcprun.errors import UsageError
from tests.support.cli import EXAMPLE_SERVERS, Result, run_mcprun, script, write_jsonl
from tests.support.examples import examples
from tests.support.json_strategies import JSON
from tests.support.shop import REGRESSION, good, recorded
from tests.support.transcripts import EXAMPLES, call, changes, transcript

__all__ = ["good", "recorded"]

ALL = frozenset(ASPECTS)


def test_keys_of_a_transcript_are_never_scrubbed() -> None:
    """A pattern that matches `result` does not change the keys of a transcript."""
    base, head = (transcript(calls=[call("a", structured={"result": "x", "n": n})]) for n in (1, 2))
    scrubber = Scrubber.of(["calls|tool|input|result|is_error"])
    (change,) = changes(base, head, *ALL, scrubber=scrubber)
    assert change.what == "result"
    assert [(place.path, place.before, place.after) for place in value_differences(change.before, change.after)] == [
        ("structured.n", 1, 2)
    ]


@given(JSON, st.sampled_from(sorted(SCRUBS)), st.data())
@settings(max_examples=examples(200))
def test_scrubbed_values_never_differ_and_other_values_do(value: Any, name: str, data: st.DataObject) -> None:
    """Values that match a scrub, by name or by pattern, never differ, wherever they are.

    Another difference beside them is found.
    """
    one, other = (data.draw(st.sampled_from(EXAMPLES[name][:2])) for _ in range(2))
    odd, even = (f"run-{data.draw(st.integers(0, 999))}!" for _ in range(2))

    def build_transcript(known: str, own: str, rest: str) -> dict[str, Any]:
        return transcript(
            calls=[call("a", f"at {known}, {own}", {"value": value, "deep": [{"at": known}], "kept": rest}, x=own)],
            text=f"{own} at ({known})",
        )

    scrubber = Scrubber.of([name, r"run-\d+"])
    assert (
        changes(build_transcript(one, odd, "k"), build_transcript(other, even, "k"), *ASPECTS, scrubber=scrubber) == []
    )
    (change,) = changes(
        build_transcript(one, odd, "k"), build_transcript(other, even, "l"), *ASPECTS, scrubber=scrubber
    )
    assert (change.what, [place.path for place in value_differences(change.before, change.after)]) == (
        "result",
        ["structured.kept"],
    )
    if odd != even:
        assert changes(
            build_transcript(one, odd, "k"), build_transcript(one, even, "k"), *ASPECTS, scrubber=Scrubber.of([name])
        )


@pytest.mark.parametrize("scrub", ["(", "a*"])
def test_invalid_scrub_patterns_are_refused(scrub: str) -> None:
    """An invalid pattern, and one that matches the empty string, are usage errors."""
    with pytest.raises(UsageError):
        Scrubber.of([scrub])


@pytest.mark.parametrize(
    ("scrub", "name"),
    [("uuids", "uuid"), ("UUID", "uuid"), ("timestamps", "timestamp"), ("temp", "tmp"), ("guid", "uuid")],
)
def test_a_misspelt_scrub_name_is_not_a_pattern(scrub: str, name: str) -> None:
    """A value that resembles the name of a scrub is a usage error that suggests the name.

    In parentheses, it is a regular expression.
    """
    with pytest.raises(UsageError, match=f"^--scrub '{scrub}' is not known; did you mean {name}\\? "):
        Scrubber.of([scrub])
    for pattern in (f"({scrub})", "secret", "today"):
        assert Scrubber.of([pattern]).clean(f"{scrub} secret today") != f"{scrub} secret today"


def replay_good_run(folder: Path, version: str) -> Result:
    """Replay the good run against another version of the shop."""
    server = EXAMPLE_SERVERS / f"shop_{version}.py"
    return run_mcprun(
        "batch", REGRESSION / "regression.jsonl", server, "--model", "replay:good", "--out", version, cwd=folder
    )


def test_a_changed_result_is_shown(tmp_path: Path, good: Result) -> None:
    """A changed result that no check covers is shown and exits with 1, although all queries pass.

    `--ignore` and `--only` exclude it.
    """
    assert replay_good_run(tmp_path, "free_shipping").code == 0
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
    assert (ignored.code, ignored.stdout.splitlines()[-1]) == (0, "3 unchanged")
    assert run_mcprun("diff", "good", "free_shipping", "--only", "verdict", cwd=tmp_path).code == 0


def test_a_renamed_tool_is_shown(tmp_path: Path, good: Result) -> None:
    """For a renamed tool, the diff shows the call that fails and the probable new name."""
    assert replay_good_run(tmp_path, "renamed").code == 1
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
            "~ coverage  2 of 2 tools (100 %) → 1 of 2 tools (50 %)",
            "    ~ new tools without a query: unit_price",
            "1 changed, 2 unchanged; 1 breaking tool change",
        ],
    )


def test_breaking_changes_to_uncalled_tools_are_regressions(tmp_path: Path, good: Result) -> None:
    """A breaking change to a tool that no query calls is a regression, in all output formats.

    `--only` and transcripts files leave tools out. Other changes to tools are shown only.
    """
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
    assert run_mcprun(*args, "--baseline", "head", cwd=tmp_path).code == 0  # the server accepts more than the baseline
    assert run_mcprun(*args, "--baseline", "good", cwd=tmp_path).code == 0


def test_a_run_may_be_named_by_its_folder_or_its_file(tmp_path: Path, good: Result) -> None:
    """BASE and HEAD may be the folder of a run or its transcripts file. HEAD is the latest run by default."""
    shutil.copytree(good.run, tmp_path / "copy")
    for args in (["copy", "good"], ["copy"], ["copy/transcripts.jsonl", "latest"], ["good/transcripts.jsonl", "copy"]):
        done = run_mcprun("diff", *args, cwd=tmp_path)
        assert (done.code, done.stdout) == (0, "3 unchanged\n")


@pytest.mark.parametrize("args", [["latest"], ["good"], ["good", "latest"], ["good", "good/transcripts.jsonl"]])
def test_a_run_is_not_compared_with_itself(tmp_path: Path, good: Result, args: list[str]) -> None:
    """Comparing a run with itself exits with 2, and the message suggests another BASE."""
    done = run_mcprun("diff", *args, cwd=tmp_path)
    message = f"Error: BASE ({args[0]}) and HEAD ({args[-1] if args[1:] else 'latest'}) are the same run"
    assert (done.code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{message}: pass another BASE, such as a baseline or an earlier run in outputs/")


def test_json_and_markdown_output(tmp_path: Path, good: Result) -> None:
    """`--json` prints one line per difference and the totals last. `--markdown` escapes text from the runs."""
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
    assert "<code>+ &lt;b&gt;new&lt;/b&gt;  passed  new query, not in BASE</code>" in done.stdout
    assert "````diff\n" in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nope", "good"], "there is no run at nope"),
        (
            ["good", "odd.jsonl"],
            "Error: odd.jsonl is an object with the key id, and neither a run nor its transcripts.jsonl",
        ),
        (["list.jsonl", "good"], "Error: list.jsonl is a list, and neither a run nor its transcripts.jsonl"),
        (["good", "p.txt"], "Error: p.txt is text that begins with 'no JSON at all', and neither a run nor"),
        (
            ["good", "calls.jsonl"],
            "HEAD has a line that is not a transcript (calls.jsonl:1): its 'calls' has the wrong type",
        ),
        (
            ["good", "call.jsonl"],
            "HEAD has a line that is not a transcript (call.jsonl:1): one of its 'calls' is not a call",
        ),
        (
            ["good", "error.jsonl"],
            "HEAD has a line that is not a transcript (error.jsonl:1): its 'error' has the wrong type",
        ),
        (["id.jsonl", "good"], "BASE has a line that is not a transcript (id.jsonl:1): its 'id' has the wrong type"),
        (["p.txt", "good"], "Error: p.txt is text that begins with 'no JSON at all', and neither a run nor"),
        (["second.jsonl", "good"], "BASE has a line that is not a transcript (second.jsonl:2): it is not JSON"),
        (["good", "less.jsonl"], "HEAD has a line that is not a transcript (less.jsonl:1): it has no 'repeat'"),
        (["prompts.jsonl", "good"], "Error: prompts.jsonl is a prompts file, and neither a run nor its transcripts"),
        (["deep.txt", "good"], "Error: deep.txt is invalid JSON (nested too deeply), and neither a run nor"),
        (["empty.jsonl", "none.jsonl"], "neither BASE nor HEAD has a transcript"),
        (["twice.jsonl", "good"], "BASE has two transcripts of 'q', repeat 1; the second is line 2 of twice.jsonl"),
        (["good", "good", "--alpha", "nan"], "must be a number above 0 and at most 1, not nan"),
        (["good", "good", "--ignore", "a["], "--ignore 'a[' is not a path"),
        (["good", "good", "--scrub", "uuids"], "did you mean uuid? To use it as a regular expression, write (uuids)"),
        (["good", "good", "--json", "--markdown"], "--json and --markdown can't be combined"),
        (["good", "good", "--only", "nope"], "'nope' is not one of"),
    ],
)
def test_invalid_runs_and_options_are_usage_errors(tmp_path: Path, good: Result, args: list[str], message: str) -> None:
    """Runs that do not exist, files that are not transcripts, and invalid options exit with 2 and a message."""
    write_jsonl(tmp_path / "odd.jsonl", {"id": "a"})
    write_jsonl(tmp_path / "list.jsonl", [])
    (tmp_path / "p.txt").write_text("no JSON at all\n")
    (tmp_path / "second.jsonl").write_text(json.dumps(transcript()) + "\nno JSON at all\n")
    write_jsonl(tmp_path / "less.jsonl", {key: value for key, value in transcript().items() if key != "repeat"})
    write_jsonl(tmp_path / "prompts.jsonl", script(), script(id="r"))
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
