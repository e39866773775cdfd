"""The README's table of real servers matches its record."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.servers_table.candidates import CANDIDATES
from tests.servers_table.table import BEGIN, END, HEAD, Record, Row, replaced
from tests.support import npm
from tests.support.cli import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")

PLAIN = Row("p", "npm", "1.0", "stdio", "2026-07-28", "1.0", 3, 500, 0.44)


def test_the_readme_has_the_table_of_the_record() -> None:
    """As `python -m tests.servers_table --write` puts it there, with at least fifteen packages and every transport."""
    record = Record.read()
    assert record.markdown in README
    assert README.count(BEGIN) == README.count(END) == 1
    head, _, *rows = [line for line in record.markdown.splitlines() if line.startswith("|")]
    assert head == "| server | transport | protocol | tools | time | oddities |"
    assert len(rows) == len(record.rows)
    assert len({row.package for row in record.rows}) >= 15
    assert {row.registry for row in record.rows} == {"npm", "PyPI"}
    assert {row.transport for row in record.rows} == {"stdio", "Streamable HTTP", "SSE"}


def test_the_record_holds_every_candidate() -> None:
    """In their order; each was started, has tools, and answered the call that it was to answer."""
    rows = Record.read().rows
    tried = [(one.package, one.transport, one.call and one.call[0], one.note) for one in CANDIDATES]
    assert [(row.package, row.transport, row.call, row.note) for row in rows] == tried
    assert all(row.tools and row.tokens and row.seconds for row in rows)


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        ({}, ""),
        ({"reported_version": "2.0"}, "reports version 2.0"),
        ({"reported_version": ""}, "reports no version"),
        ({"tokens": 18_971}, "about 19,000 tokens of definitions"),
        ({"refused": ("a",)}, "1 tool has features that the API refuses"),
        ({"refused": ("a", "b"), "note": "slow"}, "2 tools have features that the API refuses; slow"),
        (
            {"noise": True, "stays": True},
            "writes non-protocol output to stdout; keeps running after its stdin is closed",
        ),
    ],
)
def test_oddities_are_told_in_words(seen: dict[str, object], words: str) -> None:
    """What was measured comes first, then what somebody saw; a plain server has none."""
    assert replace(PLAIN, **seen).oddities == words  # type: ignore[arg-type]


@given(st.text(), st.text(), st.sampled_from(["", "a | b", "\\1 \\g<0>"]))
def test_only_the_table_is_replaced(before: str, after: str, note: str) -> None:
    """What stands around it stays, whatever the table says; a bar is no end of a cell."""
    table = Record("a machine", 5, (replace(PLAIN, note=note),)).markdown
    assert replaced(f"{before}{BEGIN}\nold\n{END}{after}", table) == f"{before}{table}{after}"
    row = next(line for line in table.splitlines() if line.startswith("| `p`"))
    assert row.replace("\\|", "").count("|") == len(HEAD) + 1


def test_one_server_may_be_tried_anew() -> None:
    """Its row is replaced where it stands, the others stay; notes are the candidates'; what is none any more goes."""
    first, second, *_ = CANDIDATES
    old, other = (replace(PLAIN, package=one.package, transport=one.transport) for one in (first, second))
    record = Record("a machine", 5, (PLAIN, old, other))
    new = record.updated(Record("a machine", 5, (replace(old, tools=99),)))
    assert [(row.package, row.tools, row.note) for row in new.rows] == [
        (first.package, 99, first.note), (second.package, PLAIN.tools, second.note)
    ]  # fmt: skip
    for unlike in (Record("another", 5, ()), Record("a machine", 1, ())):
        with pytest.raises(ValueError, match="5 starts on a machine"):
            record.updated(unlike)


def test_a_server_is_tried(tmp_path: Path) -> None:
    """The script installs a server, tries it where there is no network, and tells what it saw."""
    if missing := npm.missing():
        pytest.skip(f"{' and '.join(missing)} not installed: servers from npm need it")
    alone = ["unshare", "--map-root-user", "--net", "true"]
    if not shutil.which("unshare") or subprocess.run(alone, stderr=subprocess.DEVNULL, check=False).returncode:
        pytest.skip("no network namespace can be made: Linux's unshare is not there, or not allowed")
    command = [sys.executable, "-m", "tests.servers_table", "sequential-thinking", "--starts", "1"]
    done = subprocess.run(
        [*command, "--json", tmp_path / "seen.json"],
        cwd=ROOT, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    record = Record.read(tmp_path / "seen.json")
    assert record.markdown == done.stdout.rstrip("\n")
    (row,) = record.rows
    assert (row.tools, row.call, row.transport) == (1, "sequentialthinking", "stdio")
    assert json.loads(record.text)["rows"][0]["package"] == row.package
