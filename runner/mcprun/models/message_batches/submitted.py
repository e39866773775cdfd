"""Find, in the trace of a run, the requests that are already in a batch and paid for. Sends nothing."""

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
    """A batch that may have been created though its id is unknown. `requests` are those of the event `batch_asked`."""

    at: datetime
    requests: Sequence[JsonObject]

    @property
    def earliest(self) -> datetime:
        """The earliest time of creation by the API's clock, which may differ from this machine's."""
        return self.at - _SKEW

    def may_match(self, created: datetime, requests: int, send_seconds: float) -> bool:
        """Return whether a listed batch may be this one, by its time of creation and its number of requests.

        Sending the batch took at most `send_seconds`.
        """
        is_in_time = self.earliest <= created <= self.at + timedelta(seconds=send_seconds) + _SKEW
        return is_in_time and requests == len(self.requests)


class SubmittedRequests:
    """Finds requests that earlier processes put into a batch, by the trace of the run that is resumed.

    `counted` holds the replies in the trace, as batch and `custom_id`: their tokens are already counted. `sizes` is the
    number of requests of each batch. `unconfirmed` are batches of earlier processes whose id is unknown.
    """

    def __init__(self, run: Run | None) -> None:
        self.counted: set[tuple[str, str]] = set()
        self.sizes: dict[str, int] = {}
        self._batches: dict[tuple[str, int, str], deque[tuple[str, str]]] = defaultdict(deque)
        unconfirmed: dict[str, UnconfirmedBatch] = {}
        for event in run.events() if run else ():
            if event["event"] == "batch_asked":
                unconfirmed[event["wave"]] = UnconfirmedBatch(datetime.fromisoformat(event["at"]), event["requests"])
            elif event["event"] == "batch_sent" and event["wave"] in unconfirmed:
                self.sizes[event["batch"]] = event["size"]
                self.add_batch(event["batch"], unconfirmed.pop(event["wave"]).requests)
            elif event["event"] in _REPLIES and "batch" in event and "stop_reason" in event:
                self.counted.add((event["batch"], event["request_id"]))
        self.unconfirmed = list(unconfirmed.values())

    def add_batch(self, batch: str, requests: Sequence[JsonObject]) -> None:
        """Add a batch in which to look for requests, after those added before."""
        for one in requests:
            digest = one["custom_id"].partition("-")[0]
            self._batches[one["query"], one["repeat"], digest].append((batch, one["custom_id"]))

    def claim(self, where: AttemptRef, digest: str) -> tuple[str, str] | None:
        """Return the batch and the `custom_id` of the same request for the same query and repeat, each of them once.

        The attempt and the turn may differ: another attempt that sends the same request gets the same reply.
        """
        places = self._batches.get((where.query, where.repeat, digest))
        return places.popleft() if places else None
