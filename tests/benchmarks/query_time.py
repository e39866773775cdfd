"""The mean time of a query without start-up, and how much of it is waiting for the API and the tool: from a run's trace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class QueryTime:
    """The mean time of a query and its mean waiting, in seconds."""

    seconds: float
    waiting: float


def query_time(trace: Iterable[Mapping[str, Any]], answer_seconds: float) -> QueryTime:
    """Return the mean times of the queries in the trace of a finished run.

    A query's time is from the end of its worker's previous query to its own end, so that it includes what lies between two
    queries, such as writing the first one. Each worker's first query is left out as part of start-up.

    A query's waiting is `answer_seconds`, the API's delay, for each model request, and the duration of the run's fastest
    tool call for each tool call. The calls' own durations would be too generous: while other queries run, a call also
    waits for mcprun.

    Raises:
        ZeroDivisionError: No worker ran two queries.
    """
    ends: dict[int, list[float]] = {}
    requests = 0
    calls: list[float] = []
    for event in trace:
        match event["event"]:
            case "model_call":
                requests += 1
            case "tool_call":
                calls.append(event["seconds"])
            case "query_end":
                ends.setdefault(event["worker"], []).append(datetime.fromisoformat(event["at"]).timestamp())
    queries = sum(map(len, ends.values()))
    seconds = sum(times[-1] - times[0] for times in ends.values()) / (queries - len(ends))
    waiting = (requests * answer_seconds + len(calls) * min(calls, default=0.0)) / queries
    return QueryTime(seconds, waiting)
