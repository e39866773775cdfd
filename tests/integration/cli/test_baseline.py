"""Baselines: `mcprun bless` writes them, and `mcprun batch --baseline` compares with them."""

from __future__ import annotations

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
    assert (fewer.code, "- big-basket  passed  only in BASE" in fewer.stdout) == (1, True)
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
    was_missing = False
    for kill in range(lines - 36, lines - 6):
        assert run_mcprun("bless", "good", "baseline", cwd=tmp_path).code == 0
        assert mcprun.run("bless", "good", "baseline", "--slim", cwd=tmp_path, kill=kill).code == -signal.SIGKILL
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
