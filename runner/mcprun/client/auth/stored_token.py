"""What an authorization server has granted: tokens, and all that it takes to refresh them in another process."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict

_MARGIN_SECONDS = 10.0
"""A token is renewed so long before it ends, or for a tenth of its life if that is shorter."""


@dataclass(frozen=True, slots=True)
class Key:
    """Whose tokens they are: the server's URL, and the client's id; a person who logged in has none."""

    url: str
    client: str = ""

    @classmethod
    def of(cls, url: str, client: str = "") -> Self:
        """Name a server as RFC 8707 names resources: scheme and host in lower case, no fragment, no user."""
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2].lower()
        return cls(urlunsplit((parts.scheme.lower(), host, parts.path, parts.query, "")), client)


class StoredToken(BaseModel):
    """Tokens with what they came from.

    `expires_at` is in seconds since 1970; `None` is not known. `asked` holds the scopes that a client asked for by
    itself. `client`, `server` and `resource` are the client's registration and the metadata of RFC 8414 and RFC 9728,
    as the SDK has them.
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
    def is_over(self) -> bool:
        """Whether the token is known to be of no use any more."""
        return self.expires_at is not None and time.time() >= self.expires_at

    @property
    def secrets(self) -> list[str]:
        """What must not be seen."""
        found = (self.access_token, self.refresh_token, (self.client or {}).get("client_secret"))
        return [value for value in found if value]


def end_of(expires_in: int | None) -> float | None:
    """Say when a token that is given now is to be renewed, from the seconds that it lives."""
    if expires_in is None:
        return None
    return time.time() + expires_in - min(_MARGIN_SECONDS, expires_in / 10)
