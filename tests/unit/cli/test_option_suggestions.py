"""An unknown option names the option that was meant, and never a value."""

from __future__ import annotations

import click
import pytest

from mcprun.cli import main


def error_of(name: str, *args: str) -> str:
    """Parse a command line that must be rejected, and return the message."""
    command = main.commands[name]
    with pytest.raises(click.UsageError) as raised:
        command.make_context(name, list(args), parent=click.Context(main, info_name="mcprun"))
    return raised.value.format_message()


@pytest.mark.parametrize(
    ("given", "option"),
    [
        ("--jobs", "--concurrency"), ("-n", "--concurrency"), ("--workers", "--concurrency"), ("--parallel", "--concurrency"),
        ("--maxfail", "--max-failures"), ("--output", "--out"), ("--output-dir", "--out"), ("--grep", "--filter"),
        ("--only", "--filter"), ("-t", "--filter"), ("--max-retries", "--retries"), ("--silent", "--quiet"),
        ("--system-prompt", "--system"), ("--junitxml", "--junit"), ("-H", "--header"), ("-e", "--env"),
        ("--max-steps", "--max-turns"), ("--budget", "--budget-usd"), ("--continue", "--resume"), ("--isolated", "--fresh-server"),
        ("--runs", "--repeat"), ("--expected", "--baseline"), ("--provider", "--model"), ("--bearer", "--token"),
        ("--concurency", "--concurrency"), ("--baselin", "--baseline"), ("--Model", "--model"), ("--max_turns", "--max-turns"),
        ("--filters", "--filter"), ("-model", "--model"), ("-concurrency", "--concurrency"),
    ],
)  # fmt: skip
def test_batch_names_the_option_that_was_meant(given: str, option: str) -> None:
    """A name of another tool, a misspelling and a single dash are answered with the option of that purpose."""
    assert error_of("batch", "p.jsonl", "s.py", given) == f"No such option: {given}. Did you mean {option}?"


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        (["--fail-fast"], "Did you mean -x (--max-failures 1)?"),
        (["--bail"], "Did you mean -x (--max-failures 1)?"),
        (["--timeout", "5"], "Did you mean --query-timeout, --call-timeout (of a tool) or --run-timeout?"),
        (["--api-key", "s3cret"], "Set ANTHROPIC_API_KEY in the environment or in .env."),
        (["--replay", "latest"], "Did you mean --model replay:RUN?"),
        (["--input", "p.jsonl"], "Pass the prompts file as the argument PROMPTS."),
        (["--format", "junit"], "Did you mean --html, --junit, --markdown, --csv or --tap?"),
    ],
)
def test_batch_advises_where_no_single_option_is_meant(given: list[str], advice: str) -> None:
    """A purpose that is served otherwise is answered with how."""
    assert error_of("batch", "p.jsonl", "s.py", *given) == f"No such option: {given[0]}. {advice}"


def test_only_options_of_the_command_are_proposed() -> None:
    """A command without the option that was meant does not propose it."""
    assert error_of("diff", "a", "b", "--jobs", "3") == "No such option: --jobs."
    assert error_of("report", "a", "--fail-fast") == "No such option: --fail-fast."
    assert error_of("bless", "a", "b", "--overwrite") == "No such option: --overwrite. Did you mean --force?"


def test_an_option_of_another_command_is_found() -> None:
    """An option that only one or two other commands have is answered with their names."""
    assert error_of("report", "a", "--lint") == "No such option: --lint. It is an option of mcprun tools."


def test_an_unknown_option_may_be_one_of_the_server() -> None:
    """Where nothing is known of an option, a command that starts a server mentions the server's arguments."""
    message = error_of("batch", "p.jsonl", "s.py", "--colourful")
    assert message.startswith("No such option: --colourful. Quote a server's command line")


def test_retry_with_a_number_means_retries() -> None:
    """`--retry 4` and `--retry=4` are answered with `--retries`."""
    for given in (["--retry", "4"], ["--retry=4"]):
        assert error_of("batch", "p.jsonl", "s.py", *given) == "--retry takes no value. Did you mean --retries?"


@pytest.mark.parametrize("flag", ["--token", "--oauth-client-secret", "--header", "--env"])
@pytest.mark.parametrize("value", ["12", "s3cret", ":s3cret-9f8e7d6c"])
def test_a_value_glued_to_its_option_is_not_repeated(flag: str, value: str) -> None:
    """A flag without a space before its value, which may be a secret, is named without the value."""
    message = error_of("batch", "p.jsonl", "http://127.0.0.1:9/mcp", f"{flag}{value}")
    assert message == f"No such option: {flag}…; put a space or = between {flag} and its value"


@pytest.mark.parametrize(
    "server",
    [["python", "-m", "server"], ["npx", "-y", "server"], ["uv", "--directory", "x", "run", "s.py"], ["node", "s.js"]],
)
def test_a_command_line_without_quotes_is_not_taken_for_options_of_mcprun(server: list[str]) -> None:
    """The options of an unquoted command line are not taken for options of mcprun, such as `-m`."""
    for name in ("batch", "chat", "tools", "init"):
        prompts = ["p.jsonl"] if name == "batch" else []
        message = error_of(name, *prompts, *server)
        assert message.startswith(f"{server[0]} alone starts no server. Quote a server's command line")


def test_a_program_may_be_a_value_or_have_its_arguments_after_dashes() -> None:
    """`--python python3` and `python -- -m server` are valid."""
    for args in (["p.jsonl", "s.py", "--python", "python3", "-q"], ["p.jsonl", "python", "--", "-m", "server"]):
        assert main.commands["batch"].make_context("batch", args, variables={}, files=[])


@pytest.mark.parametrize("name", ["show", "report"])
def test_a_command_may_have_no_arguments(name: str) -> None:
    """Commands whose arguments are optional run without any."""
    assert main.commands[name].make_context(name, []).params["run"] == "latest"
