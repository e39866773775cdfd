"""Decide whether a refusal by the API (401, 403, or no credentials) concerns one query or the whole run.

A refusal of the model that a query names itself is an error of that query. Any other refusal ends the run if no request
has succeeded before. After a success it is an error of its query, until three queries in a row are refused.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Literal, Protocol

from mcprun._util.run_stop import RunStop
from mcprun.errors import ErrorKind, RunError
from mcprun.runs.events import AttemptRef

MAX_REFUSALS = 3
"""Queries refused in a row, without a success between them, before the run ends."""

_FORBIDDEN = 403
"""The API knows the credentials (RFC 9110, section 15.5.4). A 401 may be due to other credentials than an earlier
process had."""

RUN_CLIENT, JUDGE_CLIENT = "run", "judge"
"""The client of the run's model, and the client of a judge at another provider."""

Role = Literal["model", "judge"]
"""The sender of a request: the conversation of a query, or its judge."""


@dataclass(frozen=True, slots=True)
class Source:
    """The origin of requests: the `client`, which holds the credentials, and the role."""

    client: str
    role: Role


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refused request whose refusal does not concern the model that its query names.

    `status` is 401 or 403, or None if there were no credentials to send. `is_accepted` is set if the API accepted the
    same credentials for the Message Batch that held the request.
    """

    source: Source
    where: AttemptRef
    status: int | None
    message: str
    is_accepted: bool = False


class Access(Protocol):
    """Records successes and refusals."""

    def granted(self, source: Source) -> None:
        """Record a success."""
        ...

    def refused(self, refusal: Refusal) -> RunError | None:
        """Record a refusal. Return the error of the run if it ends with this refusal, else None."""
        ...


class RunAccess:
    """The access policy of a whole run.

    `was_granted` is set if an earlier process of the run had a success, perhaps with other credentials.
    """

    def __init__(self, run_stop: RunStop, *, was_granted: bool = False) -> None:
        self._run_stop = run_stop
        self._was_granted = was_granted
        self._granted: set[str] = set()
        self._refused: defaultdict[Source, dict[str, list[AttemptRef]]] = defaultdict(dict)
        self._is_ended = False

    def granted(self, source: Source) -> None:
        """Record a success. A success of the judge also resets the model's refusals in a row, but not the reverse.

        Each judged query asks the model first. If the model's successes reset the judge's refusals, a judge that is
        always refused would never reach three in a row.
        """
        self._granted.add(source.client)
        self._refused.pop(source, None)
        self._refused.pop(Source(source.client, "model"), None)

    def refused(self, refusal: Refusal) -> RunError | None:
        """Record a refusal. Return the error of the run if no request has succeeded before, else None.

        The third refusal in a row stops the run: queries in flight finish, and `--resume` runs the refused ones again.
        """
        source, where = refusal.source, refusal.where
        if self._is_ended:
            self._run_stop.mark_interrupted(where.query, where.repeat)
            return None
        if not self._is_granted(refusal):
            return RunError(ErrorKind.API_REFUSED, refusal.message)
        in_a_row = self._refused[source]
        in_a_row.setdefault(where.query, []).append(where)
        if len(in_a_row) >= MAX_REFUSALS:
            self._is_ended = True
            for one in (one for attempts in in_a_row.values() for one in attempts):
                self._run_stop.mark_interrupted(one.query, one.repeat)
            message = f"the API refused {len(in_a_row)} queries in a row"
            self._run_stop.drain(RunError(ErrorKind.API_REFUSED, f"{message}; the last refusal: {refusal.message}"))
        return None

    def _is_granted(self, refusal: Refusal) -> bool:
        if refusal.is_accepted:
            self._granted.add(refusal.source.client)
        if refusal.source.client in self._granted:
            return True
        return self._was_granted and refusal.status == _FORBIDDEN and refusal.source.client == RUN_CLIENT


class AccessLog:
    """Records successes and refusals in a process that runs only some queries of a run, for replay in another."""

    def __init__(self) -> None:
        self._notes: list[Source | Refusal] = []

    def granted(self, source: Source) -> None:
        """Record a success."""
        self._notes.append(source)

    def refused(self, refusal: Refusal) -> None:
        """Record a refusal; the run's own process judges it."""
        self._notes.append(refusal)

    def take(self) -> tuple[Source | Refusal, ...]:
        """Return what was recorded since the last call, in order."""
        notes, self._notes = tuple(self._notes), []
        return notes
