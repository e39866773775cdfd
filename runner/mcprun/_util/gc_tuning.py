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

_lock = threading.Lock()  # runs may be in different threads
_active: list[int] = []  # the threshold of each active run
_original = list(gc.get_threshold())  # the thresholds before the first of them


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
        with _lock:
            if len(_active) <= 1:  # while runs overlap without a gap, frozen objects would never be freed
                gc.freeze()
    finally:
        if was_on:
            gc.enable()


@contextmanager
def gc_tuned_for_run(*, is_shared: bool = False) -> Iterator[None]:
    """Freeze all existing objects and start collections less often, for the duration of a run.

    Collections are more frequent if the process `is_shared` with a server. Of concurrent runs, the first freezes the
    objects and the last undoes it.
    """
    threshold = _SHARED if is_shared else _YOUNG
    with _lock:
        if not _active:
            _original[:] = gc.get_threshold()
            gc.freeze()
        _active.append(threshold)
        _set_threshold()
    try:
        yield
    finally:
        with _lock:
            _active.remove(threshold)
            _set_threshold()
            if not _active:
                gc.unfreeze()


def _set_threshold() -> None:
    """Use the lowest threshold of the active runs, at least the original one. 0 means that the collector is off."""
    young, *older = _original
    gc.set_threshold(max(min(_active, default=0), young) if young else 0, *older)


def leave_all_at_exit() -> None:
    """Freeze all objects at exit: with the SDKs, Python's final collection would scan them for a third of a second.

    Their memory is released with the process, and everything that has to be closed has been closed before.
    """
    atexit.register(gc.freeze)
