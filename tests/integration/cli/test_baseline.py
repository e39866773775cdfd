"""Baselines: accepted explicitly, compared in the same command, and small."""

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
    """Make the run of the good shop a baseline."""
    folder = tmp_path_factory.mktemp("baseline")
    assert run_mcprun("bless", recorded.run, "baseline", cwd=folder).code == 0
    return folder / "baseline"


@pytest.fixture(autouse=True)
def copy_baseline(baseline: Path, good: Result, tmp_path: Path) -> None:
    """Give each test a copy of the baseline, beside the run that it was made of."""
    shutil.copytree(baseline, tmp_path / "baseline")


def compared(folder: Path, version: str, *flags: str) -> Result:
    """Run a version of the shop, and compare."""
    return run_mcprun("batch", PROMPTS, EXAMPLE_SERVERS / version, "--baseline", "baseline", *flags, cwd=folder)


def test_the_same_is_no_regression(tmp_path: Path, good: Result) -> None:
    """Exit 0; and the baseline can be replayed, and is not touched by any of it."""
    before = {file.name: file.read_bytes() for file in (tmp_path / "baseline").iterdir()}
    assert set(before) == {"run.json", "transcripts.jsonl"}
    done = compared(tmp_path, "shop.py", "--model", "replay:baseline")
    assert (done.code, done.stdout.splitlines()[-1], done.bytes) == (0, "3 unchanged", good.bytes)
    assert compared(tmp_path, "shop_free_shipping.py").code == 1
    assert {file.name: file.read_bytes() for file in (tmp_path / "baseline").iterdir()} == before


def test_a_regression(tmp_path: Path) -> None:
    """What changed is shown below the totals, and the exit code is 1, although all passed."""
    done = compared(tmp_path, "shop_free_shipping.py")
    assert (done.code, done.record["counts"]["passed"]) == (1, 3)
    assert "      - shipping: 2.5\n      + shipping: 0.0\n1 changed, 2 unchanged\n" in done.stdout
    assert compared(tmp_path, "shop_free_shipping.py", "--ignore", "calls[*].result.shipping").code == 0
    assert compared(tmp_path, "shop_free_shipping.py", "--filter", "apple").code == 0


def test_a_query_that_is_gone(tmp_path: Path) -> None:
    """A prompts file that lost a query is a regression; a run of some of them is not."""
    lines = PROMPTS.read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "fewer.jsonl").write_text("".join(lines[:2]), encoding="utf-8")
    fewer = run_mcprun("batch", "fewer.jsonl", EXAMPLE_SERVERS / "shop.py", "--baseline", "baseline", cwd=tmp_path)
    assert (fewer.code, "- big-basket  passed  only in BASE" in fewer.stdout) == (1, True)
    assert compared(tmp_path, "shop.py", "--limit", "2").code == 0


def test_what_gets_better_is_none(tmp_path: Path) -> None:
    """A baseline of failures does not hold a mended server back."""
    queries = [script(("refuse", {})) | {"id": "q"}]
    write_jsonl(tmp_path / "p.jsonl", *queries)
    bad = run_mcprun("batch", "p.jsonl", RAW, "--out", "bad", cwd=tmp_path)
    assert bad.code == 1
    assert run_mcprun("bless", "bad", "bad-baseline", cwd=tmp_path).code == 0
    write_jsonl(tmp_path / "p.jsonl", script(("ok", {})) | {"id": "q"})
    done = run_mcprun("batch", "p.jsonl", RAW, "--baseline", "bad-baseline", cwd=tmp_path)
    assert (done.code, "~ q  failed → passed" in done.stdout) == (0, True)


def test_a_slim_baseline(tmp_path: Path, recorded: Result) -> None:
    """It is smaller, compares the same, and holds nothing of the machine that made it."""
    done = run_mcprun("bless", "good", "slim", "--slim", cwd=tmp_path)
    assert (done.code, done.stdout.startswith("slim: 3 transcripts of good, ")) == (0, True)
    sizes = {name: sum(file.stat().st_size for file in (tmp_path / name).iterdir()) for name in ("slim", "baseline")}
    assert sizes["slim"] < sizes["baseline"]
    assert run_mcprun("diff", "slim", "good", cwd=tmp_path).stdout == "3 unchanged\n"
    assert run_mcprun("diff", "slim", "good", "--text", "--usage", cwd=tmp_path).code == 0
    assert str(recorded.run.parent).encode() not in (tmp_path / "slim" / "run.json").read_bytes()


def test_what_is_not_blessed(tmp_path: Path, good: Result) -> None:
    """A run with errors, a folder that holds something else, the run itself; and what is replaced is replaced whole."""
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


def test_a_baseline_loses_no_query_by_accident(tmp_path: Path, good: Result) -> None:
    """A run of some of its queries is refused, and says what would be lost; a first baseline may hold what it likes."""
    before = (tmp_path / "baseline" / "transcripts.jsonl").read_bytes()
    assert compared(tmp_path, "shop.py", "--limit", "1", "--out", "some").code == 0
    refused = run_mcprun("bless", "some", "baseline", cwd=tmp_path)
    message = "some lacks 2 of the queries in baseline ('small-basket', 'big-basket'), and queries"
    assert (refused.code, message in refused.stderr) == (2, True)
    assert (tmp_path / "baseline" / "transcripts.jsonl").read_bytes() == before
    assert run_mcprun("bless", "some", "first", cwd=tmp_path).code == 0
    assert run_mcprun("bless", "good", "first", cwd=tmp_path).code == 0
    assert run_mcprun("bless", "some", "baseline", "--force", cwd=tmp_path).code == 0
    assert [one.id for one in Run.read(str(tmp_path / "baseline")).transcripts()] == ["apple"]


def test_a_damaged_baseline_is_told_of_before_anything_is_run(tmp_path: Path) -> None:
    """A run of hours is not done for a comparison that can't be made."""
    file = tmp_path / "baseline" / "transcripts.jsonl"
    first, second, *rest = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([first, second[:40] + b"\n", *rest]))
    before = runs(tmp_path)
    done = compared(tmp_path, "shop.py")
    assert (done.code, runs(tmp_path)) == (2, before)
    assert done.stderr.startswith("Error: baseline/transcripts.jsonl has a line that is not a transcript: ")


def test_a_damaged_recording_is_told_of_before_anything_is_run(tmp_path: Path, good: Result) -> None:
    """So is one that is to be played back; and `outputs/latest` stays what it was."""
    file = shutil.copytree(good.run, tmp_path / "recorded") / "transcripts.jsonl"
    file.write_bytes(file.read_bytes().replace(b'"turns"', b'"tunrs"', 1))
    before = runs(tmp_path)
    done = run_mcprun("batch", PROMPTS, EXAMPLE_SERVERS / "shop.py", "--model", "replay:recorded", cwd=tmp_path)
    assert (done.code, runs(tmp_path)) == (2, before)
    assert done.stderr.startswith("Error: recorded/transcripts.jsonl has a line that is not a transcript: ")


def runs(folder: Path) -> set[Path]:
    """Name the runs in `outputs`, and the latest one."""
    return {entry.resolve() for entry in folder.glob("outputs/*")}


def test_many_queries_that_would_be_lost(tmp_path: Path) -> None:
    """The first of them are named, and all are counted."""
    prompts = write_jsonl(tmp_path / "p.jsonl", *(script(("ok", {}), id=f"q{number}") for number in range(9)))
    for name, *flags in (("all",), ("one", "--limit", "1")):
        assert run_mcprun("batch", prompts, RAW, "--out", name, *flags, cwd=tmp_path).code == 0
    assert run_mcprun("bless", "all", "nine", cwd=tmp_path).code == 0
    refused = run_mcprun("bless", "one", "nine", cwd=tmp_path)
    message = "lacks 8 of the queries in nine ('q1', 'q2', 'q3', 'q4', 'q5' and 3 more), and"
    assert (refused.code, message in refused.stderr) == (2, True)


def test_a_slim_baseline_is_not_played_back(tmp_path: Path) -> None:
    """It says that it is slim, also when it was made of a slim one, and nothing is run."""
    assert run_mcprun("bless", "good", "slim", "--slim", cwd=tmp_path).code == 0
    assert run_mcprun("bless", "slim", "copy", cwd=tmp_path).code == 0
    for name in ("slim", "copy"):
        refused = compared(tmp_path, "shop.py", "--model", f"replay:{name}", "--out", "never")
        assert (
            refused.code,
            f"{name} is a slim baseline, which holds no conversations to replay" in refused.stderr,
        ) == (
            2,
            True,
        )
    assert not (tmp_path / "never").exists()


def test_a_link_is_followed(tmp_path: Path) -> None:
    """What it points to becomes the baseline, the link stays, and nothing is left beside either of them."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "baseline").replace(tmp_path / "deep" / "kept")
    (tmp_path / "link").symlink_to("deep/kept")
    done = run_mcprun("bless", "good", "link", "--slim", cwd=tmp_path)
    assert (done.code, (tmp_path / "link").is_symlink()) == (0, True)
    assert Run.read(str(tmp_path / "deep" / "kept")).record.slim
    assert sorted(file.name for file in tmp_path.iterdir()) == ["deep", "good", "link", "outputs"]
    assert [file.name for file in (tmp_path / "deep").iterdir()] == ["kept"]


def test_what_can_not_be_written_leaves_nothing(tmp_path: Path) -> None:
    """A run that can't be read to its end is not blessed, and the baseline stays what it was."""
    before = {file.name: file.read_bytes() for file in (tmp_path / "baseline").iterdir()}
    with (tmp_path / "good" / "transcripts.jsonl").open("a") as file:
        file.write("{}\n")
    refused = run_mcprun("bless", "good", "baseline", "--force", cwd=tmp_path)
    assert (refused.code, "has a line that is not a transcript" in refused.stderr) == (2, True)
    assert {file.name: file.read_bytes() for file in (tmp_path / "baseline").iterdir()} == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["baseline", "good", "outputs"]


def test_a_kill_loses_no_baseline(mcprun: Forks, tmp_path: Path) -> None:
    """Killed at any line, the old one or the new one is there, whole, once the next bless has put right what was left."""
    assert compared(tmp_path, "shop.py", "--limit", "1", "--out", "some").code == 0
    old = (tmp_path / "baseline" / "transcripts.jsonl").read_bytes()
    lines = mcprun.lines("bless", "good", "baseline", "--slim", cwd=tmp_path)
    new = (tmp_path / "baseline" / "transcripts.jsonl").read_bytes()
    was_away = False
    for kill in range(lines - 36, lines - 6):
        assert run_mcprun("bless", "good", "baseline", cwd=tmp_path).code == 0
        assert mcprun.run("bless", "good", "baseline", "--slim", cwd=tmp_path, kill=kill).code == -signal.SIGKILL
        was_away = was_away or not (tmp_path / "baseline").exists()
        assert run_mcprun("bless", "some", "baseline", cwd=tmp_path).code == 2
        assert (tmp_path / "baseline" / "transcripts.jsonl").read_bytes() in (old, new)
    assert was_away
    assert run_mcprun("bless", "good", "baseline", cwd=tmp_path).code == 0
    assert sorted(file.name for file in tmp_path.iterdir()) == ["baseline", "good", "outputs", "some"]


def test_what_could_not_be_tried_is_no_regression(tmp_path: Path) -> None:
    """A server that does not start is an error, exit 3, though all differs from the baseline."""
    (tmp_path / "dead.py").write_text("raise SystemExit(7)\n")
    args = ("batch", PROMPTS, "dead.py", "--model", "replay:baseline", "--baseline", "baseline", "--junit", "j.xml")
    done = run_mcprun(*args, cwd=tmp_path)
    assert (done.code, "3 changed" in done.stdout) == (3, True)
    assert 'failures="0"' in (tmp_path / "j.xml").read_text()


def test_an_error_in_place_of_a_result_is_one(tmp_path: Path) -> None:
    """A tool that comes to fail with the words it used to say differs, in the replay and from the baseline."""
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
