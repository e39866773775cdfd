"""`python -m tests.servers_table [PART ...] [--starts N] [--json FILE] [--write]`: try real servers, print a table.

Each server is installed from npm or PyPI, which takes minutes and some two gigabytes the first time, and then tried
with mcprun where there is no network but loopback. That needs Linux and `unshare` (util-linux). With `--write`, what
was seen replaces that in the record beside this file, and in the README's table.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

from tests.release.environments import BrokenError
from tests.servers_table.installing import install
from tests.servers_table.table import RECORD, Record, Row, replaced
from tests.servers_table.trying import chosen

README = Path(__file__).parents[2] / "README.md"

_ALONE = ("unshare", "--map-root-user", "--net")


def main() -> int:
    """Install, try, print and write; give 1 when a server can't be installed or tried."""
    parser = argparse.ArgumentParser(prog="python -m tests.servers_table", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help="parts of packages' names; all are tried without one")
    parser.add_argument("--starts", type=int, default=5, metavar="N", help="how often each server is started")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write what was seen there as well")
    parser.add_argument("--write", action="store_true", help="replace the record and the README's table")
    parser.add_argument("--machine", metavar="WORDS", default=machine(), help="what the times are from (%(default)s)")
    given = parser.parse_args()
    is_whole = True
    for candidate in chosen(given.parts):
        try:
            say(f"{candidate.package} {install(candidate).version}")
        except BrokenError as broken:
            say(f"{candidate.package} can't be installed: {broken}")
            is_whole = False
    rows, is_tried = tried(given.parts, given.starts)
    record = Record(given.machine, given.starts, rows)
    print(record.markdown)
    if given.json:
        given.json.write_text(record.text)
    if given.write and is_whole and is_tried:
        whole = Record.read().updated(record) if given.parts else record
        RECORD.write_text(whole.text)
        README.write_text(replaced(README.read_text(encoding="utf-8"), whole.markdown), encoding="utf-8")
    return 0 if is_whole and is_tried else 1


def tried(parts: list[str], starts: int) -> tuple[tuple[Row, ...], bool]:
    """Try servers in a process that has no network; give what was seen, and whether that is of all of them."""
    command = [*_ALONE, sys.executable, "-m", "tests.servers_table.trying", str(starts), *parts]
    rows = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            rows.append(Row.of(json.loads(line)))
            say(" | ".join(rows[-1].cells))
    return tuple(rows), process.returncode == 0


def machine() -> str:
    """Describe the machine."""
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    python = platform.python_version().rpartition(".")[0]
    return f"{os.cpu_count()} cores with {platform.system()}, Node {node[1:].split('.')[0]} and Python {python}"


def say(text: str) -> None:
    """Print a progress message."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
