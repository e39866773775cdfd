"""The Message Batches API, through the anthropic SDK: send a batch, wait until it has ended, read its results.

See https://docs.claude.com/en/docs/build-with-claude/batch-processing.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import anthropic
import httpx2

from mcprun.errors import ErrorKind, RequestError
from mcprun.limits import BATCH_LOST_SECONDS
from mcprun.models import Reply
from mcprun.models.anthropic import read_reply, told
from mcprun.records import JsonObject

_DOUBLINGS = 6
"""A batch is looked at first after a 64th of the longest wait: small ones are often done within minutes."""

_STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""The HTTP status that the API has for each type of error; others are its own failures (500)."""


class Batches:
    """Speaks to the API. `model` names the run's model in messages, `seconds` bounds a request, `poll` a wait."""

    def __init__(self, client: anthropic.AsyncAnthropic, model: str, seconds: float, poll: float) -> None:
        self._client = client
        self._model = model
        self._seconds = seconds
        self._poll = poll

    async def create(self, requests: Sequence[JsonObject]) -> str:
        """Send requests, each a `custom_id` and its `params`; give the batch's id. Raises as `Model.reply` does."""
        with told(None, self._model, self._seconds):
            async with asyncio.timeout(self._seconds):
                batch = await self._client.messages.batches.create(requests=requests)  # type: ignore[arg-type]
        return batch.id

    async def ended(self, batch: str) -> None:
        """Wait until a batch has ended: look at it, at first often, then every `poll` seconds.

        A look that fails says nothing of the batch, which is paid for, so it is looked at again, for up to a day.
        Raises `RequestError` when the API does not know it or it never ends, `RunError` when the key is refused.
        """
        clock = asyncio.get_running_loop().time
        given_up, wait = clock() + BATCH_LOST_SECONDS, self._poll / 2**_DOUBLINGS
        while clock() < given_up:
            try:
                if await self._has_ended(batch):
                    return
            except RequestError as error:
                if not error.may_pass:
                    raise
                wait = max(wait, min(error.retry_after or 0.0, self._poll))
            await asyncio.sleep(wait)
            wait = min(wait * 2, self._poll)
        raise RequestError(ErrorKind.REQUEST_TIMEOUT, f"the batch {batch} did not end within a day", may_pass=False)

    async def _has_ended(self, batch: str) -> bool:
        with told(None, self._model, self._seconds):
            async with asyncio.timeout(self._seconds):
                try:
                    found = await self._client.messages.batches.retrieve(batch)
                except anthropic.NotFoundError:
                    raise _unknown(batch) from None
        return found.processing_status == "ended"

    async def results(self, batch: str) -> AsyncIterator[tuple[str, JsonObject]]:
        """Stream the results of a batch that has ended, in whatever order: each one's `custom_id` and `result`.

        Raises `RequestError` when it breaks off, or can't be read.
        """
        with told(None, self._model, self._seconds):
            try:
                async with self._client.messages.batches.with_streaming_response.results(batch) as response:
                    rest = b""
                    async for chunk in response.iter_bytes():
                        *lines, rest = (rest + chunk).split(b"\n")
                        for line in lines:
                            yield _result(line)
                    if rest.strip():
                        yield _result(rest)
            except anthropic.NotFoundError:
                raise _unknown(batch) from None

    async def cancel(self, batch: str) -> None:
        """Have a batch cancelled. What of it is done already is kept, and paid for."""
        with told(None, self._model, self._seconds):
            async with asyncio.timeout(self._seconds):
                await self._client.messages.batches.cancel(batch)


def answered(result: JsonObject, batch: str, custom_id: str, asked_for: str | None, model: str) -> Reply | None:
    """Read a request's result; `None` when the batch ended before it came to it (`canceled`, `expired`).

    An error is raised as if it had come by itself, with the HTTP status that is the API's for it.
    """
    match result:
        case {"type": "succeeded", "message": message}:
            return replace(read_reply(message, custom_id), batch=batch)
        case {"type": "canceled" | "expired"}:
            return None
        case {"type": "errored", "error": {"error": {"type": str(kind)}} as body}:
            with told(asked_for, model, 0.0):
                raise _status_error(kind, body)
    raise RequestError(ErrorKind.API_ERROR, f"a result of the batch {batch} can't be read", may_pass=True)


def _status_error(kind: str, body: Any) -> anthropic.APIStatusError:
    status = _STATUS.get(kind, 500)
    headers = {"request-id": body["request_id"]} if isinstance(body.get("request_id"), str) else {}
    response = httpx2.Response(status, headers=headers, request=httpx2.Request("POST", "/v1/messages"))
    return anthropic.APIStatusError(str(body["error"].get("message")), response=response, body=body)


def _result(line: bytes) -> tuple[str, JsonObject]:
    found = json.loads(line)
    if not (
        isinstance(found, dict) and isinstance(found.get("custom_id"), str) and isinstance(found.get("result"), dict)
    ):
        raise ValueError("a line of the results is none")
    return found["custom_id"], found["result"]


def _unknown(batch: str) -> RequestError:
    return RequestError(ErrorKind.API_ERROR, f"the API does not know the batch {batch}", may_pass=False)
