"""Proxy and certificate variables: problems are reported before a run starts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import httpx2
import pytest

from mcprun._util.network import check_network, proxy_of
from mcprun.errors import UsageError

PROXIES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "all_proxy", "https_proxy", "http_proxy")


def network_problem(environ: Mapping[str, str], *, is_api: bool = True) -> str:
    """Return the error message for an environment, or an empty string."""
    try:
        check_network(environ, is_api=is_api)
    except UsageError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", PROXIES)
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("ftp://h:1", "'ftp://h:1', but the scheme of a proxy must be one of http, https, socks5, socks5h"),
        ("socks4://h:1", "'socks4://h:1', but the scheme of a proxy must be one of"),
        ("http://h:99999", "'http://h:99999', which is not a URL (Port out of range 0-65535)"),
        ("http://h:x", "which is not a URL (Port could not be cast"),
        ("http://[::1", "which is not a URL (Invalid IPv6 URL)"),
        ("http://", "which has no host"),
        ("h:0", "which has no port"),
        ("http://h 1", "which contains a space or a control character"),
        ("ftp://user:hunter22@h:1", "'ftp://[redacted]@h:1', but"),
    ],
)
def test_unusable_proxy_is_reported(name: str, value: str, reason: str) -> None:
    """One line has the variable, its redacted value, the reason and the remedy."""
    text = network_problem({name: value})
    assert text.startswith(f"{name} is ")
    assert reason in text
    assert text.endswith(f"set it to http://HOST:PORT, or unset {name}")
    assert "hunter22" not in text


@pytest.mark.parametrize(
    "value", ["http://h:1", "h:1", "h", "HTTP://h", "https://u:p@h:1/", "socks5://h:1", "socks5h://h", ""]
)
def test_usable_proxy_is_accepted(value: str) -> None:
    """An address may omit the scheme. An empty value means no proxy."""
    assert network_problem({"ALL_PROXY": value}) == ""


@pytest.mark.parametrize(
    "environ",
    [
        {"ALL_PROXY": "ftp://h", "NO_PROXY": "a.example, *"},
        {"HTTP_PROXY": "ftp://h", "REQUEST_METHOD": "GET"},
        {"HTTPS_PROXY": "ftp://h", "https_proxy": "http://h"},
        {"HTTPS_PROXY": "ftp://h", "https_proxy": ""},
        {"FTP_PROXY": "ftp://h"},
    ],
)
def test_unused_proxy_is_ignored(environ: dict[str, str]) -> None:
    """Variables take effect as in `urllib.request.getproxies`."""
    assert network_problem(environ) == ""


@pytest.mark.parametrize("host", ["::1/64", "[::1]", "[::1]:80", "a:b:c"])
def test_no_proxy_host_that_the_api_client_cannot_parse_is_reported(host: str) -> None:
    """Other clients skip such a host, so it is reported only if the API is used."""
    environ = {"ALL_PROXY": "http://h:1", "no_proxy": f"a.example,{host}"}
    assert network_problem(environ).startswith(f"no_proxy has {host!r}, which the API client can't parse (")
    assert network_problem(environ, is_api=False) == ""


def test_common_no_proxy_hosts_are_accepted() -> None:
    """Names, IPv4 and IPv6 addresses, networks, ports and URLs are accepted."""
    hosts = "localhost,127.0.0.1,10.0.0.0/8,::1,.example.com,example.com,example.com:8080,http://a.example, "
    assert network_problem({"ALL_PROXY": "http://h:1", "NO_PROXY": hosts}) == ""


def test_unreadable_certificate_files_are_reported(tmp_path: Path) -> None:
    """A certificate file must hold PEM certificates and `SSL_CERT_DIR` must be a folder.

    The key log must be writable.
    """
    (tmp_path / "bad.pem").write_text("hello")
    remedy = "set it to a file of certificates in PEM form, or unset it"
    missing, bad, folder = (str(tmp_path / name) for name in ("nope.pem", "bad.pem", ""))
    assert network_problem({"SSL_CERT_FILE": missing}) == (
        f"SSL_CERT_FILE names {missing}, which can't be read (No such file or directory): {remedy}"
    )
    assert (
        network_problem({"SSL_CERT_FILE": bad})
        == f"SSL_CERT_FILE names {bad}, which has no certificate in PEM form: {remedy}"
    )
    assert network_problem({"SSL_CERT_FILE": folder}).startswith(f"SSL_CERT_FILE names {folder}, a folder: {remedy}")
    assert network_problem({"SSL_CERT_DIR": missing}).startswith(f"SSL_CERT_DIR names {missing}, which is not a folder")
    keys = {"SSL_CERT_DIR": folder, "SSLKEYLOGFILE": f"{missing}/keys"}
    assert network_problem(keys).startswith(f"SSLKEYLOGFILE names {missing}/keys, which can't be written")
    assert network_problem({"SSL_CERT_DIR": folder, "SSLKEYLOGFILE": f"{folder}/keys"}) == ""
    assert (
        network_problem({"SSLKEYLOGFILE": "/nowhere/keys"})
        == network_problem({"SSL_CERT_FILE": "", "SSL_CERT_DIR": ""})
        == ""
    )


def test_check_agrees_with_the_http_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """`httpx2.Client` rejects exactly the proxies that the check reports."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    for value, is_good in [("http://h:1", True), ("socks5://h:1", True), ("ftp://h:1", False), ("http://h:x", False)]:
        monkeypatch.setenv("ALL_PROXY", value)
        assert (network_problem({"ALL_PROXY": value}) == "") == is_good
        if is_good:
            httpx2.Client(verify=False).close()
        else:
            with pytest.raises((ValueError, httpx2.InvalidURL)):
                httpx2.Client(verify=False)


@pytest.mark.parametrize(
    ("environ", "url", "expected"),
    [
        ({"ALL_PROXY": "socks5://u:p@h:1"}, "https://api/v1", "ALL_PROXY (socks5://[redacted]@h:1)"),
        ({"ALL_PROXY": "http://a:1", "https_proxy": "http://b:2"}, "https://api/v1", "https_proxy (http://b:2)"),
        ({"HTTP_PROXY": "http://a:1"}, "https://api/v1", ""),
        ({"ALL_PROXY": "http://a:1", "NO_PROXY": "other, api"}, "https://api/v1", ""),
        ({}, "https://api/v1", ""),
    ],
)
def test_proxy_is_described_by_its_variable(environ: dict[str, str], url: str, expected: str) -> None:
    """Credentials are redacted. The result is empty if no variable applies or `NO_PROXY` has the host."""
    assert proxy_of(url, environ) == expected
