"""Garbage collection is tuned during a run and restored afterwards."""

from __future__ import annotations

import gc
from contextlib import ExitStack

import pytest

from mcprun._util.gc_tuning import gc_paused, gc_tuned_for_run


def test_collector_is_restored_after_a_run() -> None:
    """Existing objects are frozen during the run.

    The threshold is restored and the objects are unfrozen, even after an error.
    """
    before, frozen = gc.get_threshold(), gc.get_freeze_count()

    def fail() -> None:
        with gc_tuned_for_run():
            assert gc.get_freeze_count() > frozen
            assert gc.get_threshold()[0] > before[0]
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)


def test_shared_process_has_a_lower_threshold() -> None:
    """An in-process server creates garbage, which must not accumulate."""
    with gc_tuned_for_run():
        unshared = gc.get_threshold()[0]
    with gc_tuned_for_run(is_shared=True):
        assert 700 < gc.get_threshold()[0] < unshared


def test_last_of_concurrent_runs_restores_the_collector() -> None:
    """The order of the runs is irrelevant. Until then, objects stay frozen and the lowest threshold applies."""
    before = gc.get_threshold()
    with ExitStack() as first, ExitStack() as second:
        first.enter_context(gc_tuned_for_run())
        unshared = gc.get_threshold()
        with gc_tuned_for_run():
            pass
        assert gc.get_threshold() == unshared
        assert gc.get_freeze_count() > 0
        second.enter_context(gc_tuned_for_run(is_shared=True))
        assert gc.get_threshold() < unshared
        first.close()
        assert before < gc.get_threshold() < unshared
        assert gc.get_freeze_count() > 0
        second.close()
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)


def test_concurrent_run_freezes_no_further_objects() -> None:
    """If there always is another run, garbage that is frozen then would never be freed."""
    with gc_tuned_for_run():
        frozen = gc.get_freeze_count()
        with gc_tuned_for_run(), gc_paused():
            assert not gc.isenabled()
        assert gc.get_freeze_count() == frozen
        with gc_paused():
            created: list[list[int]] = [[] for _ in range(1000)]
        assert gc.get_freeze_count() > frozen + len(created) / 2


def test_gc_paused_restores_the_collector() -> None:
    """The collector is off within the context. New objects stay frozen until a run ends."""
    with gc_paused():
        assert not gc.isenabled()
        with gc_paused():
            pass
        assert not gc.isenabled()
        created: list[list[int]] = [[] for _ in range(10 * gc.get_threshold()[0])]
    assert gc.isenabled()
    assert gc.get_freeze_count() > len(created)
    with gc_tuned_for_run():
        pass
    assert gc.get_freeze_count() == 0
