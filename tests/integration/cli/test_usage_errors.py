"""Usage errors never show the value of an option that takes a secret."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.cli import RAW, run_mcprun, script, write_jsonl

SECRET = "s3cret-9f8e7d6c"

URL = "http://127.0.0.1:9/mcp"

BATCH = ("batch", "p.jsonl")

USAGE_ERRORS: list[tuple[tuple[str, ...], str]] = [
    ((*BATCH, URL, "--header", SECRET), "'--header': expected 'NAME: VALUE', in quotes"),
    ((*BATCH, URL, "--header", f"Bearer {SECRET}"), "'--header': expected 'NAME: VALUE', in quotes"),
    ((*BATCH, URL, "--header", f": {SECRET}"), "'--header': expected 'NAME: VALUE', in quotes"),
    ((*BATCH, URL, "--header", f"Bearer {SECRET}: x"), "'--header': expected 'NAME: VALUE', in quotes"),
    ((*BATCH, URL, "--header", f"X={SECRET}"), "'--header': expected 'NAME: VALUE', in quotes"),
    ((*BATCH, URL, "--header", f"X: {SECRET}\nY: z"), "'--header': the VALUE of a header must be on one line"),
    (("batch", "--header", "Authorization:", "Bearer", SECRET, "p.jsonl", URL), "'--header': expected"),
    (("batch", "--header", "Authorization:Bearer", SECRET, "p.jsonl", URL), "'--header': expected"),
    (("tools", URL, "--header", "A: b", SECRET), "Got 1 unexpected argument; quote values that contain spaces"),
    (("login", URL, "--header", SECRET), "'--header': expected 'NAME: VALUE', in quotes"),
    (("login", URL, SECRET), "Got 1 unexpected argument"),
    (("login", URL, f"--oauth-client-secret:{SECRET}"), "No such option: --oauth-client-secret…"),
    (("login", URL, "--oauth-client-id", "a", "--oauth-client-secret", f"env:{SECRET}"), "--oauth-client-secret: env:NAME names"),
    (("login", URL, "--redirect-uri", f"x://me:{SECRET}@h/"), "--redirect-uri: expected an http:// or https:// URL"),
    ((*BATCH, RAW.name, "--env", SECRET), "'--env': expected NAME=VALUE, or the NAME of a variable that is set"),
    ((*BATCH, RAW.name, "--env", f"={SECRET}"), "'--env': expected NAME=VALUE"),
    ((*BATCH, RAW.name, "--env", f"KEY: {SECRET}"), "'--env': expected NAME=VALUE"),
    ((*BATCH, RAW.name, "--env", f"A={SECRET}", "=", SECRET), "Got 2 unexpected arguments"),
    ((*BATCH, URL, "--env", f"A={SECRET}"), "--env applies only to a server that mcprun starts"),
    ((*BATCH, RAW.name, "--header", f"A: {SECRET}"), "--header applies only to a URL"),
    ((*BATCH, RAW.name, "--env-file", f"A={SECRET}"), "--env-file: expected a file name"),
    ((*BATCH, RAW.name, "--token", SECRET), "--token and the --oauth options apply only to URLs"),
    ((*BATCH, URL, "--token", "a", SECRET), "Got 1 unexpected argument"),
    ((*BATCH, URL, f"--token{SECRET}"), "No such option: --token…"),
    ((*BATCH, URL, f"--token:{SECRET}"), "No such option: --token…"),
    ((*BATCH, URL, f"--tokn={SECRET}"), "--tokn"),
    ((*BATCH, URL, "--token", f"env:{SECRET}"), "--token: env:NAME names a variable that is not set"),
    ((*BATCH, URL, "--token", SECRET, "--header", f"Authorization: {SECRET}"), "cannot be combined"),
    ((*BATCH, URL, "--oauth-client-secret", SECRET), "--oauth-client-id requires --oauth-client-secret"),
    ((*BATCH, URL, "--oauth-client-secret", f"env:{SECRET}"), "--oauth-client-secret: env:NAME names"),
    ((*BATCH, URL, "--oauth-assertion", f"env:{SECRET}"), "--oauth-assertion: env:NAME names"),
    ((*BATCH, URL, "--oauth-assertion", SECRET, "--oauth-client-id", "a"), "--oauth-assertion requires"),
    ((*BATCH, URL, "--oauth-private-key", f"-----BEGIN PRIVATE KEY-----\n{SECRET}"), "expected a file name, got a key"),
    ((*BATCH, URL, "--oauth-private-key", SECRET), "--oauth-private-key: can't read the file: No such file"),
    ((*BATCH, RAW.name, "--redact", f"({SECRET}"), "--redact: invalid regular expression at position 0"),
    ((*BATCH, RAW.name, "--redact", f"(?P={SECRET})"), "--redact: invalid regular expression"),
    ((*BATCH, RAW.name, "--redact", f"(?P<{SECRET}>x)"), "--redact: invalid regular expression"),
    ((*BATCH, RAW.name, "--redact", f"({SECRET})*"), "--redact: a regular expression matches the empty string"),
    ((*BATCH, f"http://me:{SECRET}@[x/mcp"), "[redacted] is not an http:// or https:// URL"),
    ((*BATCH, f"http://me:{SECRET}@/mcp"), "is not an http:// or https:// URL"),
    ((*BATCH, f"http://me:{SECRET}@x/", "--token", "t0ken-t0ken"), "cannot be combined"),
    ((*BATCH, f"http://x/?key={SECRET}", "--", SECRET), "is a URL; arguments after -- apply only to a server that mcprun starts"),
    ((*BATCH, f"http://me:{SECRET}@x/", "--cwd", "."), "--python and --cwd apply only to a server that mcprun starts"),
    ((*BATCH, f"ws://me:{SECRET}@x/mcp"), "SERVER looks like a URL: it must begin with http:// or https://"),
    ((*BATCH, f"http:/me:{SECRET}@x/mcp"), "SERVER looks like a URL: write http://[redacted]@x/mcp, with two slashes"),
    ((*BATCH, f"https:me:{SECRET}@x/mcp"), "SERVER looks like a URL: write https://[redacted]@x/mcp, with two slashes"),
    ((*BATCH, f"me:{SECRET}@x:8080/mcp"), "SERVER looks like a URL: write http://[redacted]@x:8080/mcp"),
    ((*BATCH, f"x:8080/mcp?key={SECRET}"), "SERVER looks like a URL: write http://x:8080/mcp?[redacted]"),
    ((*BATCH, f"KEY={SECRET} npx server"), "SERVER starts with a variable; pass it with --env NAME=VALUE"),
    ((*BATCH, f"npx server --key '{SECRET}"), "SERVER is not a valid command line: no closing quotation"),
    ((*BATCH, f"{RAW.name} --key {SECRET}"), f"pass the server's arguments after --: {RAW.name} -- ARGUMENTS"),
    ((*BATCH, RAW.name, "--base-url", f"http://me:{SECRET}@[x"), "--base-url needs an API key"),
    (("chat", RAW.name, "--env", SECRET), "'--env': expected NAME=VALUE"),
    (("init", URL, "--header", SECRET), "'--header': expected 'NAME: VALUE'"),
    (("logout", f"ws://me:{SECRET}@x/mcp"), "SERVER looks like a URL"),
]  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Create a folder with a prompts file and a server."""
    write_jsonl(tmp_path / "p.jsonl", script(("ok", {})))
    (tmp_path / RAW.name).write_text(RAW.read_text())
    return tmp_path


@pytest.mark.parametrize(("args", "message"), USAGE_ERRORS)
def test_usage_errors_do_not_show_secrets(project: Path, args: tuple[str, ...], message: str) -> None:
    """A usage error names the option and the expected form, but not the value, and nothing runs."""
    done = run_mcprun(*args, cwd=project, env={"MCPRUN_TOKEN_STORE": str(project / "tokens")})
    assert (done.code, message in done.stderr, SECRET in done.stdout + done.stderr) == (2, True, False), done.stderr
    assert not (project / "outputs").exists()


@pytest.mark.parametrize(
    ("variables", "config", "message"),
    [
        ({"MCPRUN_HEADER": f"Authorization: Bearer {SECRET}"}, "", "expected 'NAME: VALUE', in quotes (set by MCPRUN_HEADER)"),
        ({"MCPRUN_HEADER": f"'A: {SECRET}"}, "", "can't read MCPRUN_HEADER: No closing quotation"),
        ({"MCPRUN_ENV": SECRET}, "", "expected NAME=VALUE, or the NAME of a variable that is set in this environment (set by MCPRUN_ENV)"),
        ({"MCPRUN_TOKEN": f"env:{SECRET}"}, "", "--token: env:NAME names a variable that is not set"),
        ({"MCPRUN_REDACT": f"({SECRET}"}, "", "--redact: invalid regular expression"),
        ({"MCPRUN_OAUTH_CLIENT_SECRET": SECRET}, "", "--oauth-client-id requires --oauth-client-secret"),
        ({}, f"header = '{SECRET}'", "expected 'NAME: VALUE', in quotes (set by "),
        ({}, f"header = ['A: b', 'Bearer {SECRET}']", "expected 'NAME: VALUE', in quotes (set by "),
        ({}, f"token = ['{SECRET}']", "token must be a string, not a list"),
        ({}, f"env = ['{SECRET}']", "expected NAME=VALUE"),
        ({}, f"redact = '({SECRET}'", "--redact: invalid regular expression"),
        ({}, f"token = '{SECRET}", "can't read "),
        ({}, f"tokn = '{SECRET}'", "sets the unknown option 'tokn'; did you mean 'token'?"),
        ({}, f"[header]\n'Bearer {SECRET}' = 'x'", "expected 'NAME: VALUE'"),
    ],
)  # fmt: skip
def test_errors_in_settings_do_not_show_secrets(
    project: Path, variables: dict[str, str], config: str, message: str
) -> None:
    """For a setting in a file or the environment, the message names the file or the variable, but not the value.

    Variables apply to a server that mcprun starts, and the others to a URL.
    """
    (project / "mcprun.toml").write_text(config)
    is_started = "MCPRUN_ENV" in variables or config.startswith("env")
    done = run_mcprun(*BATCH, RAW if is_started else URL, cwd=project, env=variables)
    assert (done.code, message in done.stderr, SECRET in done.stdout + done.stderr) == (2, True, False), done.stderr


def test_errors_in_a_server_configuration_do_not_show_secrets(project: Path) -> None:
    """A message about an invalid entry of `mcp.json` shows neither its values nor the defaults of its placeholders."""
    for entry in (
        {"url": f"ws://me:{SECRET}@x"},
        {"url": URL, "headers": {"A": [SECRET]}},
        {"command": "x", "args": f"--key {SECRET}"},
        {"command": "x", "env": {"A": f"${{a.b:-{SECRET}}}"}},
        {"command": "x", "env": {"A": f"{SECRET} ${{input:a}}"}},
        {"url": URL, "oauth": {"clientSecret": [SECRET]}},
    ):
        (project / "mcp.json").write_text(json.dumps({"mcpServers": {"it": entry}}))
        done = run_mcprun(*BATCH, "mcp.json", cwd=project)
        assert (done.code, SECRET in done.stdout + done.stderr) == (2, False), done.stderr
