"""Tune the garbage collector for a run, so that it does not scan long-lived objects again and again.

The SDKs' modules are hundreds of thousands of objects, and conversations in flight are thousands that are still in use
when a collection starts. Objects that are not part of a cycle are freed at once, with or without the collector.
"""

from __future__ import annotations

import atexit
import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_YOUNG, _SHARED = 100_000, 5_000
"""New objects after which a collection starts (Python's own threshold: 700). Hardly any of mcprun's objects are part of
a cycle, but an SDK's server in this process creates cycles with its calls."""


class _Thresholds:
    """The collector thresholds of all active runs in this process. The last run restores the original ones.

    Runs may be in different threads, hence the lock.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._required: list[int] = []
        self._before = gc.get_threshold()

    def enter(self, max_objects: int) -> None:
        """Start collections after `max_objects` new objects, or sooner if another run requires it."""
        with self._lock:
            if not self._required:
                self._before = gc.get_threshold()
                gc.freeze()
            self._required.append(max_objects)
            self._set()

    def leave(self, max_objects: int) -> None:
        """Remove the threshold of a run."""
        with self._lock:
            self._required.remove(max_objects)
            if self._required:
                self._set()
            else:
                gc.set_threshold(*self._before)
                gc.unfreeze()

    def freeze(self) -> None:
        """Freeze the objects that exist by now, so that collections skip them.

        Do nothing while other runs are active: if there always is one, those objects would never be freed.
        """
        with self._lock:
            if len(self._required) <= 1:
                gc.freeze()

    def _set(self) -> None:
        young, *older = self._before
        gc.set_threshold(max(min(self._required), young) if young else 0, *older)


_runs = _Thresholds()


@contextmanager
def gc_paused() -> Iterator[None]:
    """Disable the collector while modules are imported, which creates many objects and no garbage.

    Afterwards those objects stay frozen until the last `gc_tuned_for_run` ends: otherwise the next collection would
    scan all of them.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
        _runs.freeze()
    finally:
        if was_on:
            gc.enable()


@contextmanager
def gc_tuned_for_run(*, is_shared: bool = False) -> Iterator[None]:
    """Freeze all existing objects and start collections less often, for the duration of a run.

    Collections are more frequent if the process `is_shared` with a server. Of concurrent runs, the first freezes the
    objects and the last undoes it.
    """
    max_objects = _SHARED if is_shared else _YOUNG
    _runs.enter(max_objects)
    try:
        yield
    finally:
        _runs.leave(max_objects)


def leave_all_at_exit() -> None:
    """Freeze all objects at exit: with the SDKs, Python's final collection would scan them for a third of a second.

    Their memory is released with the process, and everything that has to be closed has been closed before.
    """
    atexit.register(gc.freeze)
