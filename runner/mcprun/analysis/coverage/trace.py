"""Read the events of a run's trace that belong to its transcripts.

The trace of a run that was resumed also has queries that were run again, or that are no longer in the prompts file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping

from mcprun._util.json_value import JsonObject
from mcprun.runs.directory import QUERIES
from mcprun.runs.events import QueryEnd, RunStart
from mcprun.runs.run import Run
from mcprun.runs.transcript import Key


def current_events(run: Run, names: Collection[str], counts: Mapping[str, int]) -> Iterator[JsonObject]:
    """Stream the events with one of these names, without those of queries that were run again later or were dropped.

    Those of all attempts are kept, since a query is done after its last one. `counts` has the number of events by name.
    Memory holds the ids of queries that were run again. Raises `UsageError` if the trace can't be read.
    """
    if counts.get(RunStart.name, 0) < 2:
        yield from run.events_named(names)
        return
    queries = run.digests if (run.path / QUERIES).exists() else None
    ends = Counter(_key(event) for event in run.events_named({QueryEnd.name}))
    to_come = {key: count - 1 for key, count in ends.items() if count > 1}
    for event in run.events_named({QueryEnd.name, *names}):
        key = _key(event)
        if event["event"] == QueryEnd.name:
            to_come[key] = to_come.get(key, 0) - 1
        elif to_come.get(key, 0) <= 0 and (queries is None or "query" not in event or key[0] in queries):
            yield event


def _key(event: JsonObject) -> Key:
    return event.get("query", ""), event.get("repeat", 1)
