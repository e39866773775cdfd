"""Results that differ in each run: `--ignore-order`, hints at what looks volatile, and what is masked."""

from __future__ import annotations

from pathlib import Path

from tests.support.cli import SERVERS, Result, run_mcprun, script, write_jsonl

SERVER = SERVERS / "volatile.py"
MASKS = (
    "--scrub", "uuid", "--scrub", "timestamp", "--scrub", "tmp", "--ignore", "calls[*].result.elapsed_ms",
)  # fmt: skip


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
