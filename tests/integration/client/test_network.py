"""Commands exit with a one-line error if a proxy or certificate setting is unusable."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import RAW, clean_environment, run_mcprun, script, write_jsonl


@pytest.mark.parametrize("variables", [{"ALL_PROXY": "ftp://h"}, {"SSL_CERT_FILE": "/nowhere.pem"}])
def test_unusable_network_variable_is_a_one_line_error(tmp_path: Path, variables: dict[str, str]) -> None:
    """Each command that needs an HTTP client names the variable, exits with 2 and writes nothing. Others ignore it."""
    write_jsonl(tmp_path / "p.jsonl", script(("ok", {})))
    key = {"ANTHROPIC_API_KEY": "k", "AWS_BEARER_TOKEN_BEDROCK": "t", "AWS_REGION": "eu-west-7"}
    url, base = "http://127.0.0.1:9/mcp", ("--base-url", "http://127.0.0.1:9")
    for command in (
        ("batch", "p.jsonl", RAW, "--model", "claude-sonnet-5-5", *base),
        ("batch", "p.jsonl", RAW, "--model", "bedrock:m", *base),
        ("batch", "p.jsonl", url, "--model", "script"),
        ("tools", url),
        ("init", url),
        ("login", url),
        ("chat", RAW, *base),
    ):
        done = run_mcprun(*command, cwd=tmp_path, env={**variables, **key})
        (name,) = variables
        assert (done.code, done.stderr.startswith(f"Error: {name} "), done.stderr.count("\n")) == (2, True, 1), command
    assert not (tmp_path / "outputs").exists()
    done = run_mcprun("batch", "p.jsonl", RAW, "--model", "script", cwd=tmp_path, env=variables)
    assert done.code == 0


def test_unreachable_proxy_is_named(tmp_path: Path) -> None:
    """A failed connection is reported with the proxy's variable, since nothing else shows that there is a proxy."""
    prompts = write_jsonl(tmp_path / "p.jsonl", {"id": "q", "prompt": "Hi"})
    env = {"ANTHROPIC_API_KEY": "x", "ALL_PROXY": "http://127.0.0.1:9", "ANTHROPIC_BASE_URL": "http://127.0.0.1:9"}
    done = run_mcprun("batch", prompts, RAW, "--no-retry", cwd=tmp_path, env=env)
    assert (done.code, "through the proxy of ALL_PROXY (http://127.0.0.1:9)" in done.stderr) == (3, True)
    done = run_mcprun("tools", "http://localhost:9/mcp", cwd=tmp_path, env=env)
    assert done.code == 3
    assert (
        "can't connect to http://localhost:9/mcp through the proxy of ALL_PROXY (http://127.0.0.1:9): " in done.stderr
    )


def test_socks_proxy_without_its_package_names_the_extra(tmp_path: Path) -> None:
    """If `socksio` cannot be imported, the error names the extra that installs it."""
    (tmp_path / "socksio.py").write_text("raise ImportError")
    write_jsonl(tmp_path / "p.jsonl", "Hello?")
    env = {"ANTHROPIC_API_KEY": "k", "ALL_PROXY": "socks5://u:hunter22@h:1", "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "mcprun", "batch", "p.jsonl", RAW],
        cwd=tmp_path, env=clean_environment() | env, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    text = (
        "Error: ALL_PROXY is 'socks5://[redacted]@h:1', a SOCKS proxy, which needs the package socksio: pip install"
        " 'mcprun[socks]', or unset ALL_PROXY\n"
    )
    assert (done.returncode, done.stderr) == (2, text)
