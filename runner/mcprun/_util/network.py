"""Check the proxies and certificates that the environment names, before an HTTP client is created.

The HTTP client of both SDKs reads these variables when it is constructed. One bad value makes every request fail with
an exception that does not name the variable. Pure, except that it reads the certificates.
"""

from __future__ import annotations

import importlib
import os
import ssl
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass_environment  # type: ignore[attr-defined]  # typeshed lacks it

from mcprun._util.special_files import refuse_special
from mcprun._util.url_secrets import without_secrets
from mcprun.errors import UsageError

_SCHEMES = ("http", "https", "socks5", "socks5h")
"""Proxy schemes that the HTTP client supports."""

_FILE, _FOLDER, _KEY_LOG = "SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"


def check_network(environ: Mapping[str, str] | None = None, *, is_api: bool = False) -> None:
    """Raise `UsageError` for the first variable that prevents the creation of an HTTP client, with the remedy.

    With `is_api`, check for the Anthropic SDK's client, which parses `NO_PROXY` more strictly than others.
    """
    environ = os.environ if environ is None else environ
    found = (*_certificate_problems(environ), *_proxy_problems(environ), *(_bypass_problems(environ) if is_api else ()))
    if found:
        raise UsageError(found[0])


def has_proxy() -> bool:
    """Return whether the environment, or the system's settings on macOS and Windows, configure a proxy for any URL."""
    proxies = getproxies()
    return "*" not in _split(proxies.get("no", "")) and any(map(proxies.get, ("http", "https", "all")))


def proxy_of(url: str, environ: Mapping[str, str] | None = None) -> str:
    """Return the proxy of a request to `url` with the variable that sets it; empty for a direct connection.

    The format is `ALL_PROXY (http://proxy:3128)`, with the credentials of the proxy redacted.
    """
    environ = os.environ if environ is None else environ
    names, parts = _proxy_variables(environ), urlsplit(url)
    name = names.get(f"{parts.scheme}_proxy") or names.get("all_proxy")
    if not name or proxy_bypass_environment(parts.netloc, {"no": ",".join(_hosts(environ, names))}):
        return ""
    return f"{name} ({without_secrets(environ[name])})"


def _certificate_problems(environ: Mapping[str, str]) -> Iterator[str]:
    """Check the certificates. As in the client, the folder is used only if no file is set."""
    if name := environ.get(_FILE):
        remedy = "set it to a file of certificates in PEM form, or unset it"
        try:
            if not Path(name).is_dir():
                refuse_special(Path(name))
            with Path(name).open("rb"):
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=name)
        except UsageError as error:
            yield f"{_FILE}: {error}; {remedy}"
        except ssl.SSLError:
            yield f"{_FILE} names {name}, which has no certificate in PEM form: {remedy}"
        except IsADirectoryError:
            yield f"{_FILE} names {name}, a folder: {remedy} (a folder goes into {_FOLDER})"
        except (OSError, ValueError) as error:
            yield f"{_FILE} names {name}, which can't be read ({getattr(error, 'strerror', error)}): {remedy}"
    elif name := environ.get(_FOLDER):
        remedy = "set it to a folder of certificates, or unset it"
        if not Path(name).is_dir():
            yield f"{_FOLDER} names {name}, which is not a folder: {remedy}"
        elif not os.access(name, os.R_OK | os.X_OK):
            yield f"{_FOLDER} names {name}, which can't be read (Permission denied): {remedy}"
    if (environ.get(_FILE) or environ.get(_FOLDER)) and (name := environ.get(_KEY_LOG)):
        folder = Path(name).absolute().parent
        if Path(name).is_dir() or not os.access(name if Path(name).exists() else folder, os.W_OK):
            yield f"{_KEY_LOG} names {name}, which can't be written: set it to a writable file, or unset it"


def _proxy_problems(environ: Mapping[str, str]) -> Iterator[str]:
    """Check the proxies, which are not used if `NO_PROXY` contains `*`."""
    names = _proxy_variables(environ)
    if "*" in _hosts(environ, names):
        return
    for variable in ("http_proxy", "https_proxy", "all_proxy"):
        if (name := names.get(variable)) and (problem := _proxy_problem(environ[name])):
            yield f"{name} {problem}, or unset {name}"


def _bypass_problems(environ: Mapping[str, str]) -> Iterator[str]:
    """Check `NO_PROXY` as the Anthropic SDK reads it, by constructing an HTTP client for each entry."""
    names = _proxy_variables(environ)
    hosts = _hosts(environ, names)
    if not hosts or "*" in hosts:
        return
    import httpx2

    for host in hosts:
        pattern = host if "://" in host else f"all://{_bypass(host)}"
        try:
            httpx2.Client(mounts={pattern: None}, verify=False, trust_env=False).close()
        except (httpx2.InvalidURL, ValueError) as error:
            yield (
                f"{names['no_proxy']} has {host!r}, which the API client can't parse ({error}): write names and"
                " addresses without a port, IPv6 addresses without brackets and without a mask"
            )


def _bypass(host: str) -> str:
    address = host.split("/")[0]
    try:
        return host if ip_address(address).version == 4 else f"[{host}]"
    except ValueError:
        return host if host.lower() == "localhost" else f"*{host}"


def _hosts(environ: Mapping[str, str], names: Mapping[str, str]) -> list[str]:
    return _split(environ[names["no_proxy"]] if "no_proxy" in names else "")


def _split(hosts: str) -> list[str]:
    return [host.strip() for host in hosts.split(",") if host.strip()]


def _proxy_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the proxy variables by their lower-case names, as `urllib.request.getproxies` reads them.

    A lower-case variable takes precedence, even if it is empty. `HTTP_PROXY` of a CGI program is ignored, since its
    client sets it.
    """
    names = {name.lower(): name for name, value in environ.items() if value and name.lower().endswith("_proxy")}
    if "REQUEST_METHOD" in environ:
        names.pop("http_proxy", None)
    for name, value in environ.items():
        if name.endswith("_proxy"):
            if value:
                names[name] = name
            else:
                names.pop(name, None)
    return names


def _proxy_problem(value: str) -> str | None:
    """Describe the problem of a proxy's address and its fix. Return None if a client accepts the address."""
    shown = without_secrets(value)
    url = value if "://" in value else f"http://{value}"
    remedy = "set it to http://HOST:PORT"
    if any(not character.isprintable() or character.isspace() for character in url):
        return f"is {shown!r}, which contains a space or a control character: {remedy}"
    try:
        parts = urlsplit(url)
        is_bad = parts.port == 0
    except ValueError as error:
        return f"is {shown!r}, which is not a URL ({error}): {remedy}"
    if parts.scheme not in _SCHEMES:
        return f"is {shown!r}, but the scheme of a proxy must be one of {', '.join(_SCHEMES)}: {remedy}"
    if not parts.hostname or is_bad:
        return f"is {shown!r}, which has no {'port' if is_bad else 'host'}: {remedy}"
    if parts.scheme.startswith("socks") and not _is_installed("socksio"):
        return f"is {shown!r}, a SOCKS proxy, which needs the package socksio: pip install 'mcprun[socks]'"
    return None


def _is_installed(package: str) -> bool:
    try:
        importlib.import_module(package)
    except ImportError:
        return False
    return True
