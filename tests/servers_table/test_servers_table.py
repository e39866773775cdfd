"""The documented table of third-party servers, its record, and the program that writes both."""

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
from tests.servers_table.table import BEGIN, END, HEAD, Record, Row
from tests.support import npm
from tests.support.cli import ROOT
from tests.support.documents import page, replace_block

PLAIN = Row("p", "npm", "1.0", "stdio", "2026-07-28", "1.0", 3, 500, 0.44)


def test_the_page_has_the_table_of_the_record() -> None:
    """docs/servers-tried.md has the table of the record once, with at least 15 packages, both registries and every transport."""
    record = Record.read()
    assert record.markdown in page("servers-tried")
    assert page("servers-tried").count(BEGIN) == page("servers-tried").count(END) == 1
    head, _, *rows = [line for line in record.markdown.splitlines() if line.startswith("|")]
    assert head == "| server | transport | protocol | tools | time | oddities |"
    assert len(rows) == len(record.rows)
    assert len({row.package for row in record.rows}) >= 15
    assert {row.registry for row in record.rows} == {"npm", "PyPI"}
    assert {row.transport for row in record.rows} == {"stdio", "Streamable HTTP", "SSE"}


def test_the_record_has_every_candidate() -> None:
    """The record lists the candidates in order, each with tools, tokens, a start time and the call it specifies."""
    rows = Record.read().rows
    tried = [(one.package, one.transport, one.call and one.call[0], one.note) for one in CANDIDATES]
    assert [(row.package, row.transport, row.call, row.note) for row in rows] == tried
    assert all(row.tools and row.tokens and row.seconds for row in rows)


@pytest.mark.parametrize(
    ("results", "text"),
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
def test_oddities_are_described(results: dict[str, object], text: str) -> None:
    """Measured oddities come first, then the note. A server without any has an empty cell."""
    assert replace(PLAIN, **results).oddities == text  # type: ignore[arg-type]


@given(st.text(), st.text(), st.sampled_from(["", "a | b", "\\1 \\g<0>"]))
def test_only_the_table_is_replaced(before: str, after: str, note: str) -> None:
    """The text around the table is kept, whatever the table contains, and `|` is escaped in cells."""
    table = Record("a machine", 5, (replace(PLAIN, note=note),)).markdown
    assert replace_block(f"{before}{BEGIN}\nold\n{END}{after}", BEGIN, END, table) == f"{before}{table}{after}"
    row = next(line for line in table.splitlines() if line.startswith("| `p`"))
    assert row.replace("\\|", "").count("|") == len(HEAD) + 1


def test_the_row_of_one_server_can_be_updated() -> None:
    """An update replaces the row in place, keeps the others, takes notes from the candidates and drops former ones."""
    first, second, *_ = CANDIDATES
    old, other = (replace(PLAIN, package=one.package, transport=one.transport) for one in (first, second))
    record = Record("a machine", 5, (PLAIN, old, other))
    new = record.updated(Record("a machine", 5, (replace(old, tools=99),)))
    assert [(row.package, row.tools, row.note) for row in new.rows] == [
        (first.package, 99, first.note), (second.package, PLAIN.tools, second.note)
    ]  # fmt: skip
    for different in (Record("another", 5, ()), Record("a machine", 1, ())):
        with pytest.raises(ValueError, match="5 starts on a machine"):
            record.updated(different)


def test_the_program_tests_a_server(tmp_path: Path) -> None:
    """The program installs a server, runs it without a network, and prints and writes its row."""
    if missing := npm.missing():
        pytest.skip(f"{' and '.join(missing)} not installed: servers from npm need it")
    unshared = ["unshare", "--map-root-user", "--net", "true"]
    if not shutil.which("unshare") or subprocess.run(unshared, stderr=subprocess.DEVNULL, check=False).returncode:
        pytest.skip("cannot create a network namespace: `unshare` is missing or not permitted")
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
