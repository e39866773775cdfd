"""List runs, and remove old ones: never a baseline, an unfinished or locked run, or a folder that is not a run."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from mcprun._util.operating_system import lock
from mcprun.runs.listing import ListedRun, finish_removals, list_runs, plan_removal, remove, repair_latest, why_kept
from mcprun.runs.run_record import BaselineRecord, ComparedCounts
from tests.support.cli import write_jsonl
from tests.support.runs import event, failed, transcript, write_run


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an empty folder `outputs` in the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "outputs").mkdir()
    return Path("outputs")


def add_run(folder: Path, name: str, day: int, **more: Any) -> Path:
    """Write a run that started on a day of November 2026, with one query that passed and one that failed."""
    path = write_run(
        folder / name,
        [transcript("a"), failed("b", "why")],
        [event("run_start", 0)],
        started=f"2026-11-{day:02}T10:00:00.000Z",
        **more,
    )
    write_jsonl(path / "queries.jsonl", {"id": "a", "digest": "0" * 16}, {"id": "b", "digest": "0" * 16})
    return path


def compared(baseline: str) -> BaselineRecord:
    """Return the record of a comparison that found two regressions."""
    counts = ComparedCounts(same=1, changed=2, added=0, removed=0, regressions=2, chance=0, fewer=0, breaking=0)
    return BaselineRecord(path=baseline, compared=counts)


def names(runs: list[ListedRun]) -> list[str]:
    return [one.path.name for one in runs]


def test_runs_are_listed_newest_first(outputs: Path) -> None:
    """The order is that of their start, whatever their names and the order of the file system."""
    for name, day in (("a", 2), ("z", 1), ("m", 3)):
        add_run(outputs, name, day, baseline=compared("baseline"))
    found = list_runs(outputs)
    assert names(found) == ["m", "a", "z"]
    assert found[0].line() == {
        "name": "m",
        "path": "outputs/m",
        "state": "finished",
        "problem": None,
        "started": "2026-11-03T10:00:00.000Z",
        "seconds": 1.5,
        "prompts": "prompts/shop.jsonl",
        "shard": None,
        "server": "shop.py",
        "server_name": "shop",
        "model": "script",
        "verdicts": {"passed": 1, "failed": 1, "error": 0, "skipped": 0},
        "exit_code": 1,
        "baseline": "baseline",
        "regressions": 2,
        "is_baseline": False,
        "bytes": sum(file.stat().st_size for file in (outputs / "m").iterdir()),
    }


def test_damaged_runs_are_listed_with_their_problem(outputs: Path) -> None:
    """A damaged run is listed and never removed. Links, files and folders that are not runs are left out."""
    good = add_run(outputs, "good", 1)
    for name, content in (("cut", '{"schema": 1, "st'), ("empty", ""), ("binary", "\0\1")):
        shutil.copytree(good, outputs / name)
        (outputs / name / "run.json").write_text(content)
    shutil.copytree(good, outputs / "lost")
    (outputs / "lost" / "transcripts.jsonl").unlink()
    shutil.copytree(good, outputs / "folder")
    (outputs / "folder" / "run.json").unlink()
    (outputs / "folder" / "run.json").mkdir()
    (outputs / "mine").mkdir()
    (outputs / "mine" / "run.json").write_text('{"scripts": {}}')
    (outputs / "plain").mkdir()
    (outputs / "latest").symlink_to("good")
    (outputs / "report.html").write_text("")
    found = list_runs(outputs)
    damaged = {one.path.name: one.problem for one in found if one.problem}
    assert sorted(names(found)) == ["binary", "cut", "empty", "folder", "good", "lost"]
    assert sorted(damaged) == ["binary", "cut", "empty", "folder", "lost"]
    assert damaged["cut"].startswith("outputs/cut/run.json is damaged: it is incomplete JSON (it ends at line 1")
    assert damaged["lost"] == "outputs/lost has no transcripts.jsonl"
    assert damaged["folder"] == "outputs/folder/run.json is a folder, not a regular file"
    assert all(one.line()["verdicts"] is None for one in found if one.problem)
    plan = plan_removal(found, 0)
    assert names(list(plan.runs)) == ["good"]


def test_the_newest_runs_are_kept(outputs: Path) -> None:
    """All but the newest are removed, together with their folders, and `latest` names a run that is left."""
    for day in range(1, 6):
        add_run(outputs, f"run{day}", day)
    (outputs / "latest").symlink_to("run1")
    plan = plan_removal(list_runs(outputs), 2)
    assert (names(list(plan.runs)), plan.kept) == (["run3", "run2", "run1"], [])
    assert [remove(one) for one in plan.runs] == ["", "", ""]
    repair_latest()
    assert sorted(entry.name for entry in outputs.iterdir()) == ["latest", "run4", "run5"]
    assert (outputs / "latest").resolve().name == "run5"
    assert [remove(one) for one in plan_removal(list_runs(outputs), 0).runs] == ["", ""]
    repair_latest()
    assert list(outputs.iterdir()) == []


def test_more_runs_than_there_are_can_be_kept(outputs: Path) -> None:
    """Nothing is removed if there are not more runs than are to be kept, or none, or no folder."""
    add_run(outputs, "run", 1)
    assert plan_removal(list_runs(outputs), 1).runs == []
    assert plan_removal(list_runs(Path("nowhere")), 0).runs == []


def test_baselines_are_never_removed(outputs: Path) -> None:
    """A baseline does not count as a run to keep.

    What `bless` wrote, the configured baseline, and the baseline of a run that is kept are not removed.
    """
    blessed = add_run(outputs, "blessed", 20)
    (blessed / "queries.jsonl").unlink()
    add_run(outputs, "configured", 1)
    add_run(outputs, "compared", 2)
    add_run(outputs, "old", 3)
    add_run(outputs, "new", 4, baseline=compared("compared"))
    plan = plan_removal(list_runs(outputs), 1, {(outputs / "configured").resolve()})
    assert names(list(plan.runs)) == ["old"]
    assert [(one.path.name, why) for one, why in plan.kept] == [
        ("compared", "it is a baseline"),
        ("configured", "it is a baseline"),
    ]


@pytest.mark.parametrize("state", ["started", "interrupted"])
def test_an_unfinished_run_is_not_removed(outputs: Path, state: str) -> None:
    """The reason names the command that continues it."""
    add_run(outputs, "half", 1, state=state)
    (half,) = list_runs(outputs)
    why = "it is unfinished; continue it with: mcprun batch --resume outputs/half"
    assert (plan_removal([half], 0).runs, why_kept(half)) == ([], why)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such locks")
def test_a_locked_run_is_not_removed(outputs: Path) -> None:
    """A run that is locked is kept, also if it was locked after the runs were listed."""
    path = add_run(outputs, "busy", 1)
    (busy,) = list_runs(outputs)
    with (path / "trace.jsonl").open("r+b") as trace:
        lock(trace.fileno())
        why = "another mcprun process is writing it"
        assert (why_kept(busy), remove(busy)) == (why, why)
    assert (why_kept(busy), remove(busy)) == ("", "")
    assert not path.exists()


@pytest.mark.parametrize("name", ["report.html", "notes/deep.txt", ".hidden"])
def test_a_run_with_other_files_is_not_removed(outputs: Path, name: str) -> None:
    """Files of a user in the folder of a run are not removed, nor is the run."""
    path = add_run(outputs, "mixed", 1)
    (path / name).parent.mkdir(exist_ok=True)
    (path / name).write_text("precious")
    (mixed,) = list_runs(outputs)
    why = f"it also contains {Path(name).parts[0]}"
    assert (why_kept(mixed), remove(mixed)) == (why, why)
    assert (path / "transcripts.jsonl").exists()
    assert (path / name).read_text() == "precious"


def test_a_removal_that_was_killed_is_finished(outputs: Path) -> None:
    """What a killed removal has left is no run, and is deleted by the next one. Other hidden folders are not."""
    add_run(outputs, ".removed-old", 1)
    mine = add_run(outputs, ".removed-mine", 2)
    (mine / "notes.txt").write_text("precious")
    assert list_runs(outputs) == []
    finish_removals(outputs)
    assert [entry.name for entry in outputs.iterdir()] == [".removed-mine"]
    assert (mine / "transcripts.jsonl").exists()


def test_links_are_not_followed(outputs: Path, tmp_path: Path) -> None:
    """A link to a run elsewhere is neither listed nor removed, and a link among its files is not followed."""
    elsewhere = add_run(tmp_path, "elsewhere", 1)
    (outputs / "link").symlink_to(elsewhere)
    assert list_runs(outputs) == []
    path = add_run(outputs, "run", 1)
    (path / "server.log").unlink()
    (path / "server.log").symlink_to(elsewhere / "server.log")
    assert [remove(one) for one in list_runs(outputs)] == [""]
    assert (elsewhere / "server.log").exists()
    assert not path.exists()
