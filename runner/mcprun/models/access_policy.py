"""What a refusal by the API (401, 403, or no credentials) means: for one query, or for the whole run.

A refusal of the model that a query names itself is the error of that query. Any other one ends the run if no request
has succeeded before. After a success it is the error of its query, until three queries in a row are refused.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Literal, Protocol

from mcprun._util.run_stop import RunStop
from mcprun.errors import ErrorKind, RunError
from mcprun.runs.events import AttemptRef

MAX_REFUSALS = 3
"""Queries that are refused in a row, without a success between them, before the run ends."""

_FORBIDDEN = 403
"""The credentials are known (RFC 9110, section 15.5.4). A 401 may be that of others than an earlier process had."""

RUN_CLIENT, JUDGE_CLIENT = "run", "judge"
"""The client of the run's model, and that of a judge from another provider."""

Role = Literal["model", "judge"]
"""Who sends a request: the conversation of a query, or its judge."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where requests come from: the `client`, which has the credentials, and the role."""

    client: str
    role: Role


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that was refused, and not for the model that its query names.

    `status` is 401 or 403, or None if there were no credentials to send. `is_accepted` is set if the API accepted the
    same credentials for the Message Batch that the request was in.
    """

    source: Source
    where: AttemptRef
    status: int | None
    message: str
    is_accepted: bool = False


class Access(Protocol):
    """Takes note of successes and refusals."""

    def granted(self, source: Source) -> None:
        """Record a success."""
        ...

    def refused(self, refusal: Refusal) -> RunError | None:
        """Record a refusal. Return the error of the run if it ends with this refusal, else None."""
        ...


class RunAccess:
    """The access of a whole run.

    With `was_granted`, an earlier process of the run had a success, perhaps with other credentials.
    """

    def __init__(self, ending: RunStop, *, was_granted: bool = False) -> None:
        self._ending = ending
        self._was_granted = was_granted
        self._granted: set[str] = set()
        self._refused: defaultdict[Source, dict[str, list[AttemptRef]]] = defaultdict(dict)
        self._is_ended = False

    def granted(self, source: Source) -> None:
        """Record a success. One of the judge's ends the row of the model as well, but not the other way round.

        Each judged query asks the model first: a judge that is always refused would never have a row.
        """
        self._granted.add(source.client)
        self._refused.pop(source, None)
        self._refused.pop(Source(source.client, "model"), None)

    def refused(self, refusal: Refusal) -> RunError | None:
        """Record a refusal. Return the error of the run if nothing has succeeded before.

        The third one in a row stops the run: queries in flight go on, and those refused are run again by `--resume`.
        """
        source, where = refusal.source, refusal.where
        if self._is_ended:
            self._ending.run_again(where.query, where.repeat)
            return None
        if not self._is_granted(refusal):
            return RunError(ErrorKind.API_REFUSED, refusal.message)
        row = self._refused[source]
        row.setdefault(where.query, []).append(where)
        if len(row) >= MAX_REFUSALS:
            self._is_ended = True
            for one in (one for some in row.values() for one in some):
                self._ending.run_again(one.query, one.repeat)
            message = f"{len(row)} queries in a row were refused, and no request succeeded between them"
            self._ending.stop(RunError(ErrorKind.API_REFUSED, f"{message}; the last one: {refusal.message}"))
        return None

    def _is_granted(self, refusal: Refusal) -> bool:
        if refusal.is_accepted:
            self._granted.add(refusal.source.client)
        if refusal.source.client in self._granted:
            return True
        return self._was_granted and refusal.status == _FORBIDDEN and refusal.source.client == RUN_CLIENT


class AccessLog:
    """Records successes and refusals in a process that runs only some queries of a run, to be replayed in another."""

    def __init__(self) -> None:
        self._notes: list[Source | Refusal] = []

    def granted(self, source: Source) -> None:
        """Record a success."""
        self._notes.append(source)

    def refused(self, refusal: Refusal) -> None:
        """Record a refusal. The run itself judges it."""
        self._notes.append(refusal)

    def take(self) -> tuple[Source | Refusal, ...]:
        """Return what was recorded since the last time, in order."""
        notes, self._notes = tuple(self._notes), []
        return notes
