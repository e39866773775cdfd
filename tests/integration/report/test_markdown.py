"""Markdown reports as commands write them."""

from __future__ import annotations

import shlex
from pathlib import Path

from tests.support.cli import RAW, run_mcprun, script, write_jsonl
from tests.support.flaky import flaky
from tests.support.forks import Forks
from tests.support.markdown_text import tokens


def test_markdown_report_of_a_failed_run(tmp_path: Path) -> None:
    """The report has a marker, a headline, each failed check, the prompts and the server, and the folded conversation.

    The command in it runs the failed query again.
    """
    failing = script(("ok", {}), id="it [1]", expect={"text": {"contains": "6"}})
    write_jsonl(tmp_path / "p q.jsonl", failing, script(id="fine"))
    done = run_mcprun("batch", "p q.jsonl", RAW, "--out", "r", "--markdown", "m.md", "--", "odd", cwd=tmp_path)
    text = (tmp_path / "m.md").read_text()
    assert done.code == 1
    assert text.startswith("<!-- mcprun:p-q -->\n### ✗ Failed: p q, 1 passed, 1 failed\n")
    shown = "".join(token.content for token in tokens(text) if token.type in ("text", "text_special"))
    assert "expected text with '6', got 'Done.'" in shown
    assert "server raw" not in shown
    assert "prompts p q.jsonl; server " in shown
    (command, message, again) = (token.content for token in tokens(text) if token.type == "fence")
    assert command == (
        f"mcprun batch 'p q.jsonl' {RAW} --model script --filter 'it [1]' -- odd\nmcprun show r 'it [1]'\n"
    )
    assert message.splitlines()[2:] == ["user     Do it.", "call 0   ok{}", '→        ["ok", {}]', "model    Done."]
    assert again == command
    done = run_mcprun(*shlex.split(command.splitlines()[0])[1:], cwd=tmp_path)
    assert list(done.verdicts) == ["it [1]"]


def test_the_command_in_the_report_starts_the_server_alike(tmp_path: Path) -> None:
    """It has the options about how the server is started, and only the names of variables, which a note lists."""
    write_jsonl(tmp_path / "p.jsonl", script(("ok", {}), id="a", expect={"text": {"contains": "6"}}))
    flags = ("--env", "KEY=s3cret-value", "--scratch", "--fresh-server", "--protocol", "legacy")
    assert run_mcprun("batch", "p.jsonl", RAW, *flags, "--markdown", "m.md", cwd=tmp_path).code == 1
    text = (tmp_path / "m.md").read_text()
    (command, _, again) = (token.content for token in tokens(text) if token.type == "fence")
    how = "--model script --env KEY --scratch --protocol legacy --fresh-server"
    assert again == command
    assert command.splitlines()[0] == f"mcprun batch p.jsonl {RAW} {how} --filter a"
    assert "Set KEY first: secrets are not recorded." in "".join(
        token.content for token in tokens(text) if token.type in ("text", "text_special")
    )
    assert "s3cret" not in text


def test_markdown_report_of_repeats(mcprun: Forks, tmp_path: Path) -> None:
    """Pass rates are in a table, and failed repeats that do not count are mentioned."""
    flaky(mcprun, tmp_path, "--repeat", "4", "--pass-rate", "0.75", "--markdown", "m.md")
    text = (tmp_path / "m.md").read_text()
    assert "### ✓ Passed: p, 8 runs of 2 queries: 7 passed, 1 failed\n" in text
    assert "Not counted as failures: 1 failed repeat of queries that reached their required pass rate." in text
    assert "| <code>sometimes</code> | <code>✓✗✓✓</code> | 3/4 | 75 % | 30 % to 95 % | 75 % | flaky |" in text
    assert "details" not in text
