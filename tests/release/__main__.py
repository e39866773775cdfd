"""`python -m tests.release`: try the release, say how long each trial took, exit with 1 for the first broken promise.

The archives hold what they should, and nothing else. The wheel, installed alone, runs the quickstart from any folder,
and brings its types. The README's first command does all the setting up. The core of the suite passes with the lowest
versions that `pyproject.toml` allows on the oldest Python, and on the newest one that this machine has.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tests.release import trials
from tests.release.environments import BrokenError, Uv, Version, copy, make, pythons

ROOT = Path(__file__).parents[2]

T = TypeVar("T")


def main() -> int:
    """Try everything, in a temporary folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="release-") as name:
        try:
            attempt(Path(name).resolve())
        except BrokenError as broken:
            say(f"the release is broken: {broken}")
            return 1
    say("the release can be installed")
    return 0


def attempt(folder: Path) -> None:
    """Try everything in a folder; raises `BrokenError`."""
    least = trials.floor(ROOT)
    found = pythons(least)
    if not found:
        raise BrokenError(f"there is no Python {dotted(least)} or newer")
    (oldest, old), (newest, new) = next(iter(found.items())), list(found.items())[-1]
    if oldest != least:
        say(
            f"WARNING: there is no Python {dotted(least)} on this machine: the oldest that is tried is {dotted(oldest)}"
        )
    if newest == least:
        say(f"WARNING: there is no Python newer than {dotted(least)} on this machine: none is tried")

    def place(name: str) -> Path:
        (folder / name).mkdir()
        return folder / name

    checkout = copy(ROOT, place("checkout"))
    tools = make(old, place("tools") / "venv")
    uv = Uv.install(tools)
    wheel = timed("the archives", lambda: trials.build(tools, checkout, place("dist")))
    installed = timed("the wheel alone", lambda: trials.install(old, wheel, checkout, place("wheel")))
    timed("its types", lambda: trials.types(installed, checkout, place("types")))
    timed("the README's first command", lambda: trials.readme(uv, checkout, place("readme")))
    timed(f"the lowest versions on Python {dotted(oldest)}", lambda: trials.oldest(uv, old, checkout, place("oldest")))
    if newest != least:
        timed(f"the core on Python {dotted(newest)}", lambda: trials.newest(new, wheel, checkout, place("newest")))


def timed(what: str, trial: Callable[[], T]) -> T:
    """Make a trial, and say that it held and how long it took."""
    say(f"trying {what}")
    start = time.monotonic()
    result = trial()
    say(f"{what}: held, {time.monotonic() - start:.0f} s")
    return result


def dotted(version: Version) -> str:
    """Write a version of Python."""
    return ".".join(map(str, version))


def say(text: str) -> None:
    """Print at once: what the trials run prints to the same place."""
    print(f"release: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
