"""Which requests of a run are in which batches already, as its trace tells: they are paid for. Knows no API."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mcprun._util.json_value import JsonObject
from mcprun.limits import BATCH_SKEW_SECONDS
from mcprun.runs.events import AttemptRef
from mcprun.runs.run import Run

_REPLIES = ("model_call", "judge_call")

_SKEW = timedelta(seconds=BATCH_SKEW_SECONDS)


@dataclass(frozen=True, slots=True)
class UnconfirmedBatch:
    """A wave that may have become a batch though nobody knows its id; `requests` are those of the event."""

    at: datetime
    requests: Sequence[JsonObject]

    @property
    def earliest(self) -> datetime:
        """When it may have been created by the API's clock, which need not agree with this machine's."""
        return self.at - _SKEW

    def may_be(self, created: datetime, requests: int, seconds: float) -> bool:
        """Tell whether a batch that the API lists may be this one: when it was created, and how many it holds.

        Sending it took `seconds` at most.
        """
        is_in_time = self.earliest <= created <= self.at + timedelta(seconds=seconds) + _SKEW
        return is_in_time and requests == len(self.requests)


class SubmittedRequests:
    """Finds requests that are in a batch already: those of earlier processes, by the trace of the run that goes on.

    `counted` holds the replies that the trace tells of, as batch and `custom_id`: their tokens are counted already.
    `sizes` says how many requests each batch has. `lost` are waves of earlier processes whose batch is not known.
    """

    def __init__(self, run: Run | None) -> None:
        self.counted: set[tuple[str, str]] = set()
        self.sizes: dict[str, int] = {}
        self._places: dict[tuple[str, int, str], deque[tuple[str, str]]] = defaultdict(deque)
        asked: dict[str, UnconfirmedBatch] = {}
        for event in run.events() if run else ():
            if event["event"] == "batch_asked":
                asked[event["wave"]] = UnconfirmedBatch(datetime.fromisoformat(event["at"]), event["requests"])
            elif event["event"] == "batch_sent" and event["wave"] in asked:
                self.sizes[event["batch"]] = event["size"]
                self.place(event["batch"], asked.pop(event["wave"]).requests)
            elif event["event"] in _REPLIES and "batch" in event and "stop_reason" in event:
                self.counted.add((event["batch"], event["request_id"]))
        self.lost = list(asked.values())

    def place(self, batch: str, requests: Sequence[JsonObject]) -> None:
        """Have requests looked for in a batch, after those that they were placed in before."""
        for one in requests:
            digest = one["custom_id"].partition("-")[0]
            self._places[one["query"], one["repeat"], digest].append((batch, one["custom_id"]))

    def claim(self, where: AttemptRef, digest: str) -> tuple[str, str] | None:
        """Give the batch and the `custom_id` of the same request for the same query and repeat; each of them once.

        What the query was at then does not matter: another try that comes to say the same is answered the same.
        """
        places = self._places.get((where.query, where.repeat, digest))
        return places.popleft() if places else None
