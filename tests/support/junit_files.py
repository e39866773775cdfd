"""Run queries with mixed outcomes and read the JUnit file."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from tests.support.cli import RAW, Result, run_mcprun, script, write_jsonl

MIXED = (
    script(("ok", {}), id="passes"),
    script(("ok", {}), id="fails", expect={"text": {"contains": "6"}, "never": ["ok"]}),
    script(("die", {}), id="kills"),
)
"""A query that passes, one that fails two checks, and one whose server dies."""


def cases(text: str) -> dict[str, str]:
    """Map each testcase to the tag of its first child, or to `passed` if it has none."""
    testcases = ET.fromstring(text).iter("testcase")
    return {case.attrib["name"]: case[0].tag if len(case) else "passed" for case in testcases}


def run_mixed(folder: Path, *args: str) -> Result:
    """Run the mixed queries with `--junit ci/junit.xml`."""
    write_jsonl(folder / "mixed.jsonl", *MIXED)
    return run_mcprun("batch", "mixed.jsonl", RAW, "--junit", "ci/junit.xml", "--restarts", "5", *args, cwd=folder)
