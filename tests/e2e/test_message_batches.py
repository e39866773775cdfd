"""An interrupted command leaves its Message Batch at the API."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.support.batch_api import ask, end_all, started, two_turns
from tests.support.messages_api import MessagesApi


def batch_sizes(api: MessagesApi) -> list[int]:
    """Return the number of requests in each batch."""
    return [len(batch.requests) for batch in api.batches.all]


def keep_batches_pending(api: MessagesApi) -> None:
    """Keep every new batch from ending."""
    api.batches.looks = 1_000_000


def test_an_interrupt_leaves_the_batch_alone(tmp_path: Path) -> None:
    """Ctrl-C ends the run at once. The message names the pending batch and the `--resume` command."""
    with MessagesApi(two_turns) as api:
        keep_batches_pending(api)
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
    assert batch_sizes(api) == [5, 5, 2]
