"""Stand-ins for the Messages API as Bedrock, Vertex AI and Foundry serve it: paths, credentials and error bodies.

Each checks a request against its provider's rules, converts it to the form of Anthropic's API, and answers it as
`MessagesApi` does. `BareApi` implements the minimum of the API, as local servers do.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, quote, unquote

from tests.support.messages_api import Body, HttpReply, MessagesApi, error
from tests.support.messages_rules import OPTIONAL, REQUIRED

KEY = "sk-ant-test"
"""The key that `MessagesApi` receives once a provider has accepted its own credentials."""

API_VERSION = "2026-10-21"
"""The version that the SDK's clients for providers send in the body rather than in a header."""

_VERSION = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}


class BedrockApi(MessagesApi):
    """Amazon Bedrock's InvokeModel. It accepts the API key `token` and requests signed with `secret`."""

    token = "bedrock-token-made-up"
    secret = "made-up-secret-key"
    region = "eu-west-7"

    def _reply(self, method: str, path: str, headers: Mapping[str, str], body: Any) -> HttpReply:
        match = re.fullmatch(r"/model/([^/]+)/invoke", path)
        if not match:
            return HttpReply(404, {"message": f"no such operation: {path}"})
        if not self._is_known(method, path, headers):
            return HttpReply(403, {"message": "The security token included in the request is invalid."})
        if "model" in body or body.pop("anthropic_version", None) != API_VERSION:
            return HttpReply(400, {"message": "Malformed input request"})
        if "cache_control" in body:
            return HttpReply(400, {"message": "cache_control: Extra inputs are not permitted"})
        if unquote(match[1]) in self._unknown_models:
            return HttpReply(400, {"message": "The provided model identifier is invalid."})
        reply = super()._reply("POST", "/v1/messages", _VERSION, {**body, "model": unquote(match[1])})
        return HttpReply(reply.status, reply.body, {"x-amzn-requestid": "amzn-1", **reply.headers}, reply.fails)

    def _is_known(self, method: str, path: str, headers: Mapping[str, str]) -> bool:
        text = headers.get("authorization", "")
        if text.startswith("Bearer "):
            return text == f"Bearer {self.token}"
        return hmac.compare_digest(text.rpartition("Signature=")[2], self._signature(method, path, headers))

    def _signature(self, method: str, path: str, headers: Mapping[str, str]) -> str:
        """Compute the AWS Signature Version 4 of a request (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html)."""
        signed = re.search(r"SignedHeaders=([^,]+)", headers.get("authorization", ""))
        names = signed[1].split(";") if signed else []
        lines = [f"{name}:{' '.join(headers[name].split())}" for name in names]
        items = [method, quote(path, safe="/"), "", *lines, "", ";".join(names), hashlib.sha256(self.raw).hexdigest()]
        date = headers.get("x-amz-date", "")
        scope = f"{date[:8]}/{self.region}/bedrock/aws4_request"
        text = "\n".join(("AWS4-HMAC-SHA256", date, scope, hashlib.sha256("\n".join(items).encode()).hexdigest()))
        key = f"AWS4{self.secret}".encode()
        for part in (*scope.split("/"), text):
            key = hmac.digest(key, part.encode(), "sha256")
        return key.hex()

    def respond(self, method: str, path: str, headers: Mapping[str, str], raw: bytes) -> HttpReply:
        self.raw = raw  # `_signature` hashes it; requests come one at a time
        return super().respond(method, path, headers, raw)


class VertexApi(MessagesApi):
    """Google Vertex AI with an access token, and the token endpoint for service accounts."""

    token = "vertex-token-made-up"
    grants = True

    def _reply(self, method: str, path: str, headers: Mapping[str, str], body: Any) -> HttpReply:
        if path == "/token":
            if not self.grants:
                return HttpReply(400, {"error": "invalid_grant", "error_description": "Invalid JWT"})
            return HttpReply(200, {"access_token": self.token, "expires_in": 3600, "token_type": "Bearer"})
        match = re.fullmatch(
            r"/v1/projects/shop/locations/europe-west9/publishers/anthropic/models/([^/]+):rawPredict", path
        )
        if not match:
            return HttpReply(
                404, {"error": {"code": 404, "message": "Publisher Model not found", "status": "NOT_FOUND"}}
            )
        if headers.get("authorization") != f"Bearer {self.token}":
            return HttpReply(401, {"error": {"code": 401, "message": "Bad token", "status": "UNAUTHENTICATED"}})
        if "model" in body or body.pop("anthropic_version", None) != API_VERSION or "cache_control" in body:
            return error(400, "invalid_request_error", "cache_control: Extra inputs are not permitted")
        return super()._reply("POST", "/v1/messages", _VERSION, {**body, "model": unquote(match[1])})

    def assertion(self) -> str:
        """Return the signed JWT with which a service account requested its token."""
        request = next(one for one in self.raws if b"assertion=" in one)
        return parse_qs(request.decode())["assertion"][0]

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.raws: list[bytes] = []

    def respond(self, method: str, path: str, headers: Mapping[str, str], raw: bytes) -> HttpReply:
        self.raws.append(raw)
        return super().respond(method, path, headers, raw)


class FoundryApi(MessagesApi):
    """Microsoft Foundry with an API key."""

    key = "foundry-key-made-up"

    def _reply(self, method: str, path: str, headers: Mapping[str, str], body: Any) -> HttpReply:
        if path != "/anthropic/v1/messages":
            return HttpReply(404, {"error": {"code": "404", "message": "Resource not found"}})
        if headers.get("x-api-key") != self.key:
            return HttpReply(
                401, {"error": {"code": "401", "message": "Access denied due to invalid subscription key"}}
            )
        version = {"anthropic-version": headers.get("anthropic-version", "")}
        return super()._reply(method, "/v1/messages", {**_VERSION, **version}, body)


class BareApi(MessagesApi):
    """A minimal endpoint: it accepts any key, rejects optional fields, and returns no stop reason and few token counts."""

    fields = frozenset({*REQUIRED, "system", "tools", "tool_choice"})

    def _reply(self, method: str, path: str, headers: Mapping[str, str], body: Any) -> HttpReply:
        if more := sorted(body.keys() & OPTIONAL - self.fields):
            return HttpReply(400, {"error": {"message": f"unknown field: {more[0]}", "type": "invalid_request_error"}})
        reply = super()._reply(method, path, {**headers, "x-api-key": KEY}, body)
        if reply.status != 200 or not isinstance(reply.body, dict):
            return reply
        usage = {"input_tokens": 3, "output_tokens": 2}
        fields: Body = {name: reply.body[name] for name in ("id", "type", "role", "model", "content")}
        return HttpReply(200, {**fields, "stop_reason": None, "usage": usage})

    def respond(self, method: str, path: str, headers: Mapping[str, str], raw: bytes) -> HttpReply:
        reply = super().respond(method, path, headers, raw)
        more = {name: value for name, value in reply.headers.items() if name != "request-id"}
        return HttpReply(reply.status, reply.body, more, reply.fails)
