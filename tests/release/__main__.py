"""`python -m tests.release`: test the release, print how long each trial took, and exit with 1 at the first failure.

The archives contain exactly the expected files. The wheel, installed alone, runs the quickstart from any folder and
includes its types. The README's first command needs no other setup. The core of the suite passes with the lowest
versions that `pyproject.toml` allows on the oldest Python, and on the newest Python of this machine.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tests.release import trials
from tests.release.environments import BrokenError, Uv, Version, copy, create, pythons

ROOT = Path(__file__).parents[2]

T = TypeVar("T")


def main() -> int:
    """Run all trials in a temporary folder. Return the exit code."""
    with tempfile.TemporaryDirectory(prefix="release-") as name:
        try:
            run_trials(Path(name).resolve())
        except BrokenError as broken:
            report(f"the release is broken: {broken}")
            return 1
    report("the release can be installed")
    return 0


def run_trials(folder: Path) -> None:
    """Run all trials in a folder. Raise `BrokenError` at the first failure."""
    minimum = trials.floor(ROOT)
    available = pythons(minimum)
    if not available:
        raise BrokenError(f"there is no Python {dotted(minimum)} or newer")
    (oldest, old), (newest, new) = next(iter(available.items())), list(available.items())[-1]
    if oldest != minimum:
        report(f"WARNING: there is no Python {dotted(minimum)} on this machine: the oldest tested is {dotted(oldest)}")
    if newest == minimum:
        report(f"WARNING: there is no Python newer than {dotted(minimum)} on this machine: none is tested")

    def place(name: str) -> Path:
        (folder / name).mkdir()
        return folder / name

    checkout = copy(ROOT, place("checkout"))
    tools = create(old, place("tools") / "venv")
    uv = Uv.install(tools)
    wheel = run_trial("the archives", lambda: trials.build(tools, checkout, place("dist")))
    installed = run_trial("the wheel alone", lambda: trials.install(old, wheel, checkout, place("wheel")))
    run_trial("its types", lambda: trials.types(installed, checkout, place("types")))
    run_trial("the README's first command", lambda: trials.readme(uv, checkout, place("readme")))
    run_trial(
        f"the lowest versions on Python {dotted(oldest)}", lambda: trials.oldest(uv, old, checkout, place("oldest"))
    )
    if newest != minimum:
        run_trial(f"the core on Python {dotted(newest)}", lambda: trials.newest(new, wheel, checkout, place("newest")))


def run_trial(title: str, trial: Callable[[], T]) -> T:
    """Run a trial, report its duration, and return its result."""
    report(f"trying {title}")
    start = time.monotonic()
    result = trial()
    report(f"{title}: passed, {time.monotonic() - start:.0f} s")
    return result


def dotted(version: Version) -> str:
    """Return a Python version as text, such as 3.11."""
    return ".".join(map(str, version))


def report(text: str) -> None:
    """Print a message and flush, because the trials' commands print to the same stream."""
    print(f"release: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
