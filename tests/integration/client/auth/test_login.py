"""`mcprun login` and `mcprun logout`: browser and pasted logins, client registration, refusals and wrong usage."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import clean_environment, run_mcprun, script
from tests.support.guarded_server import batch, log_in, running, server, switched
from tests.support.loopback import free_port
from tests.support.oauth import Guarded

__all__ = ["running", "server"]


@contextmanager
def start_login(server: Guarded, *args: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start a login without a browser, and yield the process and the authorization URL."""
    with subprocess.Popen(
        [sys.executable, "-m", "mcprun", "login", server.url, "--no-browser", *args],
        cwd=server.folder, env=clean_environment() | server.env, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as command:  # fmt: skip
        assert command.stderr
        try:
            output = re.fullmatch(r"Log in here: (\S+)\n", command.stderr.readline())
            assert output
            yield command, output[1]
        finally:
            command.kill()


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def get_redirect(url: str) -> str:
    """Request the authorization URL, and return the URL that it redirects to without following it."""
    with pytest.raises(urllib.error.HTTPError) as found:
        urllib.request.build_opener(_NoRedirect).open(url)
    found.value.close()
    return str(found.value.headers["location"])


def get_status(url: str) -> int:
    """Return the HTTP status of a GET request."""
    try:
        with urllib.request.urlopen(url) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


@switched(
    {},
    {"transport": "sse", "prm": "root"},
    {"prm": "path", "metadata": "oidc", "issuer": "/tenant"},
    {"prm": "none", "methods": ["none"]},
    {"prm": "none", "metadata": "none", "methods": ["client_secret_post"]},
    {"public": True},
)
def test_browser_login_stores_tokens_for_later_commands(server: Guarded) -> None:
    """The client is registered with the redirect URI that mcprun listens on.

    A later run needs no second authorization.
    """
    done = log_in(server)
    assert done.code == 0, done.stderr
    assert done.stdout.splitlines()[0].startswith(
        f"Logged in to {server.url}; the tokens are stored in {server.store}/"
    )
    assert done.stdout.splitlines()[1:] == ["guarded 1.0.0 has 3 tools"]
    (registration,), (authorization,), (token,) = map(server.asked, ("register", "authorize", "token"))
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/callback", authorization["redirect_uri"])
    assert registration["redirect_uris"] == [authorization["redirect_uri"]]
    assert authorization["resource"] == token["resource"] == server.url
    rerun = batch(server)
    assert (rerun.code, rerun.verdicts) == (0, {"q": "passed"})
    assert len(server.asked("authorize")) == 1


def test_pasted_redirect_url_completes_the_login(server: Guarded) -> None:
    """If the browser is on another machine, the user pastes the redirect URL. Any other input prompts once more."""
    with start_login(server) as (command, url):
        answer = get_redirect(url)
        texts = ["http://127.0.0.1/callback?code=1&state=2", "", "nonsense", "http://[", "http://[::1]a/?x=1", answer]
        _, stderr = command.communicate("\n".join(texts) + "\n", timeout=60)
        assert (command.returncode, stderr.count("Try again: ")) == (0, 4)
    assert batch(server).code == 0


def test_callback_accepts_only_the_response_to_this_login(server: Guarded) -> None:
    """A request with another state, another path or no code is refused, and the login stays open."""
    with start_login(server) as (command, url):
        answer = get_redirect(url)
        endpoint, _, query = answer.partition("?")
        wrong_urls = [
            f"{endpoint}?code=1&state=2",
            f"{endpoint}?{query.replace('code=', 'other=')}",
            f"{endpoint}x?{query}",
            endpoint,
        ]
        assert [get_status(wrong_url) for wrong_url in wrong_urls] == [400, 400, 404, 400]
        with urllib.request.urlopen(answer) as page:
            assert page.headers["content-security-policy"] == "default-src 'none'"
            assert b"You are logged in. You may close this page." in page.read()
        assert command.wait(60) == 0


def test_port_and_redirect_uri_can_be_chosen(server: Guarded) -> None:
    """`--port` sets the callback's port and `--redirect-uri` is sent verbatim.

    A client with an id is not registered.
    """
    for args, uri in (
        (["--port", "47613"], "http://127.0.0.1:47613/callback"),
        (["--redirect-uri", "http://localhost:47613/oauth"], "http://localhost:47613/oauth"),
    ):
        assert log_in(server, "--oauth-client-id", "by-hand", *args).code == 0
        authorization = server.asked("authorize")[-1]
        assert (authorization["client_id"], authorization["redirect_uri"]) == ("by-hand", uri)
    assert server.asked("register") == []


def test_redirect_to_another_host_is_pasted(server: Guarded) -> None:
    """mcprun does not listen for a redirect to another host: pasting its URL completes the login."""
    with start_login(server, "--oauth-client-id", "by-hand", "--redirect-uri", "https://example.com/done") as (
        command,
        url,
    ):
        command.communicate(get_redirect(url), timeout=60)
        assert command.returncode == 0


@switched({"registers": False, "documents": True})
def test_client_metadata_url_is_the_client_id(server: Guarded) -> None:
    """The URL, which must be HTTPS, is the client id if the authorization server supports such documents.

    Without it, a server that does not register clients refuses the login.
    """
    assert log_in(server, "--client-metadata-url", "https://example.com/client.json").code == 0
    assert server.asked("authorize")[0]["client_id"] == "https://example.com/client.json"
    done = log_in(server)
    assert (done.code, "if it does not support client registration, pass --oauth-client-id" in done.stderr) == (3, True)
    wrong = log_in(server, "--client-metadata-url", "http://example.com/client.json")
    assert (wrong.code, "must be a valid HTTPS URL" in wrong.stderr) == (2, True)


@pytest.mark.parametrize(
    "entry",
    [
        {"oauth": {"clientId": "robot", "clientSecret": "s3cret-of-robot", "callbackPort": 0}},
        {"auth": {"CLIENT_ID": "robot", "CLIENT_SECRET": "s3cret-of-robot", "scopes": ["one", "two"]}},
    ],
)
def test_client_settings_of_a_configuration_file_are_used(server: Guarded, entry: dict[str, Any]) -> None:
    """`login` reads both common spellings of the settings, and other commands use the server's tokens."""
    port = free_port()
    if "oauth" in entry:
        entry["oauth"]["callbackPort"] = port
    (server.folder / "mcp.json").write_text(json.dumps({"mcpServers": {"it": {"url": server.url, **entry}}}))
    done = run_mcprun("login", "mcp.json", cwd=server.folder, env=server.env)
    assert done.code == 0, done.stderr
    (authorization,) = server.asked("authorize")
    assert authorization["client_id"] == "robot"
    assert authorization["scope"] == ("one two" if "auth" in entry else None)
    assert (f":{port}/" in authorization["redirect_uri"]) == ("oauth" in entry)
    assert run_mcprun("tools", "mcp.json#it", cwd=server.folder, env=server.env).code == 0
    assert "s3cret" not in done.stdout + done.stderr


@switched({"deny": True})
def test_denied_login_reports_the_reason(server: Guarded) -> None:
    """The reason is shown with terminal escapes made visible, and no token is stored."""
    done = log_in(server)
    assert done.code == 3
    assert done.stderr.endswith("the authorization server returned access_denied: not \\x1b[31mtoday\n")
    assert server.stored == []


def test_login_times_out(server: Guarded) -> None:
    """A login that is not completed ends after `--timeout`."""
    done = log_in(server, "--no-browser", "--timeout", "0.5")
    assert (done.code, done.stderr.splitlines()[-1]) == (
        3,
        f"Error: no login to {server.url} within 0.5 s (--timeout)",
    )


def test_login_adds_the_scope_that_a_call_lacked(server: Guarded) -> None:
    """The failed call names the scope, and after a login with it the call passes."""
    assert log_in(server).code == 0
    query = script(("deep", {"text": "x"}))
    done = batch(server, query=query)
    assert done.code == 1
    assert f"mcprun login {server.url} --oauth-scope deep" in done.transcripts[0]["calls"][0]["content"][0]["text"]
    assert log_in(server, "--oauth-scope", "deep").code == 0
    assert batch(server, query=query).verdicts == {"q": "passed"}


def test_tokens_are_listed_and_deleted(server: Guarded) -> None:
    """`login --list` names servers without secrets.

    `logout` deletes the tokens of one server or of all, including those of clients.
    """
    assert log_in(server).code == 0
    run_mcprun("tools", server.url, "--oauth-client-id", "robot", cwd=server.folder, env=server.robot)

    def stdout_lines(*args: str) -> list[str]:
        done = run_mcprun(*args, cwd=server.folder, env=server.env)
        assert (done.code, done.stderr) == (0, "")
        return done.stdout.splitlines()

    assert stdout_lines("login", "--list") == [server.url, f"{server.url}  (robot)"]
    assert stdout_lines("logout", server.url) == [
        f"Deleted the tokens of {server.url}",
        f"Deleted the tokens of {server.url} (robot)",
    ]
    assert stdout_lines("logout", server.url) == stdout_lines("logout", "--all") == ["No tokens are stored."]
    assert batch(server).code == 3
    assert log_in(server).code == 0
    assert stdout_lines("logout", "--all") == [f"Deleted the tokens of {server.url}"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["login"], "Missing argument 'SERVER'."),
        (
            ["login", "npx something"],
            "npx something is a server that mcprun starts: only a server at a URL has a login",
        ),
        (["login", "http://x", "--header", "Authorization: b"], "http://x is configured with an Authorization header"),
        (
            ["login", "http://x", "--redirect-uri", "nowhere"],
            "--redirect-uri: expected an http:// or https:// URL with a host",
        ),
        (["login", "http://x", "--oauth-client-secret", "a"], "--oauth-client-secret requires --oauth-client-id"),
        (["logout"], "pass either SERVER or --all"),
    ],
)
def test_wrong_usage_is_refused(tmp_path: Path, args: list[str], message: str) -> None:
    """Wrong usage exits with 2 before any request is sent."""
    done = run_mcprun(*args, cwd=tmp_path)
    assert (done.code, f"Error: {message}" in done.stderr) == (2, True), done.stderr


def test_unreachable_server_is_reported(tmp_path: Path) -> None:
    """A login to a server that cannot be reached exits with 3 and names its URL."""
    done = run_mcprun("login", "http://127.0.0.1:1/mcp", cwd=tmp_path)
    assert (done.code, done.stderr.startswith("Error: can't log in to http://127.0.0.1:1/mcp: ")) == (3, True)
