"""The model Claude through the anthropic SDK, and any other endpoint of the Messages API."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import anthropic
import httpx2

from mcprun._util.json_io import encode, strict_json
from mcprun._util.long_integers import WARNING as LONG_INTEGER
from mcprun._util.long_integers import as_text, holds_long_integer, loads
from mcprun._util.surrogates import REPLACEMENT, WARNING, is_well_formed, well_formed, well_formed_json
from mcprun.errors import ErrorKind, RequestError
from mcprun.models.api_errors import error_from_body, request_id_from, translate_api_errors
from mcprun.models.base import ModelReply, ModelRequest, ModelSettings
from mcprun.models.clients import Client
from mcprun.models.messages import make_sendable
from mcprun.models.messages_endpoint import MessagesEndpoint
from mcprun.models.messages_stream import MessageAccumulator
from mcprun.models.prompt_caching import Caching, cached, marks_in
from mcprun.runs.transcript import Usage
from mcprun.runs.warn_once import Warn, drop_warning


class AnthropicModel:
    """A model that sends requests over HTTP. The SDK's retries are off: `models/retry.py` is the only retry layer."""

    def __init__(
        self,
        client: Client,
        name: str,
        settings: ModelSettings,
        request_timeout_s: float,
        *,
        endpoint: MessagesEndpoint | None = None,
        caching: Caching = "request",
        refusals: tuple[type[Exception], ...] = (),
        warn: Warn = drop_warning,
    ) -> None:
        """Create a model that sends its requests through `client`.

        Args:
            client: A client of the SDK, without retries.
            name: The model's name in the API.
            settings: The parameters that every request has.
            request_timeout_s: The time limit of each request.
            endpoint: Where requests go that are not streamed. If it is None, they go through `client`, too.
            caching: Where the prompt caching mark goes.
            refusals: The exceptions that a provider's library raises if it has no credentials.
            warn: Called for content that is changed before it is sent or recorded.
        """
        self._client = client
        self._endpoint = endpoint
        self._settings = settings
        self._request_timeout_s = request_timeout_s
        self._caching = caching
        self._refusals = refusals
        self._warn = warn
        # Bedrock streams in a format of its own, not in the events of the Messages API.
        self._is_streaming = not isinstance(client, anthropic.AsyncAnthropicBedrock)
        self.name = name

    async def reply(self, request: ModelRequest) -> ModelReply:
        """Send one request, streamed if the request has an `on_text`; see `Model.reply`.

        A reply that breaks off after some of its text was passed to `on_text` is not retried: its text would appear
        twice.
        """
        model = request.model or self.name
        with translate_api_errors(
            request.model, model, self._request_timeout_s, self._refusals, has_marks=has_marks(request)
        ):
            if request.on_text and self._is_streaming:
                return await self._stream(self.parameters(request), request.on_text)
            # The HTTP client's timeout limits each wait for data; this one limits the whole request.
            async with asyncio.timeout(self._request_timeout_s):
                response = await self._post(request)
            # The raw body, not the SDK's model of it: blocks must go back to the API unchanged.
            body = loads(response.content)
            reply = read_reply(body, request_id_from(response.headers), is_bare=self._settings.bare)
            return request.stream_whole(self.well_formed(reply))

    async def _post(self, request: ModelRequest) -> httpx2.Response:
        """Send a request that is not streamed."""
        if self._endpoint:
            return await self._endpoint.post(self._encoded(request))
        response = await self._client.messages.with_raw_response.create(**self.parameters(request))
        raw: httpx2.Response = response.http_response
        return raw

    def _encoded(self, request: ModelRequest) -> bytes:
        parameters = self._parameters(request)
        data = encode(parameters)
        if REPLACEMENT.encode() in data and not is_well_formed(parameters):
            self._warn("surrogates", f"a request to the model: {WARNING}")
        return data

    def parameters(self, request: ModelRequest) -> dict[str, Any]:
        """Return the body of a request, with content that the Messages API would refuse omitted or reworded."""
        parameters = self._parameters(request)
        sent: dict[str, Any] = strict_json(parameters)
        if sent is not parameters and not is_well_formed(parameters):
            self._warn("surrogates", f"a request to the model: {WARNING}")
        return sent

    def _parameters(self, request: ModelRequest) -> dict[str, Any]:
        parameters: dict[str, Any] = {
            "model": request.model or self.name,
            "max_tokens": request.max_tokens,
            **cached(make_sendable(request.messages, self._warn), request.tools.definitions, self._caching),
            **_setting_parameters(self._settings, request),
        }
        if request.system and request.system.strip():
            parameters["system"] = request.system
        return parameters

    def well_formed(self, reply: ModelReply) -> ModelReply:
        """Replace lone surrogates and overlong integers in a reply, which servers, the API and files can't take."""
        content = well_formed_json(reply.content)
        if content is not reply.content:
            self._warn("surrogates-reply", f"a reply from the model: {WARNING}")
        if holds_long_integer(content):
            content = as_text(content)
            self._warn("integers-reply", f"a reply from the model: {LONG_INTEGER}")
        return reply if content is reply.content else replace(reply, content=content)

    async def _stream(self, parameters: dict[str, Any], on_text: Callable[[str], None]) -> ModelReply:
        """Stream a reply and pass its text on. Return the same reply as a request without streaming does."""
        assembly, is_passed_on = MessageAccumulator(), False
        messages = self._client.messages.with_streaming_response
        try:
            async with asyncio.timeout(self._request_timeout_s), messages.create(**parameters, stream=True) as response:
                async for event in anthropic.AsyncStream.raw_events(response.http_response):
                    if event.data and (text := assembly.take(event.json())):
                        is_passed_on = True
                        on_text(well_formed(text))
            if not assembly.is_whole:
                raise RequestError(ErrorKind.API_ERROR, "the API's response ended early", may_pass=True)
            reply = read_reply(assembly.body, request_id_from(response.headers), is_bare=self._settings.bare)
            return self.well_formed(reply)
        except (RequestError, httpx2.HTTPError, TimeoutError, ValueError) as error:
            if not is_passed_on:
                raise
            raise _interrupted_stream(error) from None


def _interrupted_stream(error: Exception) -> RequestError:
    """Return the error of a reply that broke off after some of its text was passed on; it is not retried."""
    is_late = isinstance(error, TimeoutError | httpx2.TimeoutException)
    kind = ErrorKind.REQUEST_TIMEOUT if is_late else ErrorKind.API_ERROR
    what = "timed out waiting for the rest" if is_late else f"{error}"
    if isinstance(error, RequestError):
        kind = error.kind
    return RequestError(kind, f"the response broke off: {what}", may_pass=False)


def has_marks(request: ModelRequest) -> bool:
    """Return whether a query sets `cache_control` itself. A refusal of it then concerns this query alone."""
    return any(marks_in(list(request.messages)))


def _setting_parameters(settings: ModelSettings, request: ModelRequest) -> dict[str, Any]:
    """Return the parameters that the settings and the schema add to a request: output, thinking and tool choice."""
    parameters: dict[str, Any] = {}
    config: dict[str, Any] = {"effort": settings.effort} if settings.effort else {}
    if request.schema and not settings.bare:
        config["format"] = {"type": "json_schema", "schema": request.schema}
    if config:
        parameters["output_config"] = config
    if settings.thinking in ("adaptive", "disabled"):
        parameters["thinking"] = {"type": settings.thinking}
    elif settings.budget and settings.budget < request.max_tokens:  # a sampling request may allow fewer tokens
        parameters["thinking"] = {"type": "enabled", "budget_tokens": settings.budget}
    if settings.tool_choice and request.tools.definitions and not request.turn:
        name, _ = request.tools.to_api(settings.tool_choice, {})
        is_kind = settings.tool_choice in ("any", "none")
        if not is_kind and all(name != tool["name"] for tool in request.tools.definitions):
            message = f"--tool-choice: {settings.tool_choice} is excluded by the query, or the server no longer has it"
            raise RequestError(ErrorKind.API_REFUSED, message, may_pass=False)
        parameters["tool_choice"] = {"type": name} if is_kind else {"type": "tool", "name": name}
    return parameters


def read_reply(body: Any, request_id: str | None, *, is_bare: bool = False) -> ModelReply:
    """Parse a message of the API. Raises `RequestError` if it is not one.

    Some endpoints (`is_bare`) send no stop reason. It is then `tool_use` if the content holds tool calls, else
    `end_turn`.
    """
    if isinstance(body, dict) and body.get("type") == "error" and isinstance(body.get("error"), dict):
        raise error_from_body(body["error"], request_id)
    try:
        content, stop_reason, model = body["content"], body.get("stop_reason"), body["model"]
        counted = {key: value for key, value in (body.get("usage") or {}).items() if value is not None}
        usage = Usage.model_validate(counted) if "output_tokens" in counted else None
        if not isinstance(content, list):
            raise TypeError("content")
        for number, block in enumerate(content):
            if not _is_readable(block):
                raise TypeError(f"content[{number}]")
        if stop_reason is None and is_bare:
            stop_reason = "tool_use" if any(block["type"] == "tool_use" for block in content) else "end_turn"
        if not isinstance(stop_reason, str):
            raise TypeError("stop_reason")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        message = f"the API's response is not a message: {error}"
        raise RequestError(ErrorKind.API_ERROR, message, may_pass=True, request_id=request_id) from None
    return ModelReply(
        content=content,
        stop_reason=stop_reason,
        model=str(model),
        usage=usage,
        request_id=request_id,
    )


def _is_readable(block: Any) -> bool:
    """Return whether a content block has the fields that mcprun reads. Blocks of other types go back unchanged."""
    match block:
        case {"type": "text", "text": str()}:
            return True
        case {"type": "tool_use", "id": str(), "name": str(), "input": dict()}:
            return True
        case {"type": str(kind)}:
            return kind not in ("text", "tool_use")
    return False
