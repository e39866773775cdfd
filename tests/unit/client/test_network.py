"""Proxies and certificates of the environment: problems are named before a run starts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import httpx2
import pytest

from mcprun._util.network import check_network, proxy_of
from mcprun.errors import UsageError

PROXIES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "all_proxy", "https_proxy", "http_proxy")


def problem(environ: Mapping[str, str], *, is_api: bool = True) -> str:
    """What is wrong with an environment; empty when nothing is."""
    try:
        check_network(environ, is_api=is_api)
    except UsageError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", PROXIES)
@pytest.mark.parametrize(
    ("value", "why"),
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
def test_a_proxy_that_no_client_takes_is_named(name: str, value: str, why: str) -> None:
    """One line says the variable, its value without secrets, and what to do."""
    text = problem({name: value})
    assert text.startswith(f"{name} is ")
    assert why in text
    assert text.endswith(f"set it to http://HOST:PORT, or unset {name}")
    assert "hunter22" not in text


@pytest.mark.parametrize(
    "value", ["http://h:1", "h:1", "h", "HTTP://h", "https://u:p@h:1/", "socks5://h:1", "socks5h://h", ""]
)
def test_a_proxy_that_clients_take_is_none_of_our_business(value: str) -> None:
    """An address with or without a scheme, and an empty value, which means none."""
    assert problem({"ALL_PROXY": value}) == ""


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
def test_a_proxy_that_is_not_used_does_not_matter(environ: dict[str, str]) -> None:
    """Variables are read as Python's own `getproxies` reads them."""
    assert problem(environ) == ""


@pytest.mark.parametrize("host", ["::1/64", "[::1]", "[::1]:80", "a:b:c"])
def test_a_host_that_the_client_of_the_api_cannot_read_is_named(host: str) -> None:
    """Other clients pass over such a host, so that it matters only where the API is asked."""
    environ = {"ALL_PROXY": "http://h:1", "no_proxy": f"a.example,{host}"}
    assert problem(environ).startswith(f"no_proxy has {host!r}, which the API client can't parse (")
    assert problem(environ, is_api=False) == ""


def test_hosts_that_can_be_read_are_accepted() -> None:
    """Names, addresses, networks and addresses of IPv6, as they are commonly written."""
    hosts = "localhost,127.0.0.1,10.0.0.0/8,::1,.example.com,example.com,example.com:8080,http://a.example, "
    assert problem({"ALL_PROXY": "http://h:1", "NO_PROXY": hosts}) == ""


def test_certificates_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    """A file that is missing, a folder, or not PEM; a folder that is none; and a file of keys that can't be written."""
    (tmp_path / "bad.pem").write_text("hello")
    remedy = "set it to a file of certificates in PEM form, or unset it"
    missing, bad, folder = (str(tmp_path / name) for name in ("nope.pem", "bad.pem", ""))
    assert problem({"SSL_CERT_FILE": missing}) == (
        f"SSL_CERT_FILE names {missing}, which can't be read (No such file or directory): {remedy}"
    )
    assert (
        problem({"SSL_CERT_FILE": bad}) == f"SSL_CERT_FILE names {bad}, which has no certificate in PEM form: {remedy}"
    )
    assert problem({"SSL_CERT_FILE": folder}).startswith(f"SSL_CERT_FILE names {folder}, a folder: {remedy}")
    assert problem({"SSL_CERT_DIR": missing}).startswith(f"SSL_CERT_DIR names {missing}, which is not a folder")
    keys = {"SSL_CERT_DIR": folder, "SSLKEYLOGFILE": f"{missing}/keys"}
    assert problem(keys).startswith(f"SSLKEYLOGFILE names {missing}/keys, which can't be written")
    assert problem({"SSL_CERT_DIR": folder, "SSLKEYLOGFILE": f"{folder}/keys"}) == ""
    assert problem({"SSLKEYLOGFILE": "/nowhere/keys"}) == problem({"SSL_CERT_FILE": "", "SSL_CERT_DIR": ""}) == ""


def test_clients_are_made_where_nothing_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client agrees with what was said of each environment: it is made, or it is not."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    for value, is_good in [("http://h:1", True), ("socks5://h:1", True), ("ftp://h:1", False), ("http://h:x", False)]:
        monkeypatch.setenv("ALL_PROXY", value)
        assert (problem({"ALL_PROXY": value}) == "") == is_good
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
def test_the_proxy_of_a_request_is_named_by_its_variable(environ: dict[str, str], url: str, expected: str) -> None:
    """Without credentials; there is none for a scheme without a variable, or for a host of `NO_PROXY`."""
    assert proxy_of(url, environ) == expected
