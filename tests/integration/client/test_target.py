"""A command line that ends in `.json` is a command line, not a configuration file."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.support.cli import RAW, run_mcprun, script, write_jsonl


def test_a_command_line_that_ends_in_json_is_run(tmp_path: Path) -> None:
    """`batch`, whatever the name of its prompts file, and `tools` run it.

    So does a run whose server is in `mcprun.toml`.
    """
    (tmp_path / "x.json").write_text("{}")
    write_jsonl(tmp_path / "p.txt", script(("ok", {})))
    for argument in ("./x.json", "./x.json#it", "./x.jsonl"):
        server = f"'{sys.executable}' '{RAW}' {argument}"
        done = run_mcprun("batch", "p.txt", server, cwd=tmp_path)
        assert (0, server) == (done.code, done.record["arguments"]["server"])
    assert run_mcprun("tools", server, cwd=tmp_path).code == 0
    (tmp_path / "mcprun.toml").write_text(f"server = {json.dumps(server)}\nprompts = 'p.txt'\n")
    (tmp_path / "sub").mkdir()
    assert run_mcprun("batch", cwd=tmp_path / "sub").code == 0
