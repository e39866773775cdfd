"""`python -m tests.servers_table.real_work [PART ...] [--runs N] [--package DIR] [--json FILE]`: count useful queries.

Generates a suite for each server of the table with `mcprun init --try`, in a network namespace that has only loopback,
runs it, and counts the queries that do real work: those that pass, and whose calls all return a result that neither is
marked as an error nor says in words that the call failed (`tools/failures.py`). Then it compares N more runs with a
baseline, and counts the green ones. `--package` measures another version of mcprun: the folder that has `mcprun/`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mcprun.tools.failures import failure_in
from tests.release.environments import BrokenError
from tests.servers_table.candidates import CANDIDATES, Candidate
from tests.servers_table.installing import install
from tests.servers_table.trying import fill_placeholders, prepare_folder, start_loopback
from tests.support.browser import CHROMIUM
from tests.support.cli import clean_environment, read_jsonl

_WITHOUT_NETWORK = ("unshare", "--map-root-user", "--net")
_INSIDE = "MCPRUN_TEST_WITHOUT_NETWORK"
_SECONDS = 1800.0
_CALL_SECONDS = "20"

_WITH_BROWSER = {
    "@playwright/mcp": ("--no-sandbox", "--executable-path", CHROMIUM),
    "chrome-devtools-mcp": ("--chromeArg=--no-sandbox", "--executablePath", CHROMIUM),
}
"""Further arguments of the servers that control a browser, if one is installed."""

_UNAVAILABLE = re.compile(
    r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|fetch failed|getaddrinfo|name resolution|resolve host|unreachable|connection|connect to"
    r"|network|browser|chrom|not connected|api key|api token|credential|unauthori|\b40[13]\b|no answer from|kubectl|kube"
    r"|not logged in|login",
    re.IGNORECASE,
)
"""Reasons that no input can avoid where the servers are tried."""


@dataclass(frozen=True)
class Count:
    """The queries of a server: all, those that do real work, and how many of the runs after the baseline were green.

    `reasons` holds a reason for each query that does no real work. `unavailable` counts those that can't without a network,
    a browser, an account or another program.
    """

    package: str
    queries: int
    real: int
    green: int
    runs: int
    reasons: Mapping[str, str]
    unavailable: int = 0

    @property
    def line(self) -> str:
        """One line of the table."""
        able = self.queries - self.unavailable
        shares = [100 * self.real / count if count else 0 for count in (self.queries, able)]
        return (
            f"{self.package:<50} {self.real:>3} of {self.queries:>3} {shares[0]:>4.0f} %,"
            f" of {able:>3} that can {shares[1]:>4.0f} %   green: {self.green} of {self.runs}"
        )


def main() -> int:
    """Count the queries of the servers, and print a line for each and the total. Return 1 if a server fails, else 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.servers_table.real_work", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help="only packages whose name contains PART")
    parser.add_argument(
        "--runs", type=int, default=3, metavar="N", help="runs to compare with the baseline (default: 3)"
    )
    parser.add_argument("--package", type=Path, metavar="DIR", help="folder of another version of mcprun")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the counts to FILE, as JSON Lines")
    options = parser.parse_args()
    if _INSIDE not in os.environ:
        command = [*_WITHOUT_NETWORK, sys.executable, "-m", "tests.servers_table.real_work", *sys.argv[1:]]
        return subprocess.run(command, env={**os.environ, _INSIDE: "1"}, check=False).returncode
    start_loopback()
    counts, code = [], 0
    for candidate in _chosen(options.parts):
        with tempfile.TemporaryDirectory() as name:
            try:
                count = count_queries(candidate, Path(name).resolve(), options.runs, options.package)
            except (BrokenError, subprocess.TimeoutExpired, ValueError, OSError) as error:
                print(f"{candidate.package}: {error}", file=sys.stderr, flush=True)
                code = 1
                continue
        counts.append(count)
        print(count.line, flush=True)
        if options.json:
            with options.json.open("a") as file:
                file.write(json.dumps(asdict(count)) + "\n")
    queries, real = sum(one.queries for one in counts), sum(one.real for one in counts)
    green, runs = sum(one.green for one in counts), sum(one.runs for one in counts)
    unavailable = sum(one.unavailable for one in counts)
    print(Count(f"{len(counts)} servers", queries, real, green, runs, {}, unavailable).line)
    return code


def _chosen(parts: Sequence[str]) -> list[Candidate]:
    """Return each package once: the tools are the same over every transport."""
    stdio = [one for one in CANDIDATES if one.transport == "stdio"]
    return [one for one in stdio if not parts or any(part in one.package for part in parts)]


def count_queries(candidate: Candidate, folder: Path, runs: int, package: Path | None) -> Count:
    """Generate a suite for a server in a new folder, run it, and compare `runs` more runs with it."""
    here = prepare_folder(folder)
    filled = fill_placeholders(candidate, {"{here}": str(here), "{port}": "0"})
    entry = {
        "command": str(install(candidate).program),
        "args": [*filled.args, *(_WITH_BROWSER.get(candidate.package, ()) if CHROMIUM else ())],
        "env": {**filled.env, "HOME": str(folder / "home")},
    }
    (folder / "servers.json").write_text(json.dumps({"mcpServers": {"tried": entry}}))
    work = folder / "work"  # not the folder that the server may list: a run would differ by the files of the one before
    work.mkdir()
    mcprun = _Mcprun(work, package)
    server = str(folder / "servers.json")
    new = "--model", "script"
    mcprun.run("init", server, "--try", "--no-workflow", "--call-timeout", _CALL_SECONDS, allowed=(0, 1))
    more = [] if (work / "mcprun.toml").exists() else ["--fresh-server"]
    batch = ["batch", "prompts.jsonl", server, *more, *new, "--call-timeout", _CALL_SECONDS]
    mcprun.run(*batch, "--out", "first", allowed=(0, 1, 3))
    reasons = {one["id"]: why for one in read_jsonl(work / "first" / "transcripts.jsonl") if (why := _fault(one))}
    queries = len(read_jsonl(work / "prompts.jsonl"))
    mcprun.run("bless", "first", "baseline")
    codes = [
        mcprun.run(*batch, "--baseline", "baseline", "--out", f"run-{number}", allowed=(0, 1, 3))
        for number in range(runs)
    ]
    unavailable = sum(bool(_UNAVAILABLE.search(why)) for why in reasons.values())
    return Count(candidate.package, queries, queries - len(reasons), codes.count(0), runs, reasons, unavailable)


def _fault(transcript: Mapping[str, Any]) -> str:
    """Return why a query does no real work; empty if it does."""
    if transcript["verdict"] != "passed" or not transcript["calls"]:
        return str(transcript["verdict"])
    for call in transcript["calls"]:
        words = failure_in(call["tool"], call["content"], call["structured"])
        if call["is_error"] or words:
            text = words or " ".join(str(block.get("text", "")) for block in call["content"])
            return f"{call['tool']} {json.dumps(call['input'])[:150]}: {text[:200]}"
    return ""


@dataclass(frozen=True)
class _Mcprun:
    """Runs mcprun in a folder as a user does, another version if `package` names its folder."""

    folder: Path
    package: Path | None

    def run(self, *arguments: str, allowed: Sequence[int] = (0,)) -> int:
        """Return the exit code. Raise `BrokenError` for one that is not allowed."""
        env = clean_environment() | ({"PYTHONPATH": str(self.package)} if self.package else {})
        done = subprocess.run(
            [sys.executable, "-m", "mcprun", *arguments],
            cwd=self.folder, env=env, capture_output=True, text=True, timeout=_SECONDS, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if os.environ.get("SHOW"):
            print(done.stderr[-6000:], done.stdout[-4000:], file=sys.stderr)
        if done.returncode not in allowed:
            raise BrokenError(f"mcprun {arguments[0]} exited with {done.returncode}\n{done.stderr}{done.stdout}")
        return done.returncode


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
