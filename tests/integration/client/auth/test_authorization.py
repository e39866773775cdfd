"""Servers that require authorization: tokens, client credentials, token storage, refresh and redaction."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.support.cli import Result, clean_environment, run_mcprun, script, write_jsonl
from tests.support.guarded_server import CALL, batch, log_in, running, server, switched
from tests.support.oauth import SECRET, Guarded, restart

__all__ = ["running", "server"]


def as_robot(server: Guarded, *args: str | Path, query: Any = CALL) -> Result:
    return batch(server, "--oauth-client-id", "robot", *args, env=server.robot, query=query)


@switched({}, {"transport": "sse"})
def test_without_a_token_one_line_says_how_to_log_in(server: Guarded) -> None:
    """Nobody is asked and nothing is waited for: the run ends with the way on, and leaves nothing behind."""
    done = batch(server)
    text = (
        f"it wants authorization (401): log in once (mcprun login {server.url}), or give --token or --oauth-client-id"
    )
    assert (done.code, done.record["error"]["kind"]) == (3, "server_start")
    assert done.stderr.splitlines()[-1] == f"Error: can't connect to {server.url}: {text}"
    assert not server.store.exists()
    assert {line["path"] for line in server.log} == {server.url[server.url.rindex("/") :]}


def test_a_token_is_shown_as_it_is(server: Guarded) -> None:
    """`--token` takes one, or the variable that holds one, and what is refused is told without it."""
    assert log_in(server).code == 0
    token = server.stored[0]["grant"]["access_token"]
    for args, variables in ((["--token", "env:MINE"], {"MINE": token}), ([], {"MCPRUN_TOKEN": token})):
        done = batch(server, *args, env={"MCPRUN_TOKEN_STORE": str(server.folder / "none"), **variables})
        assert (done.code, done.verdicts) == (0, {"q": "passed"})
        assert not any(token.encode() in file.read_bytes() for file in done.run.iterdir())
        assert done.record["arguments"]["token"] == f"env:{next(iter(variables))}"
    wrong = batch(server, "--token", "wrong-token")
    assert (wrong.code, "wrong-token" in wrong.stderr + (wrong.run / "run.json").read_text()) == (3, False)
    assert wrong.stderr.endswith("the server rejected the credentials (401)\n")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ["http://x", "--token", "a", "--header", "Authorization: b"],
            "--token, --oauth-client-id and an Authorization header cannot be combined",
        ),
        (["http://u:p@x", "--token", "a"], "--token, --oauth-client-id and an"),
        (["server.py", "--token", "a"], "--token and the --oauth options apply only to URLs; server.py is a command"),
        (["http://x", "--token", "env:NOT_SET"], "--token: env:NAME names a variable that is not set"),
        (["http://x", "--oauth-client-id", "a"], "--oauth-client-id requires --oauth-client-secret or"),
        (["http://x", "--oauth-client-secret", "a"], "--oauth-client-id requires --oauth-client-secret or"),
        (
            ["http://x", "--oauth-client-id", "a", "--oauth-private-key", "none.pem"],
            "--oauth-private-key: can't read the file: No such file",
        ),
        (
            ["http://x", "--oauth-client-id", "a", "--oauth-private-key", "server.py"],
            "server.py is not a PEM private key",
        ),
        (["http://x", "--oauth-algorithm", "ES256"], "--oauth-algorithm requires --oauth-private-key"),
        (
            ["http://x", "--oauth-client-id", "a", "--oauth-client-secret", "b", "--oauth-assertion", "c"],
            "--oauth-assertion requires --oauth-client-secret and --oauth-issuer",
        ),
    ],
)
def test_what_does_not_go_together(tmp_path: Path, args: list[str], message: str) -> None:
    """It is found before anything is run."""
    (tmp_path / "server.py").write_text("")
    done = run_mcprun("tools", *args, cwd=tmp_path)
    assert (done.code, done.stderr.startswith(f"Error: {message}")) == (2, True), done.stderr


@switched(
    {},
    {"transport": "sse", "prm": "root"},
    {"prm": "path", "metadata": "oidc", "issuer": "/tenant"},
    {"prm": "none", "methods": ["client_secret_post"]},
    {"prm": "none", "metadata": "none"},
)
def test_a_machine_gets_a_token_by_its_secret(server: Guarded) -> None:
    """Wherever the metadata are, and however the secret is to be shown; a second run takes the token that is kept."""
    done = as_robot(server)
    assert (done.code, done.verdicts) == (0, {"q": "passed"})
    (token,) = server.asked("token")
    assert (token["grant"], token["resource"]) == ("client_credentials", server.url)
    assert done.record["arguments"]["oauth_client_secret"] == "env:MCPRUN_OAUTH_CLIENT_SECRET"
    assert as_robot(server).code == 0
    assert len(server.asked("token")) == 1


@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_a_machine_gets_a_token_by_its_key(running: Guarded, tmp_path: Path, kind: str) -> None:
    """The server verifies what was signed; with another key nobody is let in."""
    key: Any = rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP256R1())
    other = ec.generate_private_key(ec.SECP256R1())
    for name, one in (("key.pem", key), ("other.pem", other)):
        pem = one.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (tmp_path / name).write_bytes(pem)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    server = restart(running, tmp_path, {"keys": {"robot": public}})
    wrong = batch(server, "--oauth-client-id", "robot", "--oauth-private-key", "other.pem")
    assert (wrong.code, "no token was given: Token exchange failed (401)" in wrong.stderr) == (3, True)
    done = batch(server, "--oauth-client-id", "robot", "--oauth-private-key", "key.pem")
    assert (done.code, done.verdicts) == (0, {"q": "passed"})
    assert [line["method"] for line in server.asked("token")][-1] == "private_key_jwt"
    assert done.record["arguments"]["oauth_private_key"] == "key.pem"


@switched({"assertion": "said-by-the-identity-provider"})
def test_an_identity_provider_vouches_for_a_client(server: Guarded) -> None:
    """Its word is exchanged at the issuer that was named (SEP-990), and is in no file; another's is refused."""
    client = ("--oauth-client-id", "robot", "--oauth-issuer", f"http://127.0.0.1:{server.port}")
    wrong = batch(server, *client, env={**server.robot, "MCPRUN_OAUTH_ASSERTION": "said-by-nobody"})
    assert (wrong.code, "invalid_grant" in wrong.stderr) == (3, True)
    text = "said-by-the-identity-provider"
    done = batch(server, *client, env={**server.robot, "MCPRUN_OAUTH_ASSERTION": text})
    assert (done.code, done.verdicts) == (0, {"q": "passed"})
    assert server.asked("token")[-1]["grant"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    assert not any(text.encode() in file.read_bytes() for file in done.run.iterdir())


def test_a_key_that_does_not_sign_so(tmp_path: Path) -> None:
    """An algorithm is held against the key before anything is run."""
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key.pem").write_bytes(key)
    args = ("--oauth-client-id", "a", "--oauth-private-key", "key.pem", "--oauth-algorithm", "RS256")
    done = run_mcprun("tools", "http://127.0.0.1:1/", *args, cwd=tmp_path)
    assert (done.code, done.stderr) == (2, "Error: key.pem cannot sign with RS256\n")


@switched({"challenge_scope": "basic", "prm_scopes": ["other"]}, {"prm_scopes": ["basic"]})
def test_the_server_names_the_scopes_unless_somebody_else_does(server: Guarded) -> None:
    """Those of the refusal come first, then those of its metadata; `--oauth-scope` takes the place of both."""
    assert as_robot(server).code == 0
    assert as_robot(server, "--oauth-scope", "mine too").code == 0
    assert [line["scope"] for line in server.asked("token")] == ["basic", "mine too"]


@switched({"challenge_scope": "basic"})
def test_a_call_that_needs_more_gets_more(server: Guarded) -> None:
    """A refusal for want of a scope (403) gets a token that has it as well."""
    done = as_robot(server, query=script(("deep", {"text": "x"})))
    assert (done.code, done.verdicts) == (0, {"q": "passed"})
    assert [line["scope"] for line in server.asked("token")] == ["basic", "basic deep"]


@switched({"expires_in": 0})
def test_a_token_that_is_refused_again_is_no_endless_matter(server: Guarded) -> None:
    """A server that gives tokens which it does not take is told of as that."""
    done = as_robot(server)
    assert (done.code, "it refuses the token that it was given (401)" in done.stderr) == (3, True)


@switched({"public": True})
def test_a_server_that_lets_everybody_list_its_tools(server: Guarded) -> None:
    """The refusal of a call is its result, and says what is wanted; with a client it is overcome."""
    done = batch(server)
    assert (done.code, done.verdicts) == (1, {"q": "failed"})
    result_text = done.transcripts[0]["calls"][0]["content"][0]["text"]
    assert result_text.startswith("HTTP 401 Unauthorized: it wants authorization (401): log in once")
    assert as_robot(server).code == 0


@switched({"resource": "http://127.0.0.1:1/mcp"})
def test_tokens_are_not_asked_for_in_the_name_of_another_server(server: Guarded) -> None:
    """Metadata of another resource are refused (RFC 8707), and no secret is sent."""
    done = as_robot(server)
    assert (done.code, "does not match expected" in done.stderr, server.asked("token")) == (3, True, [])
    login = log_in(server)
    assert (login.code, "does not match expected" in login.stderr, server.asked("authorize")) == (3, True, [])


def test_a_secret_goes_to_the_issuer_that_was_named(server: Guarded) -> None:
    """`--oauth-issuer` keeps it from any other authorization server."""
    done = as_robot(server, "--oauth-issuer", "https://example.com")
    assert (done.code, server.asked("token")) == (3, [])
    assert as_robot(server, "--oauth-issuer", f"http://127.0.0.1:{server.port}").code == 0
    login = log_in(server, "--oauth-issuer", "https://example.com")
    assert (login.code, "expected https://example.com" in login.stderr, server.asked("authorize")) == (3, True, [])


@switched({"json": True})
def test_calls_with_a_token_wait_for_nobody(server: Guarded) -> None:
    """Eight calls meet on the server, which answers none before all are there; one token does for two sessions."""
    calls = script(*[("meet", {"count": 8})] * 4)
    prompts = write_jsonl(server.folder / "p.jsonl", {**calls, "id": "a"}, {**calls, "id": "b"})
    options = ("--oauth-client-id", "robot", "--servers", "2", "--call-timeout", "30")
    done = run_mcprun("batch", prompts, server.url, *options, cwd=server.folder, env=server.robot)
    assert (done.code, done.verdicts) == (0, {"a": "passed", "b": "passed"})
    assert len(server.asked("token")) == 1


def test_a_login_is_renewed_after_a_refusal(server: Guarded) -> None:
    """A token that the server has forgotten is refreshed, and the next run has the new one."""
    assert log_in(server).code == 0
    before = server.stored[0]["grant"]
    server.revoke("access")
    done = batch(server)
    assert (done.code, done.verdicts) == (0, {"q": "passed"})
    after = server.stored[0]["grant"]
    assert before["access_token"] != after["access_token"]
    assert before["refresh_token"] != after["refresh_token"]
    assert [line["grant"] for line in server.asked("token")] == ["authorization_code", "refresh_token"]
    assert batch(server).code == 0
    assert len(server.asked("token")) == 2


@switched({"metadata": "oidc", "issuer": "/tenant", "methods": ["client_secret_post"]})
def test_a_login_that_is_over_is_renewed_before_it_is_shown(server: Guarded) -> None:
    """Another process knows when a token ends, and where it came from."""
    assert log_in(server).code == 0
    (file,) = server.store.glob("*.json")
    kept = json.loads(file.read_bytes())
    kept["grant"]["expires_at"] = 1.0
    file.write_text(json.dumps(kept))
    before = len(server.log)
    assert batch(server).code == 0
    (line,) = server.log[before:]
    assert (line["path"], line["grant"], line["method"]) == ("/tenant/token", "refresh_token", "client_secret_post")


@switched({"refresh_failures": [503, 429]})
def test_a_token_endpoint_that_fails_for_a_moment_is_asked_again(server: Guarded) -> None:
    """Server errors and 429 are no refusal: the same refresh token is sent up to three times."""
    assert log_in(server).code == 0
    server.revoke("access")
    done = batch(server)
    assert (done.code, done.verdicts) == (0, {"q": "passed"})
    assert [line["grant"] for line in server.asked("token")] == ["authorization_code", *["refresh_token"] * 3]


@switched({"public": True, "refresh_failures": [500, 502, 503]}, {"public": True, "refresh_failures": [404]})
def test_a_token_endpoint_that_fails_does_not_end_the_login(server: Guarded) -> None:
    """Only 400 and 401 refuse a refresh token (RFC 6749, section 5.2): the next call of the same process uses it."""
    assert log_in(server).code == 0
    server.revoke("access")
    (turn, end) = CALL["script"]
    done = batch(server, "--allow-tool-errors", query={**CALL, "script": [turn, turn, end]})
    assert [call.get("is_error", False) for call in done.transcripts[0]["calls"]] == [True, False]


@switched({"refresh_failures": [404] * 20})
def test_a_token_endpoint_that_keeps_failing_is_named_with_its_status(server: Guarded) -> None:
    """The run ends with the status, and does not ask for a login that is still good."""
    assert log_in(server).code == 0
    server.revoke("access")
    done = batch(server)
    assert (done.code, "the token endpoint returned 404 Not Found" in done.stderr) == (3, True)
    assert "mcprun login" not in done.stderr


def test_a_login_that_can_not_be_renewed(server: Guarded) -> None:
    """It ends the run with the command that renews it, and nobody is asked."""
    assert log_in(server).code == 0
    server.revoke("all")
    done = batch(server)
    assert (done.code, f"mcprun login {server.url}" in done.stderr) == (3, True)
    assert len(server.asked("authorize")) == 1


def test_tokens_and_secrets_are_in_no_file_of_a_run(server: Guarded) -> None:
    """Neither what was given, nor what has come while the run went on; not even where a tool says it again."""
    assert log_in(server).code == 0
    server.revoke("access")
    first = batch(server)
    grant = server.stored[0]["grant"]
    second = batch(
        server, query=script(("echo", {"text": f"I have {grant['access_token']} and {grant['refresh_token']}"}))
    )
    machine = as_robot(server, query=script(("echo", {"text": SECRET})))
    assert [done.code for done in (first, second, machine)] == [0, 0, 0]
    secrets = [grant["access_token"], grant["refresh_token"], SECRET]
    for done in (first, second, machine):
        output = [done.stdout.encode(), done.stderr.encode(), *(file.read_bytes() for file in done.run.iterdir())]
        assert not any(secret.encode() in text for secret in secrets for text in output)


def test_tokens_are_the_users_own(server: Guarded) -> None:
    """The folder may be opened by the user alone (0700), and so may the files (0600), one for each client."""
    server.store.mkdir(parents=True)
    server.store.chmod(0o755)
    assert log_in(server).code == 0
    assert as_robot(server).code == 0
    assert stat.S_IMODE(server.store.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in server.store.iterdir()} == {0o600}
    assert [kept["client"] for kept in sorted(server.stored, key=lambda kept: kept["client"])] == ["", "robot"]


def test_the_store_is_where_states_are_kept(server: Guarded) -> None:
    """Without a folder of its own it is below `XDG_STATE_HOME`."""
    env = {name: value for name, value in server.env.items() if name != "MCPRUN_TOKEN_STORE"}
    done = log_in(server, env={**env, "XDG_STATE_HOME": str(server.folder / "state")})
    assert done.code == 0
    assert len(list((server.folder / "state" / "mcprun" / "tokens").glob("*.json"))) == 1


def test_a_store_that_takes_nothing_ends_no_run(server: Guarded) -> None:
    """A machine's token is good for this run all the same, and the trace says that it is not kept."""
    server.store.parent.mkdir()
    server.store.write_text("a file is no folder")
    done = as_robot(server)
    assert (done.code, done.verdicts) == (0, {"q": "passed"})
    (warning,) = [event["message"] for event in done.trace if event["event"] == "warning"]
    assert warning.startswith(f"can't store tokens in {server.store}: ")
    assert log_in(server).code == 2


def test_what_can_not_be_read_is_not_there(server: Guarded) -> None:
    """A file that somebody broke is as good as none."""
    assert log_in(server).code == 0
    (file,) = server.store.glob("*.json")
    for broken in (b"", b"[]", b"null", b"{\xff", b'{"grant": {"access_token": 1}}', b'{"held by": "x"}'):
        file.write_bytes(broken)
        done = batch(server)
        assert (done.code, "it wants authorization" in done.stderr) == (3, True), broken


def test_a_keyring_holds_the_secrets(server: Guarded) -> None:
    """Where one works, the file says only whose tokens are there."""
    backend = server.folder / "backend"
    backend.mkdir()
    (backend / "plainring.py").write_text(PLAIN_RING)
    env = {
        **server.env,
        "PYTHONPATH": str(backend),
        "PYTHON_KEYRING_BACKEND": "plainring.Ring",
        "RING": str(backend / "ring"),
    }

    def mcprun(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "mcprun", *args],
            cwd=server.folder, env=clean_environment() | env, capture_output=True, text=True, timeout=120,
        )  # fmt: skip

    done = mcprun("login", server.url)
    assert (done.returncode, "; the tokens are stored in the plain ring\n" in done.stdout) == (0, True), done.stderr
    assert server.stored == [{"url": server.url, "client": "", "held by": "the plain ring"}]
    assert mcprun("tools", server.url).returncode == 0
    assert mcprun("logout", server.url).returncode == 0
    assert json.loads((backend / "ring").read_bytes()) == {}


PLAIN_RING = """
import json, os
from pathlib import Path
from keyring.backend import KeyringBackend

class Ring(KeyringBackend):
    priority = 1
    name = "the plain ring"

    def _read(self):
        return json.loads(Path(os.environ["RING"]).read_bytes()) if Path(os.environ["RING"]).exists() else {}

    def get_password(self, service, username):
        return self._read().get(f"{service} {username}")

    def set_password(self, service, username, password):
        Path(os.environ["RING"]).write_text(json.dumps({**self._read(), f"{service} {username}": password}))

    def delete_password(self, service, username):
        left = self._read()
        del left[f"{service} {username}"]
        Path(os.environ["RING"]).write_text(json.dumps(left))
"""


@pytest.mark.parametrize(
    "backend", ["keyring.backends.null.Keyring", "keyring.backends.fail.Keyring", "no.such.Keyring"]
)
def test_a_keyring_that_holds_nothing_is_passed_over(server: Guarded, backend: str) -> None:
    """One that forgets, one that refuses, and one that is not there: the tokens are in the file, and it is said."""
    done = log_in(server, env={**server.env, "PYTHON_KEYRING_BACKEND": backend})
    assert (done.code, f"; the tokens are stored in {server.store}{os.sep}" in done.stdout) == (0, True)
    assert batch(server, env={**server.env, "PYTHON_KEYRING_BACKEND": backend}).code == 0


def test_a_run_goes_on_with_the_secret_of_its_environment(server: Guarded) -> None:
    """What came from a variable is there again; what came on the command line must be given again."""
    for args, env in (([], server.robot), (["--oauth-client-secret", SECRET], server.env)):
        client = ("--oauth-client-id", "robot", *args)
        done = batch(server, *client, "--limit", "1", env=env)
        resumed = run_mcprun("batch", "--resume", done.run, cwd=server.folder, env=env)
        assert resumed.code == (2 if args else 0)
        assert SECRET not in resumed.stderr
