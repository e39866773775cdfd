"""Try the generated queries of a server, and find inputs and scripts that work."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from mcprun._util.json_value import JsonObject
from mcprun.engine.options import Options
from mcprun.engine.plan import make_plan
from mcprun.engine.run import execute
from mcprun.errors import ErrorKind, RunError
from mcprun.prompts.chains import chained_queries
from mcprun.prompts.generate import FirstPrompts
from mcprun.prompts.other_inputs import other_queries
from mcprun.prompts.tried import Tries, mark_failures, outcome_of, worked_calls
from mcprun.runs.events import Event
from mcprun.runs.run import Run
from mcprun.runs.transcript import Transcript

_ROUNDS = 3
"""Maximum rounds of other scripts for the queries that do not work: each can build on what worked in the one before."""

_MAX_OTHERS = 3
"""Maximum other scripts of each kind that are tried for a query in a round."""


@dataclass(frozen=True, slots=True)
class Trial:
    """How queries are tried: on which server, and with a `watch` that is called with each event.

    `root` is the absolute path of a folder that the server may use, if one is among its arguments.
    """

    server: str
    options: Options
    root: str | None = None
    watch: Callable[[Event], None] = lambda _: None

    async def run(self, first: FirstPrompts) -> Tries:
        """Run the queries from their scripts, look for others where they do not work, and run all once more.

        A query that works only once would fail the next run. Return the queries with their failures noted.
        Raises `RunError` if a run can't be started or was cancelled.
        """
        search = _Search(first, {one.id: one for one in await self._run(first.queries)})
        for number in range(_ROUNDS):
            others = search.others(self.root if number == 0 else None, with_inputs=number == 0)
            if not others or not search.adopt(others, await self._run([query for query, _ in others])):
                break
        second = {one.id: one for one in await self._run(search.queries.values())}
        transcripts = {name: [one, second[name]] for name, one in search.tried.items() if name in second}
        first = replace(first, queries=tuple(search.queries.values()))
        return Tries(mark_failures(first, transcripts), transcripts)

    async def _run(self, queries: Iterable[JsonObject]) -> list[Transcript]:
        """Run queries one at a time, each on a new server, and return their transcripts. The run itself is deleted."""
        limits = replace(self.options.limits, concurrency=1)
        with tempfile.TemporaryDirectory(prefix="mcprun-") as folder:
            options = replace(self.options, model="script", fresh_server=True, limits=limits, out=folder)
            plan = replace(make_plan(queries, self.server, options), is_latest=False)
            with plan.prompts:
                result = await execute(plan, self.watch)
            run = Run(result.path, result.record)
            error = run.record.error
            if error and (error.kind is ErrorKind.CANCELLED or not (run.record.counts and run.record.counts.done)):
                raise RunError(error.kind, error.message)
            return list(run.transcripts())


class _Search:
    """A search for scripts that work. `queries` and `tried` hold the present script of each query and its last try."""

    def __init__(self, first: FirstPrompts, tried: dict[str, Transcript]) -> None:
        self.queries = {query["id"]: query for query in first.queries}
        self.tried = tried
        self._tools = first.tools
        self._seen = {name: [query["script"]] for name, query in self.queries.items()}

    def others(self, root: str | None, *, with_inputs: bool) -> list[tuple[JsonObject, str]]:
        """Return other queries for those that do not work, with ids of their own, and the id that each is for."""
        works = {name for name, one in self.tried.items() if outcome_of(one).works}
        worked = [worked_calls(self.queries[name], self._tools[name], self.tried[name]) for name in sorted(works)]
        found: list[tuple[JsonObject, str]] = []
        for name in (one for one in self.tried if one not in works):
            query, tool = self.queries[name], self._tools[name]
            others = other_queries(query, tool, root)[:_MAX_OTHERS] if with_inputs else []
            others += chained_queries(query, tool, worked, _MAX_OTHERS)
            new = [one for one in others if one["script"] not in self._seen[name]]
            self._seen[name] += [one["script"] for one in new]
            found += [({**one, "id": f"{name}, other {number}"}, name) for number, one in enumerate(new, 1)]
        return found

    def adopt(self, others: Sequence[tuple[JsonObject, str]], transcripts: Iterable[Transcript]) -> bool:
        """Replace each query by the first of its others that works. Return whether any does."""
        by_id = {one.id: one for one in transcripts}
        adopted: set[str] = set()
        for query, name in others:
            transcript = by_id.get(query["id"])
            if transcript and name not in adopted and outcome_of(transcript).works:
                adopted.add(name)
                self.queries[name] = {**query, "id": name}
                self.tried[name] = transcript
        return bool(adopted)
