"""What is secret in a URL and in a header, in each form that whoever reads them may tell it in. Pure."""

from __future__ import annotations

from base64 import b64decode, b64encode
from urllib.parse import unquote, unquote_plus, urlsplit, urlunsplit

from mcprun.errors import REDACTED

_PLAIN_HEADERS = frozenset({"accept", "accept-language", "content-type", "user-agent", "mcp-protocol-version"})
"""Headers whose values are no secret, and stand in every other message."""


def url_secrets(url: str) -> list[str]:
    """Give what `without_secrets` leaves out of a URL: as it is written, as a server reads it, and as a header has it.

    A user and password travel as `Authorization: Basic` (RFC 7617), not in the URL. One that is no URL is all secret.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return [url]
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    pair = f"{unquote(user)}:{unquote(password)}"
    values = [one.partition("=")[2] or one for one in parts.query.split("&")]
    found = [user, password, unquote(user), unquote(password), parts.query, *values, *map(unquote_plus, values)]
    if user or password:
        found += [pair, b64encode(pair.encode("utf-8", "replace")).decode()]
    return [value for value in [*found, parts.fragment] if value]


def header_secrets(name: str, value: str) -> list[str]:
    """Give what is secret in a header: all of it, and what a server that reads it takes out of it."""
    name, value = name.lower(), value.strip()
    if name in _PLAIN_HEADERS:
        return []
    if name == "cookie":
        return [value, *(pair.partition("=")[2].strip() for pair in value.split(";"))]
    scheme, _, shown = value.partition(" ")  # Bearer or Basic, and what stands behind it
    shown = shown.strip()
    try:
        pair = b64decode(shown, validate=True).decode() if scheme.lower() == "basic" else ""
    except ValueError:
        pair = ""
    return [value, shown, pair, *pair.split(":", 1)]


def without_secrets(url: str) -> str:
    """Give a URL without its user, password, query and fragment, which may be secret.

    One that can't be taken apart is given whole, or not at all where there may be any of these in it.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return REDACTED if set(url) & set("@?#") else url
    user, _, host = parts.netloc.rpartition("@")
    netloc = f"{REDACTED}@{host}" if user else host
    return urlunsplit((parts.scheme, netloc, parts.path, REDACTED if parts.query else "", ""))
