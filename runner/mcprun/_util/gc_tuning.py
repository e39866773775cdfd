"""How Python looks for garbage while a run goes on: not again and again in what lives as long as the process.

The SDKs' modules are hundreds of thousands of objects, and conversations in flight are thousands that are still needed
when the collector comes by. What is not part of a cycle is freed at once, with or without it.
"""

from __future__ import annotations

import atexit
import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_YOUNG, _SHARED = 100_000, 5_000
"""New objects after which the collector looks at them (Python's own: 700): next to nothing of ours is part of a cycle,
and an SDK's server in this process makes cycles with its calls."""


class _Settled:
    """What the runs that go on in this process want of its collector. The last of them leaves it as the first met it.

    Runs may be in threads of their own.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted: list[int] = []
        self._before = gc.get_threshold()

    def enter(self, most: int) -> None:
        """Have it come after `most` new objects, or sooner where another run wants that."""
        with self._lock:
            if not self._wanted:
                self._before = gc.get_threshold()
                gc.freeze()
            self._wanted.append(most)
            self._set()

    def leave(self, most: int) -> None:
        """Want it no more."""
        with self._lock:
            self._wanted.remove(most)
            if self._wanted:
                self._set()
            else:
                gc.set_threshold(*self._before)
                gc.unfreeze()

    def grown(self) -> None:
        """Have it leave alone what there is by now.

        Not beside other runs: where there is always one that goes on, nothing of that would be freed any more.
        """
        with self._lock:
            if len(self._wanted) <= 1:
                gc.freeze()

    def _set(self) -> None:
        young, *older = self._before
        gc.set_threshold(max(min(self._wanted), young) if young else 0, *older)


_runs = _Settled()


@contextmanager
def gc_paused() -> Iterator[None]:
    """Keep the collector away while modules are imported, which make many objects and no garbage.

    Afterwards it leaves alone what there is, until the last `gc_tuned_for_run` ends: else it would look through all of
    it at once.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
        _runs.grown()
    finally:
        if was_on:
            gc.enable()


@contextmanager
def gc_tuned_for_run(*, is_shared: bool = False) -> Iterator[None]:
    """Keep the collector away from all that is there already, and let it come less often, for as long as a run.

    It comes sooner where the process `is_shared` with a server. Where runs go on at the same time, the first has it
    so, and the end of the last undoes it.
    """
    most = _SHARED if is_shared else _YOUNG
    _runs.enter(most)
    try:
        yield
    finally:
        _runs.leave(most)


def leave_all_at_exit() -> None:
    """Have nothing looked through when the process ends, which Python else does: with the SDKs, a third of a second.

    All of it goes with the process, and what is to be closed has been closed before.
    """
    atexit.register(gc.freeze)
