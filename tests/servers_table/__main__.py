"""`python -m tests.servers_table [PART ...] [--starts N] [--json FILE] [--write]`: test servers and print a table.

Each server is installed from npm or PyPI, which takes minutes and about 2 GB the first time, and then run with mcprun in a
network namespace that has only loopback. That needs Linux and `unshare` (util-linux). `--write` updates the record
beside this file and the table in docs/servers-tried.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from tests.release.environments import BrokenError
from tests.servers_table.installing import install
from tests.servers_table.table import BEGIN, END, RECORD, Record, Row
from tests.servers_table.trying import select
from tests.support.documents import replace_block
from tests.support.machine import describe_machine

DOCUMENT = Path(__file__).parents[2] / "docs" / "servers-tried.md"

_WITHOUT_NETWORK = ("unshare", "--map-root-user", "--net")


def main() -> int:
    """Install and test the servers, and print and write the results. Return 1 if any server fails, else 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.servers_table", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help="test only packages whose name contains PART (default: all)"
    )
    parser.add_argument("--starts", type=int, default=5, metavar="N", help="starts of each server (default: 5)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write the record to FILE")
    parser.add_argument("--write", action="store_true", help="replace the record and the table in the documentation")
    parser.add_argument(
        "--machine",
        metavar="WORDS",
        default=describe_machine(),
        help="description of the machine (default: %(default)s)",
    )
    options = parser.parse_args()
    all_installed = True
    for candidate in select(options.parts):
        try:
            log(f"{candidate.package} {install(candidate).version}")
        except BrokenError as broken:
            log(f"{candidate.package} can't be installed: {broken}")
            all_installed = False
    rows, all_tried = try_servers(options.parts, options.starts)
    record = Record(options.machine, options.starts, rows)
    print(record.markdown)
    if options.json:
        options.json.write_text(record.text)
    if options.write and all_installed and all_tried:
        merged = Record.read().updated(record) if options.parts else record
        RECORD.write_text(merged.text)
        document = DOCUMENT.read_text(encoding="utf-8")
        DOCUMENT.write_text(replace_block(document, BEGIN, END, merged.markdown), encoding="utf-8")
    return 0 if all_installed and all_tried else 1


def try_servers(parts: list[str], starts: int) -> tuple[tuple[Row, ...], bool]:
    """Test servers in a process without a network. Return the rows, and whether all servers were tested."""
    command = [*_WITHOUT_NETWORK, sys.executable, "-m", "tests.servers_table.trying", str(starts), *parts]
    rows = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            rows.append(Row.of(json.loads(line)))
            log(" | ".join(rows[-1].cells))
    return tuple(rows), process.returncode == 0


def log(text: str) -> None:
    """Print a progress message."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
