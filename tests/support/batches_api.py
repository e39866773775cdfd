"""Stand-in for the Message Batches API: the endpoints under `/v1/messages/batches`.

A batch ends once it has been polled `looks` times. Each of its requests is answered like a single request. Results are
returned in reverse order, and the list of batches is paginated. See `MessagesApi.batches`.
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
"""An HTTP status and a body."""

Fault = Literal["403", "500", "drop", "reset", "truncate", "garbage"]
"""An error response, a transport failure as in `messages_api.Failure`, or `garbage`.

`garbage` is one line of invalid JSON in the results, and a body that is not a batch from the other endpoints.
"""

_PAGE = 2
"""Batches per page of the list."""


@dataclass
class Batch:
    """One batch: its requests by `custom_id`, the polls left until it ends, and its results.

    The results of an archived batch are no longer available.
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
    """The batches of a server at `url`. `answer` returns the status and body for a single request.

    `fate` takes the index of a batch and the body of a request. It returns `expired` or `canceled` to override the
    request's result, or None. `faults` maps an endpoint (`create`, `look`, `results`, `list`) to the faults of its next
    responses; None is a response without a fault. `on_request` is called with `create` or `look` and the batch, before
    the response is sent.
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
        """Handle a request; return the outcome and the fault of its response.

        A request whose response has a fault takes effect all the same.
        """
        endpoint, _, query = path.removeprefix("/v1/messages/batches").partition("?")
        segments = endpoint.strip("/").split("/")
        name = {("POST", 1): "create", ("GET", 1): "list" if segments == [""] else "look"}.get(
            (method, len(segments)), segments[-1]
        )
        outcome = self._respond(method, segments, query, body)
        faults = self.faults.get(name)
        return outcome, faults.pop(0) if faults else None

    def _respond(self, method: str, segments: list[str], query: str, body: Any) -> Outcome:
        match method, segments:
            case "POST", [""]:
                return self._create(body)
            case "GET", [""]:
                return 200, self._list(query)
            case _, [name, *rest] if batch := next((one for one in self.all if one.id == name), None):
                match method, rest:
                    case "GET", []:
                        self._look(batch)
                        return 200, self._state(batch)
                    case "GET", ["results"] if batch.status == "ended":
                        return 200, "".join(json.dumps(one) + "\n" for one in batch.results)
                    case "POST", ["cancel"] if batch.status != "ended":
                        batch.status, batch.looks = "canceling", 1
                        return 200, self._state(batch)
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
        """Return one page of batches, the newest first. `after_id` is the last batch of the previous page."""
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
