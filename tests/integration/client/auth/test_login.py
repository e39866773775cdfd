"""`mcprun login` and `mcprun logout`: in a browser or by hand, and what can go wrong."""

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
def logging_in(server: Guarded, *args: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Begin a login without a browser, and give the command and the URL that it names."""
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


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def answered_with(url: str) -> str:
    """Go to the authorization server, and give the URL that it redirects to, which is not followed."""
    with pytest.raises(urllib.error.HTTPError) as found:
        urllib.request.build_opener(_Stay).open(url)
    found.value.close()
    return str(found.value.headers["location"])


def status_of(url: str) -> int:
    """Give the status of a page."""
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
def test_a_login_in_a_browser(server: Guarded) -> None:
    """The client is registered with the very URI that is listened on; later commands need nothing more."""
    done = log_in(server)
    assert done.code == 0, done.stderr
    assert done.stdout.splitlines()[0].startswith(
        f"Logged in to {server.url}; the tokens are stored in {server.store}/"
    )
    assert done.stdout.splitlines()[1:] == ["guarded 1.0.0 has 3 tools"]
    (registration,), (asked,), (token,) = map(server.asked, ("register", "authorize", "token"))
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/callback", asked["redirect_uri"])
    assert registration["redirect_uris"] == [asked["redirect_uri"]]
    assert asked["resource"] == token["resource"] == server.url
    again = batch(server)
    assert (again.code, again.verdicts) == (0, {"q": "passed"})
    assert len(server.asked("authorize")) == 1


def test_a_login_by_hand(server: Guarded) -> None:
    """Where the browser is on another machine, the URL that it ends up at is pasted; others are passed over."""
    with logging_in(server) as (command, url):
        answer = answered_with(url)
        texts = ["http://127.0.0.1/callback?code=1&state=2", "", "nonsense", "http://[", "http://[::1]a/?x=1", answer]
        _, stderr = command.communicate("\n".join(texts) + "\n", timeout=60)
        assert (command.returncode, stderr.count("Try again: ")) == (0, 4)
    assert batch(server).code == 0


def test_the_port_takes_no_answer_but_that_of_this_login(server: Guarded) -> None:
    """Another state, another path, no code: refused, and waited on. What is not asked for ends no login."""
    with logging_in(server) as (command, url):
        answer = answered_with(url)
        place, _, query = answer.partition("?")
        strangers = [
            f"{place}?code=1&state=2",
            f"{place}?{query.replace('code=', 'other=')}",
            f"{place}x?{query}",
            place,
        ]
        assert [status_of(stranger) for stranger in strangers] == [400, 400, 404, 400]
        with urllib.request.urlopen(answer) as page:
            assert page.headers["content-security-policy"] == "default-src 'none'"
            assert b"You are logged in. You may close this page." in page.read()
        assert command.wait(60) == 0


def test_a_port_of_ones_own(server: Guarded) -> None:
    """`--port` is what a client was registered with, and `--redirect-uri` is sent as it stands."""
    for args, uri in (
        (["--port", "47613"], "http://127.0.0.1:47613/callback"),
        (["--redirect-uri", "http://localhost:47613/oauth"], "http://localhost:47613/oauth"),
    ):
        assert log_in(server, "--oauth-client-id", "by-hand", *args).code == 0
        asked = server.asked("authorize")[-1]
        assert (asked["client_id"], asked["redirect_uri"]) == ("by-hand", uri)
    assert server.asked("register") == []


def test_a_redirect_uri_of_another_machine_is_pasted(server: Guarded) -> None:
    """Nothing is listened for that could not come."""
    with logging_in(server, "--oauth-client-id", "by-hand", "--redirect-uri", "https://example.com/done") as (
        command,
        url,
    ):
        command.communicate(answered_with(url), timeout=60)
        assert command.returncode == 0


@switched({"registers": False, "documents": True})
def test_a_client_that_a_document_describes(server: Guarded) -> None:
    """Where the authorization server reads documents, the URL is the client's id; without one there is no client."""
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
def test_the_client_of_a_configuration(server: Guarded, entry: dict[str, Any]) -> None:
    """It is taken as others write it, and a run of the same server has its tokens."""
    port = free_port()
    if "oauth" in entry:
        entry["oauth"]["callbackPort"] = port
    (server.folder / "mcp.json").write_text(json.dumps({"mcpServers": {"it": {"url": server.url, **entry}}}))
    done = run_mcprun("login", "mcp.json", cwd=server.folder, env=server.env)
    assert done.code == 0, done.stderr
    (asked,) = server.asked("authorize")
    assert asked["client_id"] == "robot"
    assert asked["scope"] == ("one two" if "auth" in entry else None)
    assert (f":{port}/" in asked["redirect_uri"]) == ("oauth" in entry)
    assert run_mcprun("tools", "mcp.json#it", cwd=server.folder, env=server.env).code == 0
    assert "s3cret" not in done.stdout + done.stderr


@switched({"deny": True})
def test_a_login_that_is_refused(server: Guarded) -> None:
    """The reason is told, with what would colour the terminal made visible."""
    done = log_in(server)
    assert done.code == 3
    assert done.stderr.endswith("the authorization server returned access_denied: not \\x1b[31mtoday\n")
    assert server.stored == []


def test_a_login_that_nobody_does(server: Guarded) -> None:
    """It ends by itself."""
    done = log_in(server, "--no-browser", "--timeout", "0.5")
    assert (done.code, done.stderr.splitlines()[-1]) == (
        3,
        f"Error: no login to {server.url} within 0.5 s (--timeout)",
    )


def test_a_login_gets_the_scopes_that_a_run_lacked(server: Guarded) -> None:
    """The call's failure says which, and logging in with them lets the call through."""
    assert log_in(server).code == 0
    query = script(("deep", {"text": "x"}))
    done = batch(server, query=query)
    assert done.code == 1
    assert f"mcprun login {server.url} --oauth-scope deep" in done.transcripts[0]["calls"][0]["content"][0]["text"]
    assert log_in(server, "--oauth-scope", "deep").code == 0
    assert batch(server, query=query).verdicts == {"q": "passed"}


def test_tokens_are_listed_and_forgotten(server: Guarded) -> None:
    """`--list` names servers without what may be secret, `logout` forgets one or all, clients included."""
    assert log_in(server).code == 0
    run_mcprun("tools", server.url, "--oauth-client-id", "robot", cwd=server.folder, env=server.robot)

    def logged_lines(*args: str) -> list[str]:
        done = run_mcprun(*args, cwd=server.folder, env=server.env)
        assert (done.code, done.stderr) == (0, "")
        return done.stdout.splitlines()

    assert logged_lines("login", "--list") == [server.url, f"{server.url}  (robot)"]
    assert logged_lines("logout", server.url) == [
        f"Deleted the tokens of {server.url}",
        f"Deleted the tokens of {server.url} (robot)",
    ]
    assert logged_lines("logout", server.url) == logged_lines("logout", "--all") == ["No tokens are stored."]
    assert batch(server).code == 3
    assert log_in(server).code == 0
    assert logged_lines("logout", "--all") == [f"Deleted the tokens of {server.url}"]


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
def test_what_can_not_be_meant(tmp_path: Path, args: list[str], message: str) -> None:
    """It is said before anybody is sent anywhere."""
    done = run_mcprun(*args, cwd=tmp_path)
    assert (done.code, f"Error: {message}" in done.stderr) == (2, True), done.stderr


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    """It can't say where to log in."""
    done = run_mcprun("login", "http://127.0.0.1:1/mcp", cwd=tmp_path)
    assert (done.code, done.stderr.startswith("Error: can't log in to http://127.0.0.1:1/mcp: ")) == (3, True)
