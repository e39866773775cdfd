"""`mcprun runs` lists runs, and removes old ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.cli import RAW, run_mcprun, script, write_jsonl


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """Make two runs that pass, one that fails, a baseline of the first, and a run that is compared with it."""
    write_jsonl(tmp_path / "p.jsonl", script(("ok", {})))
    write_jsonl(tmp_path / "bad.jsonl", script(expect={"text": {"contains": "nope"}}))
    for name in ("one", "two"):
        assert run_mcprun("batch", "p.jsonl", RAW, "--out", f"outputs/{name}", cwd=tmp_path).code == 0
    assert run_mcprun("batch", "bad.jsonl", RAW, "--out", "outputs/three", cwd=tmp_path).code == 1
    assert run_mcprun("bless", "one", "outputs/baseline", cwd=tmp_path).code == 0
    args = ("p.jsonl", RAW, "--model", "replay:outputs/baseline", "--baseline", "outputs/baseline")
    assert run_mcprun("batch", *args, "--out", "outputs/four", cwd=tmp_path).code == 0
    return tmp_path / "outputs"


def names(folder: Path) -> list[str]:
    """Return the names in a folder, sorted."""
    return sorted(entry.name for entry in folder.iterdir())


def test_runs_are_listed(outputs: Path) -> None:
    """Each run has a line with its name, time and verdicts, and one with its prompts, model, baseline and server."""
    done = run_mcprun("runs", cwd=outputs.parent, env={"TZ": "UTC"})
    *lines, totals = done.stdout.splitlines()
    assert (done.code, done.stderr) == (0, "")
    assert [line.split()[0] for line in lines[::2]] == ["four", "three", "two", "one", "baseline"]
    assert [line.split(maxsplit=3)[3] for line in lines[::2]] == ["1 passed", "1 failed", *["1 passed"] * 3]
    four = f"    prompts: p.jsonl, model: replay:outputs/baseline, baseline: outputs/baseline, server: {RAW}"
    assert lines[1] == four[: len(lines[1]) - 1] + lines[1][-1]
    assert lines[-1].startswith("    a baseline; prompts: p.jsonl, model: script, server: ")
    assert totals.startswith("5 runs, ")


def test_json_has_one_object_per_run(outputs: Path) -> None:
    """With `--json`, each line is an object; it is the only output on stdout, also with `--keep`."""
    done = run_mcprun("runs", "--json", cwd=outputs.parent)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["name"] for one in found] == ["four", "three", "two", "one", "baseline"]
    assert [one["exit_code"] for one in found] == [0, 1, 0, 0, 0]
    done = run_mcprun("runs", "--json", "--keep", "2", "--yes", cwd=outputs.parent)
    assert [json.loads(line)["name"] for line in done.stdout.splitlines()] == ["four", "three", "baseline"]
    assert "removed outputs/two\nremoved outputs/one\nremoved 2 runs, " in done.stderr


def test_old_runs_are_removed(outputs: Path) -> None:
    """`--keep --yes` removes the older runs and says which. The baseline stays, and `latest` names a run."""
    done = run_mcprun("runs", "--keep", "1", "--yes", cwd=outputs.parent)
    *lines, totals = done.stdout.splitlines()
    assert (done.code, lines) == (0, [f"removed outputs/{name}" for name in ("three", "two", "one")])
    assert totals.startswith("removed 3 runs, ")
    assert names(outputs) == ["baseline", "four", "latest"]
    assert run_mcprun("show", cwd=outputs.parent).code == 0
    again = run_mcprun("runs", "--keep", "1", "--yes", cwd=outputs.parent)
    assert (again.code, again.stdout) == (0, "nothing was removed\n")


def test_the_configured_baseline_is_kept(outputs: Path) -> None:
    """A run that the project's configuration names as the baseline is kept."""
    (outputs.parent / "mcprun.toml").write_text('baseline = "outputs/one"\n')
    done = run_mcprun("runs", "--keep", "0", "--yes", cwd=outputs.parent)
    assert (done.code, "kept outputs/one: it is a baseline\n" in done.stdout) == (0, True)
    assert names(outputs) == ["baseline", "latest", "one"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--keep", "2"), "Error: --keep would remove 2 runs, and there is no terminal to ask on: add --yes\n"),
        (("--yes",), "Error: --yes requires --keep N\n"),
        (("--keep", "-1"), "must be a whole number, at least 0, not -1"),
        (("p.jsonl",), "Error: can't read p.jsonl: Not a directory\n"),
    ],
)
def test_refusals_remove_nothing(outputs: Path, args: tuple[str, ...], message: str) -> None:
    """Without a terminal, `--keep` needs `--yes`. A refusal exits with 2 and removes nothing."""
    before = names(outputs)
    done = run_mcprun("runs", *args, cwd=outputs.parent)
    assert (done.code, message in done.stderr) == (2, True)
    assert names(outputs) == before


def test_a_folder_without_runs_is_reported(tmp_path: Path) -> None:
    """Without a run, the command that makes one is named."""
    done = run_mcprun("runs", cwd=tmp_path)
    assert (done.code, done.stdout) == (0, "there is no run in outputs: create one with mcprun batch\n")
    done = run_mcprun("runs", "output", cwd=tmp_path)
    assert (done.code, "there is no folder output: runs are listed in outputs by default" in done.stderr) == (2, True)
