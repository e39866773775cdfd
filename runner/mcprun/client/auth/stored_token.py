"""Tokens that an authorization server granted, with everything needed to refresh them in another process."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict

_MARGIN_SECONDS = 10.0
"""A token is renewed this long before it expires, or a tenth of its lifetime before if that is shorter."""


@dataclass(frozen=True, slots=True)
class Key:
    """Identify stored tokens by the server's URL and the client's id, which is empty after an interactive login."""

    url: str
    client: str = ""

    @classmethod
    def of(cls, url: str, client: str = "") -> Self:
        """Return the key for a URL, normalized as in RFC 8707: scheme and host in lower case, no fragment, no user."""
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2].lower()
        return cls(urlunsplit((parts.scheme.lower(), host, parts.path, parts.query, "")), client)


class StoredToken(BaseModel):
    """Tokens and their origin.

    Args:
        expires_at: When to renew the access token, in seconds since 1970. None if that is not known.
        asked: The scopes that the client was configured to request.
        client: The client's registration, as the SDK serializes it.
        server: The authorization server's metadata (RFC 8414), as the SDK serializes it.
        resource: The protected resource's metadata (RFC 9728), as the SDK serializes it.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    access_token: str
    refresh_token: str | None = None
    scope: str | None = None
    asked: str | None = None
    expires_at: float | None = None
    client: dict[str, Any] | None = None
    server: dict[str, Any] | None = None
    resource: dict[str, Any] | None = None

    @property
    def is_due(self) -> bool:
        """Whether the access token is due for renewal."""
        return self.expires_at is not None and time.time() >= self.expires_at

    @property
    def secrets(self) -> list[str]:
        """The values to redact."""
        values = (self.access_token, self.refresh_token, (self.client or {}).get("client_secret"))
        return [value for value in values if value]


def renewal_time(expires_in: int | None) -> float | None:
    """Return when to renew a token that was granted now, from its lifetime in seconds. None if that is not known."""
    if expires_in is None:
        return None
    return time.time() + expires_in - min(_MARGIN_SECONDS, expires_in / 10)
