"""Results that differ in each run: `--ignore-order`, hints at what looks volatile, and what is masked."""

from __future__ import annotations

import html
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

from tests.support.cli import SERVERS, Result, run_mcprun, script, write_jsonl

SERVER = SERVERS / "volatile.py"
FLAGS = (
    "--scrub uuid --scrub timestamp --scrub tmp --ignore 'calls[tool=create].result.elapsed_ms'"
    " --ignore-order 'calls[tool=listing].result.orders'"
)
SETTINGS = """\
  scrub = ["uuid", "timestamp", "tmp"]
  ignore = ["calls[tool=create].result.elapsed_ms"]
  ignore-order = ["calls[tool=listing].result.orders"]
"""
HINT = f"4 queries differ in values that look volatile. To leave them out, add:\n  {FLAGS}\nor, in mcprun.toml:\n{SETTINGS}"


def record(folder: Path, *tools: str) -> Result:
    """Run a query for each tool, named like it, and make the run the baseline `baseline`."""
    write_jsonl(folder / "p.jsonl", *(script((tool, {}), id=tool) for tool in tools))
    done = run_mcprun("batch", "p.jsonl", SERVER, "--out", "first", "--quiet", cwd=folder)
    assert run_mcprun("bless", "first", "baseline", cwd=folder).code == 0
    return done


def replay(folder: Path, *flags: str, price: str = "2.5") -> Result:
    """Replay the baseline against the server, and compare with it. The server has this price."""
    given = ("--model", "replay:baseline", "--baseline", "baseline", *flags)
    return run_mcprun("batch", "p.jsonl", SERVER, *given, "--", price, cwd=folder)


def test_the_order_of_a_list_is_ignored_in_replays_and_comparisons(tmp_path: Path) -> None:
    """A list in random order diverges and regresses, unless `--ignore-order` names it. A changed price still does."""
    record(tmp_path, "listing")
    assert replay(tmp_path, "--scrub", "uuid").code == 1
    flags = ("--scrub", "uuid", "--ignore-order", "calls[*].result.orders")
    done = replay(tmp_path, *flags)
    assert (done.code, done.record["counts"]["diverged"]) == (0, 0)
    assert done.record["arguments"]["ignore_order"] == ["calls[*].result.orders"]
    assert run_mcprun("diff", "baseline", "latest", *flags, cwd=tmp_path).code == 0
    assert run_mcprun("diff", "baseline", "latest", *flags[:2], cwd=tmp_path).code == 1
    changed = replay(tmp_path, *flags, price="3.5")
    assert (changed.code, "      - price: 2.5\n      + price: 3.5\n" in changed.stdout) == (1, True)
    refused = run_mcprun("diff", "baseline", "latest", "--ignore-order", "[", cwd=tmp_path)
    assert (refused.code, "--ignore-order '[' is not a path" in refused.stderr) == (2, True)


def test_what_looks_volatile_is_named_with_the_options_that_cover_it(tmp_path: Path) -> None:
    """A replay on an unchanged server, with a baseline or without, and a diff print the missing options once, on stderr.

    With these, only the results that are random in other ways differ.
    """
    record(tmp_path, "create", "listing", "export", "now", "roll", "quote", "price")
    done = replay(tmp_path, "--quiet")
    assert (done.code, done.stderr.count(HINT), HINT in done.stdout) == (1, 1, False)
    done = run_mcprun("batch", "p.jsonl", SERVER, "--model", "replay:baseline", "--quiet", cwd=tmp_path)
    assert (done.code, done.stderr) == (0, HINT)
    assert run_mcprun("diff", "baseline", cwd=tmp_path).stderr == HINT
    (tmp_path / "mcprun.toml").write_text(SETTINGS.replace("  ", ""), encoding="utf-8")
    done = replay(tmp_path)
    assert (done.code, "2 changed, 5 unchanged\n" in done.stdout, "look volatile" in done.stderr) == (1, True, False)


def test_only_missing_rules_are_named_and_lists_are_set_as_a_whole(tmp_path: Path) -> None:
    """Flags are only the missing ones. A line of the configuration holds the values in force, too."""
    record(tmp_path, "create")
    done = replay(tmp_path, "--scrub", "uuid")
    assert "add:\n  --scrub timestamp --ignore 'calls[tool=create].result.elapsed_ms'\nor" in done.stderr
    assert '  scrub = ["uuid", "timestamp"]\n  ignore = ["calls[tool=create].result.elapsed_ms"]\n' in done.stderr


def test_a_regression_beside_volatile_values_is_not_named(tmp_path: Path) -> None:
    """A changed price is shown as a regression, and no option that would hide it is named."""
    record(tmp_path, "create", "price")
    done = replay(tmp_path, price="3.5")
    assert done.code == 1
    assert done.stderr.endswith('calls[tool=create].result.elapsed_ms"]\n')
    assert "price" not in done.stderr.split("look volatile")[1]
    done = replay(tmp_path, "--filter", "price", price="3.5")
    assert (done.code, "look volatile" in done.stderr) == (1, False)


def test_a_comparison_lists_what_was_masked_and_how_much_is_left(tmp_path: Path) -> None:
    """Each rule is listed with its values, each query with the share of its results that is compared.

    A query of which nothing is left is a warning. `--quiet` prints only the warning.
    """
    record(tmp_path, "create", "now", "price")
    flags = ("--scrub", "uuid", "--scrub", "timestamp", "--ignore", "calls[*].result.elapsed_ms")
    masked = (
        "masked:\n"
        "  --scrub uuid                           1 value in 1 query\n"
        "  --scrub timestamp                      2 values in 2 queries\n"
        "  --ignore 'calls[*].result.elapsed_ms'  1 value in 1 query\n"
        "results still compared: now 0%, create 25%\n"
        "3 unchanged\n"
    )
    warning = "Warning: nothing is left to compare of the results of now: the rules mask all of them"
    done = replay(tmp_path, *flags)
    assert (done.code, done.stdout.endswith(masked), warning in done.stderr) == (0, True, True)
    assert run_mcprun("diff", "baseline", *flags, cwd=tmp_path).stdout == masked
    lines = run_mcprun("diff", "baseline", *flags, "--json", cwd=tmp_path).stdout.splitlines()
    volatile = json.loads(lines[-2])["volatile"]
    assert [(one["rule"]["value"], one["values"]) for one in volatile["masked"]] == [
        ("uuid", 1), ("timestamp", 2), ("calls[*].result.elapsed_ms", 1),
    ]  # fmt: skip
    assert volatile["shares"][0] == {"id": "now", "share": 0.0, "is_empty": True}
    quiet = replay(tmp_path, *flags, "--quiet")
    assert (quiet.stdout, warning in quiet.stderr) == ("3 unchanged\n", True)


def test_reports_have_the_notes_of_the_comparison(tmp_path: Path) -> None:
    """Markdown and HTML of a run and of a diff, and JUnit, name the missing options, and what was masked."""
    record(tmp_path, "create")
    flags = ("--markdown", "run.md", "--html", "run.html", "--junit", "run.xml")
    assert replay(tmp_path, "--scrub", "uuid", *flags).code == 1
    given = ("diff", "baseline", "--scrub", "uuid", "--markdown", "--html", "diff.html")
    shown = run_mcprun(*given, cwd=tmp_path).stdout
    texts = [(tmp_path / name).read_text(encoding="utf-8") for name in ("run.md", "run.html", "diff.html")]
    output = ET.parse(tmp_path / "run.xml").findtext(".//system-out")
    assert output is not None
    for text in (*map(html.unescape, texts), shown, output):
        assert "1 query differs in values that look volatile." in text
        assert re.search(r'^ *scrub = \["uuid", "timestamp"\]$', text, re.MULTILINE)
        assert "--scrub uuid  1 value in 1 query" in text


def detect(folder: Path, *flags: str) -> Result:
    """Run the suite three times, and report what is volatile."""
    return run_mcprun("batch", "p.jsonl", SERVER, "--detect-volatile", "3", "--quiet", *flags, cwd=folder)


def test_several_passes_find_each_volatile_place(tmp_path: Path) -> None:
    """Each volatile place is listed with its query and its rule, and the lines of a configuration that set the rules.

    The exit code is 1. A query whose whole result differs needs fixing, as does one of which nothing is left.
    """
    write_jsonl(tmp_path / "p.jsonl", *(script((tool, {}), id=tool) for tool in ("create", "now", "quote", "price")))
    done = detect(tmp_path)
    assert (done.code, done.stderr) == (1, "")
    assert done.stdout.splitlines() == [
        "create",
        "  calls[*].result.id          uuid       --scrub uuid",
        "  calls[*].result.created_at  timestamp  --scrub timestamp",
        "  calls[*].result.elapsed_ms  number     --ignore 'calls[tool=create].result.elapsed_ms'",
        "now",
        "  calls[*].result  timestamp  --scrub timestamp",
        "quote",
        "  calls[*].result  text  needs fixing: the whole result differs",
        "with these rules, masked:",
        "  --scrub uuid                                     1 value in 1 query",
        "  --scrub timestamp                                2 values in 2 queries",
        "  --ignore 'calls[tool=create].result.elapsed_ms'  1 value in 1 query",
        "results still compared: now 0%, create 25%",
        "2 queries need fixing: quote (the whole result differs), now (nothing is left to compare)",
        "Add to mcprun.toml:",
        '  scrub = ["uuid", "timestamp"]',
        '  ignore = ["calls[tool=create].result.elapsed_ms"]',
        "FAILED: 3 queries with volatile results that no rule in force covers, in 3 passes of 4 queries",
    ]


def test_the_rules_that_passes_find_make_replays_pass(tmp_path: Path) -> None:
    """With the printed lines in `mcprun.toml`, the same passes exit with 0, and so does a replay of a baseline."""
    record(tmp_path, "create", "listing", "export", "roll", "price")
    lines = [line.strip() for line in detect(tmp_path).stdout.splitlines() if " = [" in line]
    assert len(lines) == 3
    (tmp_path / "mcprun.toml").write_text("\n".join(lines), encoding="utf-8")
    done = detect(tmp_path)
    assert (done.code, done.stdout.splitlines()[-1]) == (
        0, "nothing volatile that the rules do not cover, in 3 passes of 5 queries",
    )  # fmt: skip
    assert replay(tmp_path).code == 0
    assert replay(tmp_path, price="3.5").code == 1


def test_each_pass_is_a_run_of_its_own_with_a_new_server(tmp_path: Path) -> None:
    """Each pass has its own server and run directory. The verdicts of the passes decide the exit code first."""
    log = tmp_path / "calls.txt"
    write_jsonl(tmp_path / "p.jsonl", script(("add", {"a": 1, "b": 2}), id="add", expect={"text": {"contains": ["4"]}}))
    given = ("batch", "p.jsonl", SERVERS / "counting.py", "--out", "runs", "--detect-volatile", "2", "--quiet")
    done = run_mcprun(*given, "--", log, cwd=tmp_path)
    assert (done.code, len(log.read_text(encoding="utf-8").splitlines())) == (1, 2)
    assert sorted(path.name for path in tmp_path.glob("runs*")) == ["runs", "runs-2"]
    assert "nothing volatile that the rules do not cover" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("FAILED: 1 failed")


def test_passes_refuse_what_is_about_a_single_run(tmp_path: Path) -> None:
    """`--resume`, `--baseline`, reports and stdin cannot be combined with several passes, and one pass is too few."""
    record(tmp_path, "price")
    for flags in (
        ["--resume", "first"],
        ["--dry-run"],
        ["--baseline", "baseline"],
        ["--junit", "j.xml"],
        ["--html", "h.html"],
    ):
        done = detect(tmp_path, *flags)
        assert (done.code, f"{flags[0]} and --detect-volatile cannot be combined" in done.stderr) == (2, True)
    done = run_mcprun("batch", "-", SERVER, "--detect-volatile", "2", cwd=tmp_path, input="{}")
    assert (done.code, "--detect-volatile needs a prompts file" in done.stderr) == (2, True)
    done = run_mcprun("batch", "p.jsonl", SERVER, "--detect-volatile", "1", cwd=tmp_path)
    assert (done.code, "must be a whole number from 2 to 100" in done.stderr) == (2, True)


def test_a_replay_under_other_conditions_says_so_when_it_differs(tmp_path: Path) -> None:
    """A baseline remembers how it was recorded. A run that differs and ran in another way names the difference once.

    A run without differences does not.
    """
    write_jsonl(tmp_path / "p.jsonl", script(("price", {}), id="price"))
    given = ("--out", "first", "--fresh-server", "--concurrency", "1", "--scrub", "uuid", "--quiet")
    run_mcprun("batch", "p.jsonl", SERVER, *given, cwd=tmp_path)
    assert run_mcprun("bless", "first", "baseline", cwd=tmp_path).code == 0
    note = "Note: baseline was recorded with --fresh-server, --concurrency 1 and --scrub uuid; this run was not\n"
    assert replay(tmp_path).stderr.count("Note: ") == 0
    done = replay(tmp_path, "--quiet", price="3.5")
    assert (done.code, done.stderr) == (1, note)
    assert run_mcprun("diff", "baseline", cwd=tmp_path).stderr == note
    same = ("--fresh-server", "--concurrency", "1", "--scrub", "uuid", "--quiet")
    assert replay(tmp_path, *same, price="3.5").stderr == ""
    alone = run_mcprun("batch", "p.jsonl", SERVER, "--model", "replay:baseline", "-q", "--", "3.5", cwd=tmp_path)
    assert (alone.code, alone.stderr) == (0, note)


def test_merged_shards_have_the_notes_of_one_run(tmp_path: Path) -> None:
    """What the shards masked and found adds up to what one run of all queries does."""
    record(tmp_path, "create", "listing", "export", "now", "price")
    whole = replay(tmp_path, "--scrub", "uuid", "--out", "whole")
    for number in "12":
        assert replay(tmp_path, "--scrub", "uuid", "--shard", f"{number}/2", "--out", number).code == 1
    done = run_mcprun("merge", "1", "2", "--out", "merged", "--markdown", "m.md", cwd=tmp_path)
    assert volatile_of(tmp_path / "merged") == volatile_of(tmp_path / "whole")
    hint = whole.stderr[whole.stderr.index("4 queries differ in values that look volatile.") :]
    assert (done.code, hint in done.stderr) == (1, True)
    assert "What was masked" in (tmp_path / "m.md").read_text(encoding="utf-8")


def volatile_of(run: Path) -> dict[str, object]:
    """Return what a run's comparison with its baseline masked and found."""
    lines = (run / "differences.jsonl").read_text(encoding="utf-8").splitlines()
    return next(found for line in lines if (found := json.loads(line).get("volatile")))
