"""Credentials of an OAuth client: its id, and a secret, a private key or an assertion. Reads key files.

With a secret or a key, mcprun gets tokens by the client credentials grant (RFC 6749, section 4.4; with a key RFC 7523,
section 2.2). With an assertion of an identity provider, it exchanges that (SEP-990). Neither prompts. Without any of
them, a person must log in once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcprun._util.special_files import read_text
from mcprun.errors import REDACTED, UsageError

_BY_KEY = ("RS256", "ES256", "ES384", "ES512", "EdDSA")
"""Signing algorithms to try if none is given. Each kind of key works with one of them."""

_FROM_ENVIRONMENT = "env:"


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthClient:
    """A client as it is registered with an authorization server.

    Args:
        client_id: The client's id.
        client_secret: The client's secret.
        private_key: The client's private key, in PEM.
        algorithm: The algorithm that the key signs with, such as `RS256`.
        assertion: The assertion of an identity provider.
        scope: Scopes to request, separated by spaces, in place of those that the server asks for.
        issuer: The only authorization server that the secret or the assertion may be sent to.
        port: The port of the registered redirect URI.
    """

    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    private_key: str | None = field(default=None, repr=False)
    algorithm: str | None = None
    assertion: str | None = field(default=None, repr=False)
    scope: str | None = None
    issuer: str | None = None
    port: int | None = None

    @property
    def secrets(self) -> list[str]:
        """The values to redact."""
        return [value for value in (self.client_secret, self.private_key, self.assertion) if value is not None]

    @property
    def is_machine(self) -> bool:
        """Whether the client gets tokens without a person logging in."""
        return bool(self.secrets)


def resolve_secret(option: str, text: str | None, variables: Mapping[str, str]) -> str | None:
    """Return the secret that an option gives directly or by a variable (`env:NAME`); None if it is not given.

    Raises `UsageError`, without the value, if the variable is not set, or if the text was redacted in a run.
    """
    if text is None:
        return None
    if text.startswith(_FROM_ENVIRONMENT):
        name = text.removeprefix(_FROM_ENVIRONMENT)
        if not variables.get(name, "").strip():
            raise UsageError(f"{option}: env:NAME names a variable that is not set")
        return variables[name].strip()
    if REDACTED in text:
        raise UsageError(f"{option} was not recorded in this run because it is a secret; pass it again")
    return text


def recorded_form(option: str, text: str, variables: Mapping[str, str]) -> str:
    """Return what to show and record in place of a secret: `env:NAME` if a variable holds it, else `REDACTED`."""
    if text.startswith(_FROM_ENVIRONMENT):
        return text
    variable = f"MCPRUN_{option.upper()}"
    return f"{_FROM_ENVIRONMENT}{variable}" if variables.get(variable, "").strip() == text else REDACTED


def client_from_options(
    variables: Mapping[str, str],
    *,
    client_id: str | None,
    client_secret: str | None,
    private_key: str | None,
    algorithm: str | None,
    assertion: str | None,
    scope: str | None,
    issuer: str | None,
) -> OAuthClient | None:
    """Return the client that the options describe; None if no option is given.

    `private_key` is the name of a file. Secrets may be `env:NAME`. Raises `UsageError` for options that conflict or
    are incomplete, and for a key that can't be used.
    """
    client = OAuthClient(
        client_id=client_id,
        client_secret=resolve_secret("--oauth-client-secret", client_secret, variables),
        private_key=_read_key(private_key) if private_key is not None else None,
        assertion=resolve_secret("--oauth-assertion", assertion, variables),
        scope=scope,
        issuer=issuer,
    )
    if client == OAuthClient():
        if algorithm:
            raise UsageError("--oauth-algorithm requires --oauth-private-key")
        return None
    if not client.client_id or not client.is_machine:
        raise UsageError(
            "--oauth-client-id requires --oauth-client-secret or --oauth-private-key, and the other --oauth options"
            " require both; to log in interactively, run mcprun login URL"
        )
    if client.private_key is not None and (client.client_secret or client.assertion):
        raise UsageError("--oauth-private-key cannot be combined with --oauth-client-secret or --oauth-assertion")
    if client.assertion and not (client.client_secret and client.issuer):
        raise UsageError("--oauth-assertion requires --oauth-client-secret and --oauth-issuer (SEP-990)")
    if algorithm and client.private_key is None:
        raise UsageError("--oauth-algorithm requires --oauth-private-key")
    return _signing(client, algorithm, private_key or "") if client.private_key is not None else client


def registered_client(entry: Mapping[str, Any], where: str) -> OAuthClient | None:
    """Return the manually registered client in a server's configuration entry; None if it has none.

    Claude Code and others write it as `oauth` (`clientId`, `clientSecret`, `scopes`, `callbackPort`), Cursor as `auth`
    (`CLIENT_ID`, `CLIENT_SECRET`, `scopes`). Raises `UsageError` for values of another type.
    """
    found = entry.get("oauth", entry.get("auth"))
    if not isinstance(found, dict):
        return None
    settings = {str(key).replace("_", "").lower(): value for key, value in found.items()}
    texts = {key: settings.get(key) for key in ("clientid", "clientsecret")}
    scopes, port = settings.get("scopes", settings.get("scope")), settings.get("callbackport")
    if isinstance(scopes, list):
        scopes = " ".join(map(str, scopes))
    if not all(value is None or isinstance(value, str) for value in (*texts.values(), scopes)):
        raise UsageError(f"{where}: client ID, secret and scopes must be strings")
    if port is not None and not (isinstance(port, int) and 0 < port < 65536):
        raise UsageError(f"{where}: callbackPort must be a port number from 1 to 65535")
    return OAuthClient(client_id=texts["clientid"], client_secret=texts["clientsecret"], scope=scopes, port=port)


def _read_key(file: str) -> str:
    if "\n" in file or "-----BEGIN" in file:
        raise UsageError("--oauth-private-key: expected a file name, got a key")
    try:
        return read_text(Path(file), "ascii")
    except OSError as error:
        raise UsageError(f"--oauth-private-key: can't read the file: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{file} is not a PEM private key") from None


def _signing(client: OAuthClient, algorithm: str | None, file: str) -> OAuthClient:
    """Return the client with the algorithm that its key signs with, which is `algorithm` if given.

    Raises `UsageError` if the key signs with none, or not with that one.
    """
    from dataclasses import replace

    import jwt

    for name in (algorithm,) if algorithm else _BY_KEY:
        try:
            jwt.encode({}, client.private_key or "", algorithm=name)
        except (ValueError, TypeError, jwt.PyJWTError):
            continue
        return replace(client, algorithm=name)
    problem = f"cannot sign with {algorithm}" if algorithm else "is not a PEM private key without a passphrase"
    raise UsageError(f"{file} {problem}")
