"""What earlier processes of a run have asked in batches: it is paid for, and need not be asked again."""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict, deque

from mcprun.events import Where
from mcprun.records import JsonObject
from mcprun.rundir import Run

_REPLIES = ("model_call", "judge_call")


class Kept:
    """Finds requests of earlier processes by the trace of the run that goes on, if it is one.

    `counted` holds the replies that the trace tells of, as batch and `custom_id`: their tokens are counted already.
    `sizes` says how many requests each batch has.
    """

    def __init__(self, run: Run | None) -> None:
        self.counted: set[tuple[str, str]] = set()
        self.sizes: dict[str, int] = {}
        self._places: dict[tuple[str, int, str], deque[tuple[str, str]]] = defaultdict(deque)
        for event in run.events() if run else ():
            if event["event"] == "batch_sent":
                self.sizes[event["batch"]] = len(event["requests"])
                for one in event["requests"]:
                    digest = one["custom_id"].partition("-")[0]
                    self._places[one["query"], one["repeat"], digest].append((event["batch"], one["custom_id"]))
            elif event["event"] in _REPLIES and "batch" in event and "stop_reason" in event:
                self.counted.add((event["batch"], event["request_id"]))

    def claim(self, where: Where, digest: str) -> tuple[str, str] | None:
        """Give the batch and the `custom_id` of the same request for the same query and repeat; each of them once.

        What the query was at then does not matter: another try that comes to say the same is answered the same.
        """
        places = self._places.get((where.query, where.repeat, digest))
        return places.popleft() if places else None


class Spool:
    """The results of one batch, on disk: they are asked for one after the other, and memory holds where they stand."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  it lives as long as the spool does
        self._places: dict[str, int] = {}

    def put(self, custom_id: str, result: JsonObject) -> None:
        """Keep a result."""
        self._places[custom_id] = self._file.tell()
        self._file.write(json.dumps(result).encode() + b"\n")

    def get(self, custom_id: str) -> JsonObject | None:
        """Read a result; `None` when there is none."""
        if custom_id not in self._places:
            return None
        self._file.seek(self._places[custom_id])
        return dict(json.loads(self._file.readline()))

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
