"""An interrupted command leaves its Message Batch at the API."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.support.batch_api import ask, end_all, started, two_turns
from tests.support.messages_api import MessagesApi


def sizes(api: MessagesApi) -> list[int]:
    """How many requests each batch had."""
    return [len(batch.requests) for batch in api.batches.all]


def end_none(api: MessagesApi) -> None:
    """From now on, no new batch ends."""
    api.batches.looks = 1_000_000


def test_an_interrupt_leaves_the_batch_alone(tmp_path: Path) -> None:
    """Ctrl-C ends the run at once, and says which batch is pending and how to go on."""
    with MessagesApi(two_turns) as api:
        end_none(api)
        process = started(tmp_path, api)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate()
        (batch,) = api.batches.all
        assert (process.returncode, batch.status) == (130, "in_progress")
        assert "Stopping: pending batches continue at the API. Press Ctrl-C again within 3 s to cancel them." in stderr
        assert f"batch {batch.id} (5 requests) is still pending: use --resume to fetch its results" in stderr
        assert "mcprun batch --resume run" in stderr
        end_all(api)
        assert ask(tmp_path, api, "--resume", "run").code == 0
    assert sizes(api) == [5, 5, 2]
