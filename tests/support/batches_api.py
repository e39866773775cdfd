"""The part of the stub that plays the Message Batches API: `/v1/messages/batches` and what stands below it.

A batch ends when it was looked at `looks` times; each of its requests is answered as if it had come by itself. Results
come in reverse order, and batches are listed in pages of a few. See `MessagesApi.batches`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any, Literal

Body = dict[str, Any]
Outcome = tuple[int, Body | str]
"""A status and what goes with it."""

Fault = Literal["403", "500", "drop", "reset", "truncate", "garbage"]
"""A refusal or failure of the API, or how its answer does not arrive, as `messages_api.Failure` has it.

Of results, `garbage` is one line that can't be read; of the other endpoints, an answer that is no batch.
"""

_PAGE = 2
"""Batches that a page of the list holds."""


@dataclass
class Batch:
    """One batch: its requests by `custom_id`, how often it will be looked at before it has ended, and its results.

    Of one that `is_archived` the results are deleted.
    """

    id: str
    requests: dict[str, Body]
    looks: int
    status: str = "in_progress"
    results: list[Body] = field(default_factory=list)
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    is_archived: bool = False


@dataclass
class Batches:
    """The batches of a server at `url`; `answer` says what a request is answered by itself: a status and a body.

    `fate` may say otherwise of a request, by the number of its batch and its body: `expired` or `canceled`. `faults`
    holds what the next answers of an endpoint (`create`, `look`, `results`, `list`) meet with. `on_request` is called
    when a batch was created, or is looked at, before the answer is sent.
    """

    answer: Callable[[Body], Outcome]
    looks: int = 2
    max_requests: int = 100_000
    max_bytes: int = 256_000_000
    fate: Callable[[int, Body], str | None] = lambda _, __: None
    faults: dict[str, list[Fault | None]] = field(default_factory=dict)
    on_request: Callable[[str, Batch], None] = lambda _, __: None
    all: list[Batch] = field(default_factory=list)
    url: str = ""
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def respond(self, method: str, path: str, body: Any) -> tuple[Outcome, Fault | None]:
        """Play one endpoint of the API; what fails is done all the same, and its answer does not arrive."""
        place, _, query = path.removeprefix("/v1/messages/batches").partition("?")
        steps = place.strip("/").split("/")
        name = {("POST", 1): "create", ("GET", 1): "list" if steps == [""] else "look"}.get(
            (method, len(steps)), steps[-1]
        )
        outcome = self._respond(method, steps, query, body)
        left = self.faults.get(name)
        return outcome, left.pop(0) if left else None

    def _respond(self, method: str, steps: list[str], query: str, body: Any) -> Outcome:
        match method, steps:
            case "POST", [""]:
                return self._create(body)
            case "GET", [""]:
                return 200, self._list(query)
            case _, [name, *rest] if found := next((one for one in self.all if one.id == name), None):
                match method, rest:
                    case "GET", []:
                        self._look(found)
                        return 200, self._state(found)
                    case "GET", ["results"] if found.status == "ended":
                        return 200, "".join(json.dumps(one) + "\n" for one in found.results)
                    case "POST", ["cancel"] if found.status != "ended":
                        found.status, found.looks = "canceling", 1
                        return 200, self._state(found)
        return _error(404, "not_found_error", "Not found")

    def _create(self, body: Any) -> Outcome:
        if len(json.dumps(body)) > self.max_bytes:
            return _error(413, "request_too_large", "Request exceeds the maximum size")
        requests = body.get("requests") if isinstance(body, dict) else None
        if not isinstance(requests, list) or not requests:
            return _error(400, "invalid_request_error", "requests: Field required")
        names = [one["custom_id"] for one in requests]
        if len(names) > self.max_requests:
            return _error(400, "invalid_request_error", f"requests: at most {self.max_requests} are allowed")
        if len(set(names)) < len(names) or not all(re.fullmatch("[a-zA-Z0-9_-]{1,64}", name) for name in names):
            return _error(400, "invalid_request_error", "requests: custom_id must be unique and match the pattern")
        batch = Batch(f"msgbatch_01{next(self._numbers):022}", {one["custom_id"]: one["params"] for one in requests}, 0)
        batch.looks = self.looks
        self.all.append(batch)
        self.on_request("create", batch)
        return 200, self._state(batch)

    def _list(self, query: str) -> Body:
        """One page, the newest first; `after_id` is the last one of the page before."""
        newest = self.all[::-1]
        if after := re.search("after_id=([^&]+)", query):
            newest = newest[[one.id for one in newest].index(after[1]) + 1 :]
        page = [self._state(one) for one in newest[:_PAGE]]
        return {"data": page, "has_more": len(newest) > _PAGE, "last_id": page[-1]["id"] if page else None}

    def _look(self, batch: Batch) -> None:
        self.on_request("look", batch)
        batch.looks -= 1
        if batch.status == "ended" or batch.looks > 0:
            return
        number = self.all.index(batch)
        for name, body in reversed(batch.requests.items()):
            fate = "canceled" if batch.status == "canceling" else self.fate(number, body)
            batch.results.append({"custom_id": name, "result": {"type": fate} if fate else self._result(body)})
        batch.status = "ended"

    def _result(self, body: Body) -> Body:
        status, answer = self.answer(body)
        return {"type": "succeeded", "message": answer} if status == 200 else {"type": "errored", "error": answer}

    def _state(self, batch: Batch) -> Body:
        kinds = [one["result"]["type"] for one in batch.results]
        counts = {kind: kinds.count(kind) for kind in ("succeeded", "errored", "canceled", "expired")}
        has_ended = batch.status == "ended"
        return {
            "id": batch.id,
            "type": "message_batch",
            "processing_status": batch.status,
            "request_counts": {"processing": 0 if has_ended else len(batch.requests), **counts},
            "created_at": batch.created.isoformat(),
            "expires_at": batch.created.isoformat(),
            "results_url": f"{self.url}/v1/messages/batches/{batch.id}/results"
            if has_ended and not batch.is_archived
            else None,
        }


def _error(status: int, kind: str, message: str) -> Outcome:
    return status, {"type": "error", "error": {"type": kind, "message": message}}
