"""Find the secrets of URLs and headers, in each form in which a server may echo them. Pure."""

from __future__ import annotations

from base64 import b64decode, b64encode
from urllib.parse import unquote, unquote_plus, urlsplit, urlunsplit

from mcprun.errors import REDACTED

_PLAIN_HEADERS = frozenset({"accept", "accept-language", "content-type", "user-agent", "mcp-protocol-version"})
"""Headers whose values are not secret, and occur in many messages."""


def url_secrets(url: str) -> list[str]:
    """Return the parts that `without_secrets` removes from a URL: as written, decoded, and as sent in a header.

    A user and password are sent as `Authorization: Basic` (RFC 7617), not in the URL. If the URL can't be parsed, all
    of it is secret.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return [url]
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    pair = f"{unquote(user)}:{unquote(password)}"
    values = [one.partition("=")[2] or one for one in parts.query.split("&")]
    secrets = [user, password, unquote(user), unquote(password), parts.query, *values, *map(unquote_plus, values)]
    if user or password:
        secrets += [pair, b64encode(pair.encode("utf-8", "replace")).decode()]
    return [value for value in [*secrets, parts.fragment] if value]


def header_secrets(name: str, value: str) -> list[str]:
    """Return the secrets of a header: its whole value, and the parts that a server extracts from it."""
    name, value = name.lower(), value.strip()
    if name in _PLAIN_HEADERS:
        return []
    if name == "cookie":
        return [value, *(pair.partition("=")[2].strip() for pair in value.split(";"))]
    scheme, _, credentials = value.partition(" ")  # Bearer or Basic
    credentials = credentials.strip()
    try:
        pair = b64decode(credentials, validate=True).decode() if scheme.lower() == "basic" else ""
    except ValueError:
        pair = ""
    return [value, credentials, pair, *pair.split(":", 1)]


def without_secrets(url: str) -> str:
    """Return a URL without its user, password, query and fragment, which may be secret.

    A URL that can't be parsed is returned unchanged, or as `REDACTED` if it may contain any of these.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return REDACTED if set(url) & set("@?#") else url
    user, _, host = parts.netloc.rpartition("@")
    netloc = f"{REDACTED}@{host}" if user else host
    return urlunsplit((parts.scheme, netloc, parts.path, REDACTED if parts.query else "", ""))
