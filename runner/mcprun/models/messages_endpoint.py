"""`POST /v1/messages`: what all requests of a run share, the URL and the headers, is prepared once."""

from __future__ import annotations

import json

import anthropic
import httpx2


class MessagesEndpoint:
    """The Messages API at the base URL of a client of the SDK, with that client's headers."""

    def __init__(self, client: anthropic.AsyncAnthropic, http: httpx2.AsyncClient, timeout_s: float) -> None:
        """Prepare requests that `http` sends. Each wait of it, to connect or for data, is limited to `timeout_s`."""
        self._http = http
        url = client.base_url.copy_with(raw_path=client.base_url.raw_path + b"v1/messages")
        headers = httpx2.Headers(encoding="utf-8")  # as the SDK encodes them
        for name, value in client.default_headers.items():
            if isinstance(value, str):  # else it is omitted
                headers[name] = value
        prepared = http.build_request("POST", url, headers=headers, timeout=timeout_s)
        for name in ("Content-Length", "Transfer-Encoding"):
            prepared.headers.pop(name, None)  # each body has its own
        if "_" in url.host:  # as the SDK does: certificates with a wildcard are not valid for a name with underscores
            prepared.extensions["sni_hostname"] = url.host.replace("_", "-")
        self._prepared = prepared

    async def post(self, body: bytes) -> httpx2.Response:
        """Send a request with this JSON body and return the response, read to its end.

        Raises `anthropic.APIStatusError` for a status that is not 2xx, and `httpx2.HTTPError` if there is no response.
        """
        prepared = self._prepared
        request = httpx2.Request(
            prepared.method,
            prepared.url,
            headers=prepared.headers,
            cookies=self._http.cookies,
            content=body,
            extensions=prepared.extensions,
        )
        response = await self._http.send(request)
        if response.is_success:
            return response
        raise _status_error(response)


def _status_error(response: httpx2.Response) -> anthropic.APIStatusError:
    """Return the error that the SDK raises for a response."""
    text = response.text.strip()
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return anthropic.APIStatusError(text or f"Error code: {response.status_code}", response=response, body=text)
    return anthropic.APIStatusError(f"Error code: {response.status_code} - {body}", response=response, body=body)
