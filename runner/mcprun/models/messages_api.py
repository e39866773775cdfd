"""The model Claude through the anthropic SDK, and any other endpoint of the Messages API."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import Any

import anthropic
import httpx2

from mcprun._util.json_io import strict_json
from mcprun._util.long_integers import WARNING as LONG_INTEGER
from mcprun._util.long_integers import as_text, holds_long_integer, loads
from mcprun._util.network import proxy_of
from mcprun._util.surrogates import WARNING, is_well_formed, well_formed, well_formed_json
from mcprun._util.url_secrets import without_secrets
from mcprun.errors import DeniedError, ErrorKind, NoConnectionError, QueryError, RequestError, RunError
from mcprun.models.base import ModelReply, ModelRequest, ModelSettings
from mcprun.models.clients import Client
from mcprun.models.messages import sendable
from mcprun.models.messages_stream import MessageAccumulator
from mcprun.models.prompt_caching import Caching, cached, marks_in
from mcprun.runs.records import Usage
from mcprun.runs.warn_once import Warn, drop_warning


class AnthropicModel:
    """A model that sends requests over HTTP. The SDK's retries are off: `models/retry.py` is the only retry layer."""

    def __init__(
        self,
        client: Client,
        name: str,
        manner: ModelSettings,
        request_seconds: float,
        *,
        caching: Caching = "request",
        refusals: tuple[type[Exception], ...] = (),
        warn: Warn = drop_warning,
    ) -> None:
        """Create a model that sends its requests through `client`.

        Args:
            client: A client of the SDK, without retries.
            name: The model's name in the API.
            manner: The parameters that every request has.
            request_seconds: The time limit of each request.
            caching: Where the prompt caching mark goes.
            refusals: The exceptions that a provider's library raises if it has no credentials.
            warn: Called for content that is changed before it is sent or recorded.
        """
        self._client = client
        self._manner = manner
        self._seconds = request_seconds
        self._caching = caching
        self._refusals = refusals
        self._warn = warn
        # Bedrock streams in a format of its own, not in the events of the Messages API.
        self._is_streaming = not isinstance(client, anthropic.AsyncAnthropicBedrock)
        self.name = name

    async def reply(self, request: ModelRequest) -> ModelReply:
        """Send one request, streamed if the request has a `hear`; see `Model.reply`.

        A reply that breaks off after some of its text was passed to `hear` is not retried: its text would appear twice.
        """
        parameters = self.parameters(request)
        with told(request.model, parameters["model"], self._seconds, self._refusals, has_marks=has_marks(request)):
            if request.hear and self._is_streaming:
                return await self._streamed(parameters, request.hear)
            # The HTTP client's timeout limits each wait for data; this one limits the whole request.
            async with asyncio.timeout(self._seconds):
                response = await self._client.messages.with_raw_response.create(**parameters)
                body = loads(await response.read())
            # The raw body, not the SDK's model of it: blocks must go back to the API unchanged.
            reply = read_reply(body, _request_id(response.headers), is_bare=self._manner.bare)
            return request.told(self.well_formed(reply))

    def parameters(self, request: ModelRequest) -> dict[str, Any]:
        """Return the body of a request, with content that the Messages API would refuse omitted or reworded."""
        parameters: dict[str, Any] = {
            "model": request.model or self.name,
            "max_tokens": request.max_tokens,
            **cached(sendable(request.messages, self._warn), request.tools.definitions, self._caching),
            **_setting_parameters(self._manner, request),
        }
        if request.system and request.system.strip():
            parameters["system"] = request.system
        sent: dict[str, Any] = strict_json(parameters)
        if sent is not parameters and not is_well_formed(parameters):
            self._warn("surrogates", f"a request to the model: {WARNING}")
        return sent

    def well_formed(self, reply: ModelReply) -> ModelReply:
        """Replace lone surrogates and overlong integers in a reply, which servers, the API and files can't take."""
        content = well_formed_json(reply.content)
        if content is not reply.content:
            self._warn("surrogates-reply", f"a reply of the model: {WARNING}")
        if holds_long_integer(content):
            content = as_text(content)
            self._warn("integers-reply", f"a reply of the model: {LONG_INTEGER}")
        return reply if content is reply.content else replace(reply, content=content)

    async def _streamed(self, parameters: dict[str, Any], hear: Callable[[str], None]) -> ModelReply:
        """Stream a reply and pass its text on. Return the same reply as a request without streaming does."""
        assembly, is_passed_on = MessageAccumulator(), False
        messages = self._client.messages.with_streaming_response
        try:
            async with asyncio.timeout(self._seconds), messages.create(**parameters, stream=True) as response:
                async for event in anthropic.AsyncStream.raw_events(response.http_response):
                    if event.data and (text := assembly.take(event.json())):
                        is_passed_on = True
                        hear(well_formed(text))
            if not assembly.is_whole:
                raise RequestError(ErrorKind.API_ERROR, "the API's answer broke off", may_pass=True)
            reply = read_reply(assembly.body, _request_id(response.headers), is_bare=self._manner.bare)
            return self.well_formed(reply)
        except (RequestError, httpx2.HTTPError, TimeoutError, ValueError) as error:
            if not is_passed_on:
                raise
            raise _broken_off(error) from None


def _broken_off(error: Exception) -> RequestError:
    """Return the error of a reply that broke off after some of its text was passed on; it is not retried."""
    is_late = isinstance(error, TimeoutError | httpx2.TimeoutException)
    kind = ErrorKind.REQUEST_TIMEOUT if is_late else ErrorKind.API_ERROR
    what = "no more of it came in time" if is_late else f"{error}"
    if isinstance(error, RequestError):
        kind = error.kind
    return RequestError(kind, f"the answer broke off: {what}", may_pass=False)


def has_marks(request: ModelRequest) -> bool:
    """Return whether a query sets `cache_control` itself. A refusal of it then concerns this query alone."""
    return any(marks_in(list(request.messages)))


def _setting_parameters(manner: ModelSettings, request: ModelRequest) -> dict[str, Any]:
    """Return the parameters that the settings and the schema add to a request: output, thinking and tool choice."""
    parameters: dict[str, Any] = {}
    config: dict[str, Any] = {"effort": manner.effort} if manner.effort else {}
    if request.schema and not manner.bare:
        config["format"] = {"type": "json_schema", "schema": request.schema}
    if config:
        parameters["output_config"] = config
    if manner.thinking in ("adaptive", "disabled"):
        parameters["thinking"] = {"type": manner.thinking}
    elif manner.budget and manner.budget < request.max_tokens:  # a sampling request may allow fewer tokens
        parameters["thinking"] = {"type": "enabled", "budget_tokens": manner.budget}
    if manner.tool_choice and request.tools.definitions and not request.turn:
        name, _ = request.tools.to_api(manner.tool_choice, {})
        is_kind = manner.tool_choice in ("any", "none")
        if not is_kind and all(name != tool["name"] for tool in request.tools.definitions):
            message = f"--tool-choice names {manner.tool_choice}, which this query may not use, or the server lost"
            raise RequestError(ErrorKind.API_REFUSED, message, may_pass=False)
        parameters["tool_choice"] = {"type": name} if is_kind else {"type": "tool", "name": name}
    return parameters


def read_reply(body: Any, request_id: str | None, *, is_bare: bool = False) -> ModelReply:
    """Parse a message of the API. Raises `RequestError` if it is not one.

    Some endpoints (`is_bare`) send no stop reason. It is then `tool_use` if the content holds tool calls, else
    `end_turn`.
    """
    if isinstance(body, dict) and body.get("type") == "error" and isinstance(body.get("error"), dict):
        raise _error_in_200(body["error"], request_id)
    try:
        content, stop_reason, model = body["content"], body.get("stop_reason"), body["model"]
        counted = {key: value for key, value in (body.get("usage") or {}).items() if value is not None}
        usage = Usage.model_validate(counted) if "output_tokens" in counted else None
        if not isinstance(content, list):
            raise TypeError("content")
        for number, block in enumerate(content):
            if not _is_proper(block):
                raise TypeError(f"content[{number}]")
        if stop_reason is None and is_bare:
            stop_reason = "tool_use" if any(block["type"] == "tool_use" for block in content) else "end_turn"
        if not isinstance(stop_reason, str):
            raise TypeError("stop_reason")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        message = f"the API's answer is no message: {error}"
        raise RequestError(ErrorKind.API_ERROR, message, may_pass=True, request_id=request_id) from None
    return ModelReply(
        content=content,
        stop_reason=stop_reason,
        model=str(model),
        usage=usage,
        request_id=request_id,
    )


def _error_in_200(error: dict[str, Any], request_id: str | None) -> RequestError:
    """Return the error in a response with status 200, as the API sends one if it fails after the reply has begun."""
    what = f"{error.get('type')}: {error.get('message')}"
    if error.get("type") in ("overloaded_error", "rate_limit_error"):
        kind, message = ErrorKind.THROTTLED, f"the API is throttling: {what}"
    else:
        kind, message = ErrorKind.API_ERROR, f"the API failed: {what}"
    return RequestError(kind, message, may_pass=True, status=200, request_id=request_id)


def _is_proper(block: Any) -> bool:
    """Return whether a content block has the fields that mcprun reads. Blocks of other types go back unchanged."""
    match block:
        case {"type": "text", "text": str()}:
            return True
        case {"type": "tool_use", "id": str(), "name": str(), "input": dict()}:
            return True
        case {"type": str(kind)}:
            return kind not in ("text", "tool_use")
    return False


def _request_id(headers: httpx2.Headers) -> str | None:
    """Return the API's id of a request, which Bedrock sends in a header of its own."""
    return headers.get("request-id") or headers.get("x-amzn-requestid")


@contextlib.contextmanager
def told(
    asked_for: str | None,
    model: str,
    seconds: float,
    refusals: tuple[type[Exception], ...] = (),
    *,
    has_marks: bool = False,
) -> Iterator[None]:
    """Translate exceptions of the SDK into mcprun's own, by type and status.

    `asked_for` is the model that the query names, if any, and `model` the one that was requested. `seconds` is the time
    limit to report. `refusals` are the exceptions of a provider's credentials. `has_marks` is set if the query sets
    `cache_control` itself.
    """
    try:
        yield
    except (TimeoutError, anthropic.APITimeoutError, httpx2.TimeoutException):
        message = f"the API did not answer within {seconds:g} s"
        raise RequestError(ErrorKind.REQUEST_TIMEOUT, message, may_pass=True) from None
    except (anthropic.APIConnectionError, httpx2.HTTPError) as error:
        cause = error.__cause__ or error
        message = f"no connection to the API{_place(error)}: {cause}"
        if isinstance(cause, httpx2.ConnectError):
            raise NoConnectionError(message) from None
        raise RequestError(ErrorKind.API_ERROR, message, may_pass=True) from None
    except anthropic.APIStatusError as error:
        raise _status_error(error, asked_for, model, has_marks=has_marks) from None
    except refusals as error:
        raise DeniedError(f"no credentials for the API: {error}", names_model=False) from None
    except (anthropic.APIError, ValueError, RecursionError) as error:
        message = f"the API's answer can't be read: {error}"
        raise RequestError(ErrorKind.API_ERROR, message, may_pass=True) from None


def _place(error: anthropic.APIConnectionError | httpx2.HTTPError) -> str:
    """Describe the URL and proxy of a request without secrets; empty for an httpx2 error that has no request."""
    with contextlib.suppress(RuntimeError):
        url = str(error.request.url)
        proxy = proxy_of(url)
        return f" at {without_secrets(url)}" + (f" through the proxy of {proxy}" if proxy else "")
    return ""


def _status_error(
    error: anthropic.APIStatusError, asked_for: str | None, model: str, *, has_marks: bool
) -> QueryError | RunError:
    """Return the error that a status means: for this request, for this query, or for the whole run."""
    api_message = _api_message(error)
    request_id = _request_id(error.response.headers)
    what = f"{error.status_code} {error.type or ''}".strip() + f": {api_message or error.message}"
    if request_id:
        what += f" (request {request_id})"

    should_retry = error.response.headers.get("x-should-retry")  # the API's own hint takes precedence
    retry_after = _retry_after(error.response.headers)

    def failed(kind: ErrorKind, message: str, *, may_pass: bool) -> RequestError:
        return RequestError(
            kind,
            f"{message}: {what}",
            may_pass=should_retry == "true" if should_retry in ("true", "false") else may_pass,
            retry_after=retry_after,
            status=error.status_code,
            request_id=request_id,
        )

    match error.status_code:
        case 401 | 403 as status:
            refused = f"the model {model!r}" if asked_for and status == 403 else "the key"
            return DeniedError(
                f"the API refused {refused}: {what}",
                names_model=asked_for is not None,
                may_pass=should_retry == "true",
                retry_after=retry_after,
                status=status,
                request_id=request_id,
            )
        case 402:
            return RunError(ErrorKind.API_REFUSED, f"the API wants to be paid: {what}")
        case 400 if "credit balance is too low" in api_message:  # older deployments have no 402
            return RunError(ErrorKind.API_REFUSED, f"the API wants to be paid: {what}")
        case 400 if "model identifier is invalid" in api_message and not asked_for:  # Bedrock's form of a 404
            return RunError(ErrorKind.API_REFUSED, f"the API does not know the model {model!r}: {what}")
        case 404 if asked_for:  # the query's own model: other queries may be fine
            return failed(ErrorKind.API_REFUSED, f"the API does not know the query's model {model!r}", may_pass=False)
        case 404:
            return RunError(ErrorKind.API_REFUSED, f"the API does not know the model {model!r}, or the URL: {what}")
        case 429 | 529:
            return failed(ErrorKind.THROTTLED, "the API is throttling", may_pass=True)
        case status if status >= 500 or status in (408, 409):
            return failed(ErrorKind.API_ERROR, "the API failed", may_pass=True)
        case 400 if "cache_control" in api_message and not asked_for and not has_marks:  # the mark is mcprun's own
            return RunError(
                ErrorKind.API_REFUSED, f"the API does not take cache_control, which --bare-api leaves out: {what}"
            )
        case 400 if api_message.startswith("tools."):  # the API has no error code for it; at worst, it is not run-wide
            return RunError(ErrorKind.BAD_TOOLS, f"the API refused the tool list: {what}")
    return failed(ErrorKind.API_REFUSED, "the API refused the request", may_pass=False)


def _api_message(error: anthropic.APIStatusError) -> str:
    """Return the API's own error message: from `error`, or from the top level, where Bedrock puts it."""
    alone = error.body.get("message") if isinstance(error.body, dict) else None
    return error.api_message or (alone if isinstance(alone, str) else "")


def _retry_after(headers: httpx2.Headers) -> float | None:
    """Return the seconds that the API asks to wait, from `retry-after-ms` or `retry-after` (RFC 9110, section 10.2.3).

    None if neither asks for any: absent, unreadable, zero, or a date in the past.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        with contextlib.suppress(KeyError, ValueError):
            seconds = float(headers[name]) * unit
            if math.isfinite(seconds) and seconds > 0:
                return seconds
    with contextlib.suppress(KeyError, ValueError, TypeError, OverflowError):
        seconds = parsedate_to_datetime(headers["retry-after"]).timestamp() - time.time()
        return seconds if seconds > 0 else None
    return None
