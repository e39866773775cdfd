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


def run_as_robot(server: Guarded, *args: str | Path, query: Any = CALL) -> Result:
    return batch(server, "--oauth-client-id", "robot", *args, env=server.robot, query=query)


@switched({}, {"transport": "sse"})
def test_without_a_token_one_line_says_how_to_log_in(server: Guarded) -> None:
    """Without a token, a run ends with the ways to authorize.

    It sends requests to the MCP endpoint only and stores nothing.
    """
    done = batch(server)
    text = (
        f"it wants authorization (401): log in once (mcprun login {server.url}), or give --token or --oauth-client-id"
    )
    assert (done.code, done.record["error"]["kind"]) == (3, "server_start")
    assert done.stderr.splitlines()[-1] == f"Error: can't connect to {server.url}: {text}"
    assert not server.store.exists()
    assert {line["path"] for line in server.log} == {server.url[server.url.rindex("/") :]}


def test_token_option_and_variable_supply_the_token(server: Guarded) -> None:
    """`--token env:NAME` and `MCPRUN_TOKEN` supply the token.

    Neither it nor a rejected `--token` value is written or printed.
    """
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
def test_conflicting_authorization_options_are_refused(tmp_path: Path, args: list[str], message: str) -> None:
    """Conflicting or incomplete authorization options exit with 2 before anything runs."""
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
def test_client_secret_is_exchanged_for_a_token(server: Guarded) -> None:
    """The exchange works for each metadata location and client authentication method.

    A second run reuses the stored token.
    """
    done = run_as_robot(server)
    assert (done.code, done.verdicts) == (0, {"q": "passed"})
    (token,) = server.asked("token")
    assert (token["grant"], token["resource"]) == ("client_credentials", server.url)
    assert done.record["arguments"]["oauth_client_secret"] == "env:MCPRUN_OAUTH_CLIENT_SECRET"
    assert run_as_robot(server).code == 0
    assert len(server.asked("token")) == 1


@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_private_key_is_exchanged_for_a_token(running: Guarded, tmp_path: Path, kind: str) -> None:
    """The server verifies the signed assertion and rejects one signed by another key."""
    key: Any = rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP256R1())
    other = ec.generate_private_key(ec.SECP256R1())
    for name, private_key in (("key.pem", key), ("other.pem", other)):
        pem = private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
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
def test_identity_assertion_is_exchanged_at_the_named_issuer(server: Guarded) -> None:
    """The assertion is exchanged at `--oauth-issuer` (SEP-990) and written to no file. A wrong assertion is refused."""
    client = ("--oauth-client-id", "robot", "--oauth-issuer", f"http://127.0.0.1:{server.port}")
    wrong = batch(server, *client, env={**server.robot, "MCPRUN_OAUTH_ASSERTION": "said-by-nobody"})
    assert (wrong.code, "invalid_grant" in wrong.stderr) == (3, True)
    text = "said-by-the-identity-provider"
    done = batch(server, *client, env={**server.robot, "MCPRUN_OAUTH_ASSERTION": text})
    assert (done.code, done.verdicts) == (0, {"q": "passed"})
    assert server.asked("token")[-1]["grant"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    assert not any(text.encode() in file.read_bytes() for file in done.run.iterdir())


def test_algorithm_that_the_key_does_not_support_is_refused(tmp_path: Path) -> None:
    """`--oauth-algorithm` is checked against the key before anything runs."""
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key.pem").write_bytes(key)
    args = ("--oauth-client-id", "a", "--oauth-private-key", "key.pem", "--oauth-algorithm", "RS256")
    done = run_mcprun("tools", "http://127.0.0.1:1/", *args, cwd=tmp_path)
    assert (done.code, done.stderr) == (2, "Error: key.pem cannot sign with RS256\n")


@switched({"challenge_scope": "basic", "prm_scopes": ["other"]}, {"prm_scopes": ["basic"]})
def test_scopes_come_from_the_server_unless_oauth_scope_is_set(server: Guarded) -> None:
    """The scopes of the challenge take precedence over those of the metadata. `--oauth-scope` replaces both."""
    assert run_as_robot(server).code == 0
    assert run_as_robot(server, "--oauth-scope", "mine too").code == 0
    assert [line["scope"] for line in server.asked("token")] == ["basic", "mine too"]


@switched({"challenge_scope": "basic"})
def test_call_with_insufficient_scope_gets_a_wider_token(server: Guarded) -> None:
    """A call refused for a missing scope (403) is repeated with a token that has that scope as well."""
    done = run_as_robot(server, query=script(("deep", {"text": "x"})))
    assert (done.code, done.verdicts) == (0, {"q": "passed"})
    assert [line["scope"] for line in server.asked("token")] == ["basic", "basic deep"]


@switched({"expires_in": 0})
def test_rejected_new_token_ends_the_run(server: Guarded) -> None:
    """A server that rejects the tokens it issues fails the run with that reason."""
    done = run_as_robot(server)
    assert (done.code, "it refuses the token that it was given (401)" in done.stderr) == (3, True)


@switched({"public": True})
def test_server_with_a_public_tool_list_refuses_only_calls(server: Guarded) -> None:
    """The result of a refused call says how to authorize. With client credentials the call passes."""
    done = batch(server)
    assert (done.code, done.verdicts) == (1, {"q": "failed"})
    result_text = done.transcripts[0]["calls"][0]["content"][0]["text"]
    assert result_text.startswith("HTTP 401 Unauthorized: it wants authorization (401): log in once")
    assert run_as_robot(server).code == 0


@switched({"resource": "http://127.0.0.1:1/mcp"})
def test_metadata_of_another_resource_is_refused(server: Guarded) -> None:
    """Metadata that names another resource is refused (RFC 8707), and no secret is sent."""
    done = run_as_robot(server)
    assert (done.code, "does not match expected" in done.stderr, server.asked("token")) == (3, True, [])
    login = log_in(server)
    assert (login.code, "does not match expected" in login.stderr, server.asked("authorize")) == (3, True, [])


def test_secret_is_sent_only_to_the_named_issuer(server: Guarded) -> None:
    """With `--oauth-issuer`, no other authorization server gets a token or authorization request."""
    done = run_as_robot(server, "--oauth-issuer", "https://example.com")
    assert (done.code, server.asked("token")) == (3, [])
    assert run_as_robot(server, "--oauth-issuer", f"http://127.0.0.1:{server.port}").code == 0
    login = log_in(server, "--oauth-issuer", "https://example.com")
    assert (login.code, "expected https://example.com" in login.stderr, server.asked("authorize")) == (3, True, [])


@switched({"json": True})
def test_authorized_calls_run_concurrently(server: Guarded) -> None:
    """Eight calls reach a server that answers none until all have arrived. Two sessions share one token."""
    calls = script(*[("meet", {"count": 8})] * 4)
    prompts = write_jsonl(server.folder / "p.jsonl", {**calls, "id": "a"}, {**calls, "id": "b"})
    options = ("--oauth-client-id", "robot", "--servers", "2", "--call-timeout", "30")
    done = run_mcprun("batch", prompts, server.url, *options, cwd=server.folder, env=server.robot)
    assert (done.code, done.verdicts) == (0, {"a": "passed", "b": "passed"})
    assert len(server.asked("token")) == 1


def test_rejected_access_token_is_refreshed(server: Guarded) -> None:
    """An access token that the server has revoked is refreshed and stored, and the next run uses the new one."""
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
def test_expired_access_token_is_refreshed_before_it_is_sent(server: Guarded) -> None:
    """Another process refreshes the stored token at the endpoint, and with the method, that issued it."""
    assert log_in(server).code == 0
    (file,) = server.store.glob("*.json")
    stored = json.loads(file.read_bytes())
    stored["grant"]["expires_at"] = 1.0
    file.write_text(json.dumps(stored))
    before = len(server.log)
    assert batch(server).code == 0
    (line,) = server.log[before:]
    assert (line["path"], line["grant"], line["method"]) == ("/tenant/token", "refresh_token", "client_secret_post")


@switched({"refresh_failures": [503, 429]})
def test_transient_token_endpoint_failure_is_retried(server: Guarded) -> None:
    """Server errors and 429 are not refusals: the same refresh token is sent up to three times."""
    assert log_in(server).code == 0
    server.revoke("access")
    done = batch(server)
    assert (done.code, done.verdicts) == (0, {"q": "passed"})
    assert [line["grant"] for line in server.asked("token")] == ["authorization_code", *["refresh_token"] * 3]


@switched({"public": True, "refresh_failures": [500, 502, 503]}, {"public": True, "refresh_failures": [404]})
def test_failing_token_endpoint_keeps_the_refresh_token(server: Guarded) -> None:
    """Only 400 and 401 refuse a refresh token (RFC 6749, section 5.2).

    The next call of the same process sends it again.
    """
    assert log_in(server).code == 0
    server.revoke("access")
    (turn, end) = CALL["script"]
    done = batch(server, "--allow-tool-errors", query={**CALL, "script": [turn, turn, end]})
    assert [call.get("is_error", False) for call in done.transcripts[0]["calls"]] == [True, False]


@switched({"refresh_failures": [404] * 20})
def test_persistent_token_endpoint_failure_is_reported_with_its_status(server: Guarded) -> None:
    """The run ends with the status and does not suggest a new login, since the stored one may still be valid."""
    assert log_in(server).code == 0
    server.revoke("access")
    done = batch(server)
    assert (done.code, "the token endpoint returned 404 Not Found" in done.stderr) == (3, True)
    assert "mcprun login" not in done.stderr


def test_revoked_login_ends_the_run_with_the_login_command(server: Guarded) -> None:
    """If the refresh token is revoked, the run names the `mcprun login` command and starts no authorization itself."""
    assert log_in(server).code == 0
    server.revoke("all")
    done = batch(server)
    assert (done.code, f"mcprun login {server.url}" in done.stderr) == (3, True)
    assert len(server.asked("authorize")) == 1


def test_tokens_and_secrets_are_written_to_no_file_of_a_run(server: Guarded) -> None:
    """Stored tokens, tokens refreshed during the run and the client secret are redacted, even if a tool echoes them."""
    assert log_in(server).code == 0
    server.revoke("access")
    first = batch(server)
    grant = server.stored[0]["grant"]
    second = batch(
        server, query=script(("echo", {"text": f"I have {grant['access_token']} and {grant['refresh_token']}"}))
    )
    machine = run_as_robot(server, query=script(("echo", {"text": SECRET})))
    assert [done.code for done in (first, second, machine)] == [0, 0, 0]
    secrets = [grant["access_token"], grant["refresh_token"], SECRET]
    for done in (first, second, machine):
        output = [done.stdout.encode(), done.stderr.encode(), *(file.read_bytes() for file in done.run.iterdir())]
        assert not any(secret.encode() in text for secret in secrets for text in output)


def test_token_store_is_private_to_the_user(server: Guarded) -> None:
    """The folder has mode 0700 and its files 0600, one for each client."""
    server.store.mkdir(parents=True)
    server.store.chmod(0o755)
    assert log_in(server).code == 0
    assert run_as_robot(server).code == 0
    assert stat.S_IMODE(server.store.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in server.store.iterdir()} == {0o600}
    assert [entry["client"] for entry in sorted(server.stored, key=lambda entry: entry["client"])] == ["", "robot"]


def test_token_store_defaults_to_xdg_state_home(server: Guarded) -> None:
    """Without `MCPRUN_TOKEN_STORE`, tokens are stored below `XDG_STATE_HOME`."""
    env = {name: value for name, value in server.env.items() if name != "MCPRUN_TOKEN_STORE"}
    done = log_in(server, env={**env, "XDG_STATE_HOME": str(server.folder / "state")})
    assert done.code == 0
    assert len(list((server.folder / "state" / "mcprun" / "tokens").glob("*.json"))) == 1


def test_unwritable_token_store_does_not_fail_a_run(server: Guarded) -> None:
    """A run with client credentials uses its token and warns that it cannot be stored. `mcprun login` fails."""
    server.store.parent.mkdir()
    server.store.write_text("a file is no folder")
    done = run_as_robot(server)
    assert (done.code, done.verdicts) == (0, {"q": "passed"})
    (warning,) = [event["message"] for event in done.trace if event["event"] == "warning"]
    assert warning.startswith(f"can't store tokens in {server.store}: ")
    assert log_in(server).code == 2


def test_corrupt_token_file_is_ignored(server: Guarded) -> None:
    """A token file that cannot be parsed counts as no login."""
    assert log_in(server).code == 0
    (file,) = server.store.glob("*.json")
    for broken in (b"", b"[]", b"null", b"{\xff", b'{"grant": {"access_token": 1}}', b'{"held by": "x"}'):
        file.write_bytes(broken)
        done = batch(server)
        assert (done.code, "it wants authorization" in done.stderr) == (3, True), broken


def test_tokens_are_stored_in_a_working_keyring(server: Guarded) -> None:
    """With a working keyring, the file has only the server's URL, the client and the name of the keyring."""
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
def test_unusable_keyring_falls_back_to_the_file(server: Guarded, backend: str) -> None:
    """With a null, failing or missing keyring, the tokens are stored in the file, and the output names it."""
    done = log_in(server, env={**server.env, "PYTHON_KEYRING_BACKEND": backend})
    assert (done.code, f"; the tokens are stored in {server.store}{os.sep}" in done.stdout) == (0, True)
    assert batch(server, env={**server.env, "PYTHON_KEYRING_BACKEND": backend}).code == 0


def test_resume_reads_a_secret_from_its_variable(server: Guarded) -> None:
    """`--resume` finds a secret that came from a variable. One from the command line must be passed again."""
    for args, env in (([], server.robot), (["--oauth-client-secret", SECRET], server.env)):
        client = ("--oauth-client-id", "robot", *args)
        done = batch(server, *client, "--limit", "1", env=env)
        resumed = run_mcprun("batch", "--resume", done.run, cwd=server.folder, env=env)
        assert resumed.code == (2 if args else 0)
        assert SECRET not in resumed.stderr
