"""Baselines: `mcprun bless` writes them, and `mcprun batch --baseline` compares with them."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import sys
from pathlib import Path

import pytest

from mcprun.runs.run import Run
from tests.support.cli import EXAMPLE_SERVERS, RAW, Result, run_mcprun, script, write_jsonl
from tests.support.forks import Forks
from tests.support.shop import REGRESSION, good, recorded

__all__ = ["good", "recorded"]

if sys.platform == "win32":
    pytest.skip("signals and files of POSIX systems", allow_module_level=True)

PROMPTS = REGRESSION / "regression.jsonl"


@pytest.fixture(scope="module")
def baseline(recorded: Result, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bless the run of the good shop, and return the folder of the baseline."""
    folder = tmp_path_factory.mktemp("baseline")
    assert run_mcprun("bless", recorded.run, "baseline", cwd=folder).code == 0
    return folder / "baseline"


@pytest.fixture(autouse=True)
def copy_baseline(baseline: Path, good: Result, tmp_path: Path) -> None:
    """Copy the baseline into the test's folder, beside the run that it was made from."""
    shutil.copytree(baseline, tmp_path / "baseline")


def run_with_baseline(folder: Path, version: str, *flags: str) -> Result:
    """Run a version of the shop, and compare it with `baseline`."""
    return run_mcprun("batch", PROMPTS, EXAMPLE_SERVERS / version, "--baseline", "baseline", *flags, cwd=folder)


def test_an_unchanged_server_is_not_a_regression(tmp_path: Path, good: Result) -> None:
    """A run that equals the baseline exits with 0. The baseline can be replayed, and no comparison modifies it."""
    before = {file.name: file.read_bytes() for file in (tmp_path / "baseline").iterdir()}
    assert set(before) == {"run.json", "transcripts.jsonl"}
    done = run_with_baseline(tmp_path, "shop.py", "--model", "replay:baseline")
    assert (done.code, done.stdout.splitlines()[-1], done.bytes) == (0, "3 unchanged", good.bytes)
    assert run_with_baseline(tmp_path, "shop_free_shipping.py").code == 1
    assert {file.name: file.read_bytes() for file in (tmp_path / "baseline").iterdir()} == before


def test_a_changed_result_is_a_regression(tmp_path: Path) -> None:
    """A changed result is shown below the totals and exits with 1, although all queries passed.

    `--ignore` of its path, or a `--filter` without its query, exits with 0.
    """
    done = run_with_baseline(tmp_path, "shop_free_shipping.py")
    assert (done.code, done.record["counts"]["passed"]) == (1, 3)
    assert "      - shipping: 2.5\n      + shipping: 0.0\n1 changed, 2 unchanged\n" in done.stdout
    assert run_with_baseline(tmp_path, "shop_free_shipping.py", "--ignore", "calls[*].result.shipping").code == 0
    assert run_with_baseline(tmp_path, "shop_free_shipping.py", "--filter", "apple").code == 0


def test_a_removed_query_is_a_regression(tmp_path: Path) -> None:
    """A query that was removed from the prompts file is a regression. One that `--limit` excludes is not."""
    lines = PROMPTS.read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "fewer.jsonl").write_text("".join(lines[:2]), encoding="utf-8")
    fewer = run_mcprun("batch", "fewer.jsonl", EXAMPLE_SERVERS / "shop.py", "--baseline", "baseline", cwd=tmp_path)
    assert (fewer.code, "- big-basket  passed  missing query, only in the baseline\n" in fewer.stdout) == (1, True)
    write_jsonl(tmp_path / "more.jsonl", *map(json.loads, lines), script(("total", {"items": {"milk": 1}}), id="new"))
    more = run_mcprun("batch", "more.jsonl", SHOP, "--baseline", "baseline", "--markdown", "r.md", cwd=tmp_path)
    title = "+ new  passed  new query, not in the baseline\n"
    assert (more.code, title in more.stdout, title in (tmp_path / "r.md").read_text()) == (0, True, True)
    assert run_with_baseline(tmp_path, "shop.py", "--limit", "2").code == 0


def test_an_improvement_is_not_a_regression(tmp_path: Path) -> None:
    """A query that failed in the baseline and passes now exits with 0."""
    queries = [script(("refuse", {})) | {"id": "q"}]
    write_jsonl(tmp_path / "p.jsonl", *queries)
    bad = run_mcprun("batch", "p.jsonl", RAW, "--out", "bad", cwd=tmp_path)
    assert bad.code == 1
    assert run_mcprun("bless", "bad", "bad-baseline", cwd=tmp_path).code == 0
    write_jsonl(tmp_path / "p.jsonl", script(("ok", {})) | {"id": "q"})
    done = run_mcprun("batch", "p.jsonl", RAW, "--baseline", "bad-baseline", cwd=tmp_path)
    assert (done.code, "~ q  failed → passed" in done.stdout) == (0, True)


def test_a_slim_baseline_is_smaller_and_compares_equal(tmp_path: Path, recorded: Result) -> None:
    """`bless --slim` writes a smaller baseline, which compares equal to the run.

    Its `run.json` names no folder of the machine that made it.
    """
    done = run_mcprun("bless", "good", "slim", "--slim", cwd=tmp_path)
    assert (done.code, done.stdout.startswith("slim: 3 transcripts of good, ")) == (0, True)
    sizes = {name: sum(file.stat().st_size for file in (tmp_path / name).iterdir()) for name in ("slim", "baseline")}
    assert sizes["slim"] < sizes["baseline"]
    assert run_mcprun("diff", "slim", "good", cwd=tmp_path).stdout == "3 unchanged\n"
    assert run_mcprun("diff", "slim", "good", "--text", "--usage", cwd=tmp_path).code == 0
    assert str(recorded.run.parent).encode() not in (tmp_path / "slim" / "run.json").read_bytes()


def test_bless_refuses_unsuitable_runs_and_targets(tmp_path: Path, good: Result) -> None:
    """`bless` refuses a run with errors, a target that is not a run, the run itself, and a run that does not exist.

    `--force` accepts a run with errors, and replaces the whole baseline.
    """
    write_jsonl(tmp_path / "p.jsonl", script(("die", {})))
    assert run_mcprun("batch", "p.jsonl", RAW, "--out", "dead", cwd=tmp_path).code == 3
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("precious")
    for args, message in (
        (["dead", "baseline"], "dead has errors, and a baseline must be a complete run without errors; use --force"),
        (["good", "mine"], "mine exists and is not a run"),
        (
            ["good", "good"],
            "good is the run itself: choose another folder for the baseline",
        ),
        (["nope", "baseline"], "there is no run at nope"),
    ):
        refused = run_mcprun("bless", *args, cwd=tmp_path)
        assert (refused.code, message in refused.stderr) == (2, True)
    assert (tmp_path / "mine" / "notes.txt").read_text() == "precious"
    assert run_mcprun("bless", "dead", "baseline", "--force", cwd=tmp_path).code == 0
    assert b"server_died" in (tmp_path / "baseline" / "transcripts.jsonl").read_bytes()


@pytest.mark.parametrize("args", [(), ("--only", "apple"), ("--force",), ("--slim",)])
@pytest.mark.parametrize("other", ["notes.txt", "trace.jsonl", "deep/notes.txt", "\x1b.txt"])
def test_bless_refuses_a_folder_with_other_files(
    tmp_path: Path, good: Result, args: tuple[str, ...], other: str
) -> None:
    """A baseline's folder with other files is refused by naming them, and nothing changes. So is its update."""
    file = tmp_path / "baseline" / other
    file.parent.mkdir(exist_ok=True)
    file.write_text("precious")
    before = {one: one.read_bytes() for one in (tmp_path / "baseline").rglob("*") if one.is_file()}
    runs = list_runs(tmp_path)
    message = f"baseline also holds {other.split('/')[0]!r}, and replacing it would delete them: move them elsewhere"
    refused = run_mcprun("bless", "good", "baseline", *args, cwd=tmp_path)
    assert (refused.code, message in refused.stderr) == (2, True)
    if not args:
        refused = run_with_baseline(tmp_path, "shop_free_shipping.py", "--update")
        assert (refused.code, message in refused.stderr, list_runs(tmp_path)) == (2, True, runs)
    assert {one: one.read_bytes() for one in (tmp_path / "baseline").rglob("*") if one.is_file()} == before


def test_bless_keeps_what_it_did_not_write_beside_the_baseline(tmp_path: Path, good: Result) -> None:
    """A folder that has the name of a temporary one is not deleted."""
    for name in (".baseline.old", ".baseline.new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "notes.txt").write_text("precious")
        refused = run_mcprun("bless", "good", "baseline", cwd=tmp_path)
        assert (refused.code, "can't write baseline" in refused.stderr) == (2, True)
        assert (tmp_path / name / "notes.txt").read_text() == "precious"
        assert results_of(tmp_path / "baseline")
        shutil.rmtree(tmp_path / name)
    assert run_mcprun("bless", "good", "baseline", cwd=tmp_path).code == 0


def test_bless_refuses_to_drop_queries_from_a_baseline(tmp_path: Path, good: Result) -> None:
    """A run that lacks queries of the baseline is refused by naming them, unless `--force` is given.

    A first baseline may hold any queries.
    """
    before = (tmp_path / "baseline" / "transcripts.jsonl").read_bytes()
    assert run_with_baseline(tmp_path, "shop.py", "--limit", "1", "--out", "some").code == 0
    refused = run_mcprun("bless", "some", "baseline", cwd=tmp_path)
    message = "some lacks 2 of the queries in baseline ('small-basket', 'big-basket'), and queries"
    assert (refused.code, message in refused.stderr) == (2, True)
    assert (tmp_path / "baseline" / "transcripts.jsonl").read_bytes() == before
    assert run_mcprun("bless", "some", "first", cwd=tmp_path).code == 0
    assert run_mcprun("bless", "good", "first", cwd=tmp_path).code == 0
    assert run_mcprun("bless", "some", "baseline", "--force", cwd=tmp_path).code == 0
    assert [one.id for one in Run.read(str(tmp_path / "baseline")).transcripts()] == ["apple"]


def test_a_damaged_baseline_is_reported_before_the_run_starts(tmp_path: Path) -> None:
    """A baseline with a line that is not a transcript exits with 2, and no run directory is created."""
    file = tmp_path / "baseline" / "transcripts.jsonl"
    first, second, *rest = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([first, second[:40] + b"\n", *rest]))
    before = list_runs(tmp_path)
    done = run_with_baseline(tmp_path, "shop.py")
    assert (done.code, list_runs(tmp_path)) == (2, before)
    assert done.stderr.startswith("Error: baseline/transcripts.jsonl has a line that is not a transcript: ")


def test_a_damaged_recording_is_reported_before_the_run_starts(tmp_path: Path, good: Result) -> None:
    """A recording with a line that is not a transcript exits with 2.

    No run directory is created, and `outputs/latest` does not change.
    """
    file = shutil.copytree(good.run, tmp_path / "recorded") / "transcripts.jsonl"
    file.write_bytes(file.read_bytes().replace(b'"turns"', b'"tunrs"', 1))
    before = list_runs(tmp_path)
    done = run_mcprun("batch", PROMPTS, EXAMPLE_SERVERS / "shop.py", "--model", "replay:recorded", cwd=tmp_path)
    assert (done.code, list_runs(tmp_path)) == (2, before)
    assert done.stderr.startswith("Error: recorded/transcripts.jsonl has a line that is not a transcript: ")


def list_runs(folder: Path) -> set[Path]:
    """Return the resolved entries of `outputs`, which include the target of `latest`."""
    return {entry.resolve() for entry in folder.glob("outputs/*")}


def test_bless_names_five_missing_queries_and_counts_the_rest(tmp_path: Path) -> None:
    """If a run lacks eight queries of the baseline, the message names five and counts the others."""
    prompts = write_jsonl(tmp_path / "p.jsonl", *(script(("ok", {}), id=f"q{number}") for number in range(9)))
    for name, *flags in (("all",), ("one", "--limit", "1")):
        assert run_mcprun("batch", prompts, RAW, "--out", name, *flags, cwd=tmp_path).code == 0
    assert run_mcprun("bless", "all", "nine", cwd=tmp_path).code == 0
    refused = run_mcprun("bless", "one", "nine", cwd=tmp_path)
    message = "lacks 8 of the queries in nine ('q1', 'q2', 'q3', 'q4', 'q5' and 3 more), and"
    assert (refused.code, message in refused.stderr) == (2, True)


def test_a_slim_baseline_cannot_be_replayed(tmp_path: Path) -> None:
    """Replaying a slim baseline, or a baseline blessed from one, is refused, and no run directory is created."""
    assert run_mcprun("bless", "good", "slim", "--slim", cwd=tmp_path).code == 0
    assert run_mcprun("bless", "slim", "copy", cwd=tmp_path).code == 0
    for name in ("slim", "copy"):
        refused = run_with_baseline(tmp_path, "shop.py", "--model", f"replay:{name}", "--out", "never")
        assert (
            refused.code,
            f"{name} is a slim baseline, which holds no conversations to replay" in refused.stderr,
        ) == (
            2,
            True,
        )
    assert not (tmp_path / "never").exists()


def test_bless_follows_a_symbolic_link(tmp_path: Path) -> None:
    """Blessing to a symbolic link replaces its target, keeps the link, and leaves no other file beside either."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "baseline").replace(tmp_path / "deep" / "kept")
    (tmp_path / "link").symlink_to("deep/kept")
    done = run_mcprun("bless", "good", "link", "--slim", cwd=tmp_path)
    assert (done.code, (tmp_path / "link").is_symlink()) == (0, True)
    assert Run.read(str(tmp_path / "deep" / "kept")).record.slim
    assert sorted(file.name for file in tmp_path.iterdir()) == ["deep", "good", "link", "outputs"]
    assert [file.name for file in (tmp_path / "deep").iterdir()] == ["kept"]


def test_a_failed_bless_leaves_the_baseline_unchanged(tmp_path: Path) -> None:
    """A run with a line that is not a transcript is refused even with `--force`.

    The baseline does not change, and no other file is left.
    """
    before = {file.name: file.read_bytes() for file in (tmp_path / "baseline").iterdir()}
    with (tmp_path / "good" / "transcripts.jsonl").open("a") as file:
        file.write("{}\n")
    refused = run_mcprun("bless", "good", "baseline", "--force", cwd=tmp_path)
    assert (refused.code, "has a line that is not a transcript" in refused.stderr) == (2, True)
    assert {file.name: file.read_bytes() for file in (tmp_path / "baseline").iterdir()} == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["baseline", "good", "outputs"]


def test_a_kill_loses_no_baseline(mcprun: Forks, tmp_path: Path) -> None:
    """If `bless` is killed while it replaces a baseline, the next `bless` restores the old or the new one completely."""
    assert run_with_baseline(tmp_path, "shop.py", "--limit", "1", "--out", "some").code == 0
    old = (tmp_path / "baseline" / "transcripts.jsonl").read_bytes()
    lines = mcprun.lines("bless", "good", "baseline", "--slim", cwd=tmp_path)
    new = (tmp_path / "baseline" / "transcripts.jsonl").read_bytes()

    def kill_at(line: int) -> None:
        assert run_mcprun("bless", "good", "baseline", cwd=tmp_path).code == 0
        assert mcprun.run("bless", "good", "baseline", "--slim", cwd=tmp_path, kill=line).code == -signal.SIGKILL

    first, last = 1, lines  # killed at `first`, the old baseline is left, and at `last` the new one
    while last - first > 1:
        kill_at(middle := (first + last) // 2)
        file = tmp_path / "baseline" / "transcripts.jsonl"
        first, last = (first, middle) if file.exists() and file.read_bytes() == new else (middle, last)
    was_missing = False
    for kill in range(last - 12, last + 6):
        kill_at(kill)
        was_missing = was_missing or not (tmp_path / "baseline").exists()
        assert run_mcprun("bless", "some", "baseline", cwd=tmp_path).code == 2
        assert (tmp_path / "baseline" / "transcripts.jsonl").read_bytes() in (old, new)
    assert was_missing
    assert run_mcprun("bless", "good", "baseline", cwd=tmp_path).code == 0
    assert sorted(file.name for file in tmp_path.iterdir()) == ["baseline", "good", "outputs", "some"]


def test_a_server_that_does_not_start_is_an_error_and_not_a_regression(tmp_path: Path) -> None:
    """A server that does not start exits with 3, although every query differs from the baseline."""
    (tmp_path / "dead.py").write_text("raise SystemExit(7)\n")
    args = ("batch", PROMPTS, "dead.py", "--model", "replay:baseline", "--baseline", "baseline", "--junit", "j.xml")
    done = run_mcprun(*args, cwd=tmp_path)
    assert (done.code, "3 changed" in done.stdout) == (3, True)
    assert 'failures="0"' in (tmp_path / "j.xml").read_text()


def test_an_error_with_the_text_of_the_former_result_is_a_regression(tmp_path: Path) -> None:
    """A call that fails with the text that it used to return is marked `diverged`, and differs from the baseline."""
    server = (
        "from mcp.server import MCPServer\nfrom mcp.server.mcpserver.exceptions import ToolError\n"
        "server = MCPServer('x')\n@server.tool()\ndef told() -> str:\n    BODY\nserver.run()\n"
    )
    (tmp_path / "good.py").write_text(server.replace("BODY", "return 'Error executing tool told: no'"))
    (tmp_path / "bad.py").write_text(server.replace("BODY", "raise ToolError('no')"))
    write_jsonl(tmp_path / "p.jsonl", script(("told", {}), expect={"tool_errors": "allow"}))
    assert run_mcprun("batch", "p.jsonl", "good.py", "--out", "g", cwd=tmp_path).code == 0
    done = run_mcprun("batch", "p.jsonl", "bad.py", "--model", "replay:g", "--baseline", "g", cwd=tmp_path)
    assert (done.code, done.transcripts[0]["calls"][0]["diverged"]) == (1, True)


SHOP = EXAMPLE_SERVERS / "shop.py"
FREE_SHIPPING = EXAMPLE_SERVERS / "shop_free_shipping.py"


def results_of(baseline: Path) -> dict[str, object]:
    """Return the first result of each query of a baseline, which must be a valid run."""
    return {one.id: one.calls[0].structured for one in Run.read(str(baseline)).transcripts()}


def test_bless_prints_the_command_that_compares(tmp_path: Path, good: Result) -> None:
    """After `bless`, the next command has the arguments of the run, and is green. Scripts are run, models replayed."""
    prompts = write_jsonl(tmp_path / "my prompts.jsonl", script(("ok", {})))
    flags = ("--fresh-server", "--scrub", "uuid", "--env", "TOKEN=secret")
    assert run_mcprun("batch", prompts.name, RAW, *flags, "--out", "run", cwd=tmp_path).code == 0
    done = run_mcprun("bless", "run", "base line", cwd=tmp_path)
    *_, command = done.stdout.splitlines()
    assert command == (
        f"Next: mcprun batch 'my prompts.jsonl' {RAW} --model script --baseline 'base line' --env TOKEN"
        " --fresh-server --scrub uuid"
    )
    words = shlex.split(command.removeprefix("Next: mcprun "))
    again = run_mcprun(*words, cwd=tmp_path, env={"TOKEN": "secret"})
    assert (again.code, again.stdout.splitlines()[-1]) == (0, "1 unchanged")
    replayed = ("--model", "replay:base line", "--out", "replayed")
    assert run_mcprun("batch", prompts.name, RAW, *replayed, cwd=tmp_path).code == 0
    for slim_flag, expected in (
        ([], " --model replay:other --baseline other"),
        (["--slim"], f"{RAW} --baseline other"),
    ):
        done = run_mcprun("bless", "replayed", "other", *slim_flag, cwd=tmp_path)
        assert expected in done.stdout.splitlines()[-1]


def test_only_accepts_the_named_queries(tmp_path: Path) -> None:
    """`--only` replaces the queries that match; the others still differ. Ids may follow each other."""
    prompts = write_jsonl(
        tmp_path / "p.jsonl", *(script(("total", {"items": {item: 3}}), id=item) for item in ("apple", "milk"))
    )
    for server, name in ((SHOP, "old"), (FREE_SHIPPING, "new")):
        assert run_mcprun("batch", prompts, server, "--out", name, cwd=tmp_path).code == 0
    assert run_mcprun("bless", "old", "mine", cwd=tmp_path).code == 0
    assert run_mcprun("diff", "mine", "new", cwd=tmp_path).stdout.splitlines()[-1] == "2 changed, 0 unchanged"
    done = run_mcprun("bless", "new", "mine", "--only", "app*", cwd=tmp_path)
    assert (done.code, done.stdout.startswith("mine: accepted 'apple' of new, ")) == (0, True)
    assert run_mcprun("diff", "mine", "new", cwd=tmp_path).stdout.splitlines()[-1] == "1 changed, 1 unchanged"
    done = run_mcprun("bless", "new", "mine", "--only", "apple", "milk", cwd=tmp_path)
    assert done.stdout.startswith("mine: accepted 'apple', 'milk' of new, ")
    assert run_mcprun("diff", "mine", "new", cwd=tmp_path).code == 0
    flags = ("--model", "replay:mine", "--baseline", "mine")
    assert run_mcprun("batch", prompts, FREE_SHIPPING, *flags, cwd=tmp_path).code == 0


def test_only_says_that_a_baseline_keeps_its_conditions(tmp_path: Path) -> None:
    """Queries of a run under other conditions are accepted, with a warning: the others were not recorded so."""
    assert run_with_baseline(tmp_path, "shop.py", "--fresh-server", "--out", "fresh").code == 0
    done = run_mcprun("bless", "fresh", "baseline", "--only", "apple", cwd=tmp_path)
    warning = (
        "Warning: baseline was recorded without --fresh-server; fresh was not. The baseline keeps its conditions; bless"
        " the whole run to replace them\n"
    )
    assert (done.code, done.stderr) == (0, warning)
    assert "fresh_server" not in Run.read(str(tmp_path / "baseline")).record.arguments
    assert run_mcprun("bless", "fresh", "baseline", cwd=tmp_path).stderr == ""
    assert Run.read(str(tmp_path / "baseline")).record.arguments["fresh_server"] is True
    assert run_mcprun("bless", "fresh", "baseline", "--only", "apple", cwd=tmp_path).stderr == ""


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--only", "aple"), "no query of some matches --only 'aple'; did you mean 'apple'?"),
        (("--only", "big-basket"), "some lacks 'big-basket'; use --force to drop from baseline what it lacks"),
        (("apple",), "Got an unexpected argument 'apple'. To accept only some queries, use --only."),
        (("--only", "apple", "--slim"), "--slim applies to a whole run"),
        (("--only", "apple", "--interactive"), "--only and --interactive can't be combined"),
        (("--interactive",), "--interactive asks on a terminal, and there is none: accept queries by id with --only"),
    ],
)
def test_a_refused_selection_changes_nothing(tmp_path: Path, args: tuple[str, ...], message: str) -> None:
    """A selection that can't be accepted exits with 2, and leaves the baseline as it is."""
    assert run_with_baseline(tmp_path, "shop.py", "--limit", "1", "--out", "some").code == 0
    before = (tmp_path / "baseline" / "transcripts.jsonl").read_bytes()
    done = run_mcprun("bless", "some", "baseline", *args, cwd=tmp_path)
    assert (done.code, message in done.stderr) == (2, True)
    assert (tmp_path / "baseline" / "transcripts.jsonl").read_bytes() == before


def test_update_makes_and_replaces_a_baseline(tmp_path: Path) -> None:
    """`--update` makes a missing baseline, keeps one that does not differ, and accepts what differs.

    The run that was accepted is green in every output, and so is the next one.
    """
    update = ("--baseline", "mine", "--update")
    done = run_mcprun("batch", PROMPTS, SHOP, *update, cwd=tmp_path)
    assert (done.code, "mine: accepted all (3 transcripts, " in done.stdout) == (0, True)
    before = (tmp_path / "mine" / "transcripts.jsonl").read_bytes()
    done = run_mcprun("batch", PROMPTS, SHOP, *update, cwd=tmp_path)
    assert (done.code, "mine is unchanged: nothing differs\n" in done.stdout) == (0, True)
    assert (tmp_path / "mine" / "transcripts.jsonl").read_bytes() == before
    done = run_mcprun("batch", PROMPTS, FREE_SHIPPING, *update, "--junit", "j.xml", cwd=tmp_path)
    assert (done.code, "mine: accepted 1 changed (3 transcripts, " in done.stdout) == (0, True)
    assert "      - shipping: 2.5\n      + shipping: 0.0\n" in done.stdout
    assert "FAILED" not in done.stdout
    assert 'failures="0"' in (tmp_path / "j.xml").read_text()
    assert done.record["baseline"]["compared"]["regressions"] == 0
    assert run_mcprun("report", cwd=tmp_path).code == 0
    assert run_mcprun("batch", PROMPTS, FREE_SHIPPING, "--baseline", "mine", cwd=tmp_path).code == 0


def test_update_of_selected_queries_keeps_the_others(tmp_path: Path) -> None:
    """With `--filter`, only the selected queries are replaced."""
    before = results_of(tmp_path / "baseline")
    flags = ("--filter", "small-basket", "--update")
    done = run_with_baseline(tmp_path, "shop_free_shipping.py", *flags)
    assert (done.code, "baseline: accepted 1 changed (3 transcripts, " in done.stdout) == (0, True)
    after = results_of(tmp_path / "baseline")
    assert [name for name in before if before[name] != after[name]] == ["small-basket"]
    assert list(before) == list(after)


def test_update_refuses_what_bless_refuses(tmp_path: Path) -> None:
    """A run that lacks queries of the baseline, or has errors, is not accepted without `--force`, and is not green."""
    before = (tmp_path / "baseline" / "transcripts.jsonl").read_bytes()
    lines = PROMPTS.read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "fewer.jsonl").write_text("".join(lines[:2]), encoding="utf-8")
    update = ("--baseline", "baseline", "--update")
    done = run_mcprun("batch", "fewer.jsonl", SHOP, *update, cwd=tmp_path)
    assert (done.code, "Error: baseline was not updated: " in done.stderr) == (1, True)
    assert (tmp_path / "baseline" / "transcripts.jsonl").read_bytes() == before
    done = run_mcprun("batch", "fewer.jsonl", SHOP, *update, "--force", cwd=tmp_path)
    assert (done.code, "baseline: accepted 1 removed (2 transcripts, " in done.stdout) == (0, True)
    (tmp_path / "dead.py").write_text("raise SystemExit(7)\n")
    done = run_mcprun("batch", "fewer.jsonl", "dead.py", "--baseline", "none", "--update", cwd=tmp_path)
    assert (done.code, (tmp_path / "none").exists()) == (3, False)


@pytest.mark.parametrize("is_first", [True, False])
def test_a_baseline_that_can_not_be_written_makes_the_run_red_everywhere(tmp_path: Path, is_first: bool) -> None:
    """The last line and all reports say that `--update` failed, and the run can still be blessed."""
    version = "shop.py" if is_first else "shop_free_shipping.py"
    name = "file/mine" if is_first else "baseline"
    (tmp_path / "file").write_text("")
    if not is_first:
        (tmp_path / ".baseline.new").mkdir()
        (tmp_path / ".baseline.new" / "notes.txt").write_text("precious")
    flags = ("--baseline", name, "--update", "--github", "--junit", "j.xml", "--html", "p.html", "--out", "run")
    done = run_mcprun("batch", PROMPTS, EXAMPLE_SERVERS / version, *flags, cwd=tmp_path)
    last = [line for line in done.stdout.splitlines() if not line.startswith("::")][-1]
    outcome = "ERROR: " if is_first else "FAILED: 1 regression, "
    why = f"{name} was not updated: can't write {name}: "
    assert (done.code, last.startswith(f"{outcome}{why}")) == (3 if is_first else 1, True)
    assert ("::error " in done.stdout, done.record["error"]["message"].startswith(why)) == (True, True)
    assert f' message="{why}' in (tmp_path / "j.xml").read_text()
    assert why.replace("'", "&#39;") in (tmp_path / "p.html").read_text()
    assert run_mcprun("report", "run", "--no-github", cwd=tmp_path).stdout.splitlines()[-1] == last
    assert run_mcprun("bless", "run", "other", cwd=tmp_path).code == 0
    assert Run.read(str(tmp_path / "other")).record.exit_code == 0


def test_a_failed_query_can_be_accepted_but_stays_red(tmp_path: Path) -> None:
    """`--update` accepts differences from the baseline, and no failed expectations. It names the failed queries."""
    write_jsonl(tmp_path / "p.jsonl", script(("ok", {}), id="q", expect={"text": {"contains": "nope"}}))
    done = run_mcprun("batch", "p.jsonl", RAW, "--baseline", "mine", "--update", cwd=tmp_path)
    assert (done.code, done.stdout.splitlines()[-1]) == (1, "FAILED: 1 failed")
    assert "\naccepted with 1 failed query: q\n" in done.stdout
    assert (tmp_path / "mine" / "run.json").exists()


def test_bless_names_the_accepted_queries_that_did_not_pass(tmp_path: Path) -> None:
    """A whole run names all of them, `--only` those that it accepts, and `--force` also errors."""
    bad = script(("ok", {}), id="bad", expect={"text": {"contains": "nope"}})
    queries = [script(("ok", {}), id="good"), bad, script(("die", {}), id="dead")]
    write_jsonl(tmp_path / "p.jsonl", *queries)
    for limit, name in (("2", "two"), ("3", "three")):
        run_mcprun("batch", "p.jsonl", RAW, "--limit", limit, "--out", name, cwd=tmp_path)
    for args, expected in (
        (("two", "mine"), ["accepted with 1 failed query: bad"]),
        (("two", "mine", "--only", "good"), []),
        (("two", "mine", "--only", "bad"), ["accepted with 1 failed query: bad"]),
        (("three", "mine", "--force"), ["accepted with 1 failed query: bad; 1 query with an error: dead"]),
    ):
        done = run_mcprun("bless", *args, cwd=tmp_path)
        first, *notes, _next = done.stdout.splitlines()
        assert (done.code, first.startswith("mine: "), notes) == (0, True, expected)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "--update requires --baseline DIR"),
        (("--baseline", "baseline", "--shard", "1/2"), "--update can't be combined with --shard"),
        (("--baseline", "latest"), "outputs/latest is a run, and --update replaces only baselines"),
        (("--baseline", "good"), "good is a run, and --update replaces only baselines"),
        (("--baseline", "a.txt"), "a.txt exists and is not a folder"),
    ],
)
def test_update_is_refused_before_anything_runs(tmp_path: Path, flags: tuple[str, ...], message: str) -> None:
    """An update without a baseline of its own exits with 2, and nothing is run."""
    (tmp_path / "a.txt").touch()
    before = list_runs(tmp_path)
    done = run_mcprun("batch", PROMPTS, SHOP, *flags, "--update", cwd=tmp_path)
    assert (done.code, message in done.stderr, list_runs(tmp_path)) == (2, True, before)


def test_update_can_not_be_configured(tmp_path: Path) -> None:
    """A project can't set `update`: accepting is always explicit. In CI it is warned about."""
    (tmp_path / "mcprun.toml").write_text("update = true\n")
    done = run_mcprun("batch", PROMPTS, SHOP, cwd=tmp_path)
    assert (done.code, "sets the unknown option 'update'" in done.stderr) == (2, True)
    (tmp_path / "mcprun.toml").write_text('baseline = "mine"\n')
    done = run_mcprun("batch", PROMPTS, SHOP, "--update", cwd=tmp_path, env={"CI": "true"})
    assert (done.code, "Warning: --update accepts whatever this run returns, and CI is set" in done.stderr) == (0, True)
    assert (tmp_path / "mine" / "run.json").exists()
