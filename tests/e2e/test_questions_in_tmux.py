"""Commands that ask on a terminal, driven by keys in tmux."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.cli import EXAMPLE_SERVERS, RAW, clean_environment, run_mcprun, script, write_jsonl
from tests.support.tmux import missing, screen

pytestmark = pytest.mark.skipif(missing(), reason="needs tmux")

MCPRUN = (sys.executable, "-m", "mcprun")


@pytest.mark.parametrize(("answer", "left", "code"), [("n", ["one", "three", "two"], 1), ("y", ["three"], 0)])
def test_runs_are_removed_only_if_the_answer_is_yes(tmp_path: Path, answer: str, left: list[str], code: int) -> None:
    """`mcprun runs --keep` lists what it would remove, and asks."""
    write_jsonl(tmp_path / "p.jsonl", script(("ok", {})))
    for name in ("one", "two", "three"):
        assert run_mcprun("batch", "p.jsonl", RAW, "--out", f"outputs/{name}", cwd=tmp_path).code == 0
    with screen(tmp_path, *MCPRUN, "runs", "--keep", "1", env=clean_environment()) as window:
        text = window.shows("Remove 2 runs (")
        assert all(f"  outputs/{name}  20" in text for name in ("one", "two"))
        window.type(answer)
        window.press("Enter")
        window.shows(f"exit code {code}")
    outputs = tmp_path / "outputs"
    assert sorted(entry.name for entry in outputs.iterdir() if entry.name != "latest") == left


def test_differences_are_accepted_one_by_one(tmp_path: Path) -> None:
    """`mcprun bless --interactive` shows each difference without colour, asks, and accepts what was chosen."""
    queries = [script(("total", {"items": {item: 3}}), id=item) for item in ("apple", "milk", "bread")]
    prompts = write_jsonl(tmp_path / "p.jsonl", *queries)
    for server, name in (("shop.py", "old"), ("shop_free_shipping.py", "new")):
        run_mcprun("batch", prompts, EXAMPLE_SERVERS / server, "--out", name, cwd=tmp_path)
    assert run_mcprun("bless", "old", "baseline", cwd=tmp_path).code == 0
    command = (*MCPRUN, "bless", "new", "baseline", "--interactive")
    with screen(tmp_path, *command, env=clean_environment()) as window:
        for number, answer in enumerate(("what", "n", "y", "q"), 1):
            window.shows("Accept this change? [y, n, a, q, ?]", times=number)
            window.type(answer)
            window.press("Enter")
        text = window.shows("exit code 0")
    assert text.count("- shipping: 2.5") == 3
    assert "y  accept this change" in text
    assert "baseline: accepted 1 changed; kept 2, " in text
    assert "Next: mcprun batch " in text
    changed = run_mcprun("diff", "old", "baseline", cwd=tmp_path).stdout.splitlines()
    assert (changed[0], changed[-1]) == ("~ milk  passed", "1 changed, 2 unchanged")


def test_an_interrupt_accepts_nothing(tmp_path: Path) -> None:
    """Ctrl-C leaves the baseline as it is, although a change was accepted before."""
    queries = [script(("total", {"items": {item: 3}}), id=item) for item in ("apple", "milk")]
    prompts = write_jsonl(tmp_path / "p.jsonl", *queries)
    for server, name in (("shop.py", "old"), ("shop_free_shipping.py", "new")):
        run_mcprun("batch", prompts, EXAMPLE_SERVERS / server, "--out", name, cwd=tmp_path)
    assert run_mcprun("bless", "old", "baseline", cwd=tmp_path).code == 0
    with screen(tmp_path, *MCPRUN, "bless", "new", "baseline", "-i", env=clean_environment()) as window:
        window.shows("Accept this change?")
        window.type("y")
        window.press("Enter")
        window.shows("Accept this change?", times=2)
        window.press("C-c")
        window.shows("exit code 130")
    assert run_mcprun("diff", "old", "baseline", cwd=tmp_path).code == 0
