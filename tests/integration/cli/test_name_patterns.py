"""Name patterns in `--filter` and `expect.never`."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.cli import QUICKSTART, RAW, run_mcprun, script, write_jsonl
from tests.support.name_patterns import prompts

__all__ = ["prompts"]


def test_filters_select_ids_that_look_like_patterns(tmp_path: Path, prompts: Path) -> None:
    """`--filter`, the project's file and `MCPRUN_FILTER` select ids that look like patterns.

    A resumed run has the same queries.
    """
    done = run_mcprun("batch", prompts, RAW, "--filter", "a[1]", "--out", "run", cwd=tmp_path)
    assert (done.code, list(done.verdicts)) == (0, ["a[1]"])
    resumed = run_mcprun("batch", "--resume", "run", cwd=tmp_path)
    assert (resumed.code, list(resumed.verdicts)) == (0, ["a[1]"])
    (tmp_path / "mcprun.toml").write_text(
        f"prompts = 'p.jsonl'\nserver = {json.dumps(str(RAW))}\nfilter = ['b*', 'e,f']\n"
    )
    assert list(run_mcprun("batch", cwd=tmp_path).verdicts) == ["b*", "e,f"]
    assert list(run_mcprun("batch", cwd=tmp_path, env={"MCPRUN_FILTER": "'a[1]' c?"}).verdicts) == ["a[1]", "c?"]
    assert run_mcprun("show", "run", "a[1]", cwd=tmp_path).code == 0


def test_never_matches_a_tool_whose_name_is_the_pattern(tmp_path: Path) -> None:
    """A tool whose name is the pattern itself counts as called."""
    call = {"tool": "x[1]", "input": {}}
    query = {**script(id="q"), "script": [{"calls": [call]}, {"text": "."}], "expect": {"never": ["x[1]"]}}
    done = run_mcprun("batch", write_jsonl(tmp_path / "p.jsonl", query), QUICKSTART[1], cwd=tmp_path)
    assert (done.code, "expected no call to x[1], got x[1]" in done.stderr) == (1, True)
