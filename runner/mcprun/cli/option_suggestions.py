"""Suggest the option that was meant by one that does not exist. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

_NAMES_BY_OPTION: Mapping[str, str] = {
    "allow-tool": "tools tool allow-tools allowed-tools allowedTools include-tool include-tools",
    "base-url": "api-base api-url endpoint host url",
    "baseline": "against compare compare-to expected golden reference",
    "budget-usd": "budget cost max-budget max-cost max-price max-usd",
    "call-timeout": "tool-timeout",
    "concurrency": "jobs max-concurrency max-workers n num-workers numprocesses p parallel parallelism processes"
    " threads w workers",
    "cwd": "C chdir work-dir workdir working-dir working-directory",
    "deny-tool": "deny-tools disallowed-tools disallowedTools exclude-tool exclude-tools",
    "dry-run": "check collect-only dryrun list list-tests plan what-if",
    "env": "e environment env-var setenv",
    "env-file": "dotenv envfile",
    "filter": "g grep id ids include keyword match name only pattern queries query select t tag tags test tests",
    "force": "overwrite",
    "fresh-server": "isolate isolated isolation new-server reset restart-server",
    "header": "H headers",
    "html": "html-report report-html",
    "ignore": "exclude-field ignore-field ignore-path ignore-paths",
    "junit": "junit-report junit-xml junitxml xml",
    "limit": "first head max-queries",
    "markdown": "md",
    "max-calls": "max-tool-calls",
    "max-failures": "max-errors max-fail max-fails maxfail",
    "max-turns": "max-iterations max-rounds max-steps",
    "model": "engine llm model-name provider",
    "out": "dest destination dir directory out-dir outdir output output-dir output-directory save-to",
    "otel": "opentelemetry trace tracing",
    "pass-rate": "min-pass-rate threshold",
    "python": "interpreter python-executable venv virtualenv",
    "query-timeout": "test-timeout",
    "quiet": "no-progress s silent",
    "ray": "cluster distributed",
    "redact": "hide mask secret secrets",
    "repeat": "count iterations n-runs num-runs repeats repetitions runs samples times trials",
    "request-timeout": "api-timeout model-timeout",
    "resume": "continue last restart",
    "retries": "attempts max-attempts max-retries max-retry rerun reruns retry-count",
    "scrub": "normalise normalize sanitize",
    "servers": "num-servers sessions",
    "system": "instructions system-prompt",
    "token": "access-token api-token auth bearer bearer-token",
    "update": "accept record snapshot-update u update-baseline update-snapshot update-snapshots",
    "verbose": "debug details",
}
"""Names for the purpose of each option in other tools, such as pytest, Jest, curl and make."""

_MEANT = {name: option for option, names in _NAMES_BY_OPTION.items() for name in names.split()}

_FORMATS = "Did you mean --html, --junit, --markdown, --csv or --tap?"
_KEY = "Set ANTHROPIC_API_KEY in the environment or in .env."
_NO_COLOR = "Set NO_COLOR=1 for output without colours."
_PROMPTS = "Pass the prompts file as the argument PROMPTS."
_STOP = "Did you mean -x (--max-failures 1)?"

_ADVICE: tuple[tuple[str, str, str], ...] = (
    ("api-key apikey key", "model", _KEY),
    ("bail exit-first exitfirst fail-fast failfast stop-on-error stop-on-failure", "max-failures", _STOP),
    ("cmd command server", "cwd", "Pass the server, or its command line in quotes, as the argument SERVER."),
    ("color colour no-color no-colour", "", _NO_COLOR),
    ("config", "show-config", "Options are read from the nearest mcprun.toml, in this folder or above."),
    ("check collect-only dry-run list", "filter", "Check the prompts file with: mcprun validate PROMPTS"),
    ("file input prompts prompts-file", "filter", _PROMPTS),
    ("format output-format report reporter", "junit", _FORMATS),
    ("json", "junit", "The run directory contains JSON: run.json and transcripts.jsonl."),
    ("replay", "model", "Did you mean --model replay:RUN?"),
    ("script scripted", "model", "Did you mean --model script?"),
    ("timeout", "query-timeout", "Did you mean --query-timeout, --call-timeout (of a tool) or --run-timeout?"),
    ("version", "", "Did you mean mcprun --version?"),
)
"""Names that no single option stands for, an option of the commands that the advice is for ("" for all), the advice."""

_CUTOFF = 0.8
"""Least similarity of a misspelled name, as `difflib` measures it: 0.6, its default, proposes filter for fail-fast."""


def is_alias(flag: str) -> bool:
    """Return whether a flag is a name that other tools use for something that mcprun has too."""
    name = flag.lstrip("-")
    return name in _MEANT or any(name in names.split() for names, _, _ in _ADVICE)


def suggestion(flag: str, known: Collection[str]) -> str | None:
    """Return a sentence that names what exists for the purpose of an unknown flag; None if nothing is known.

    Args:
        flag: The flag as given, such as `--jobs` or `-n`.
        known: The flags of the command, short ones included.
    """
    import difflib

    name = flag.lstrip("-")
    if (option := _MEANT.get(name)) and f"--{option}" in known:
        return f"Did you mean --{option}?"
    for names, option, text in _ADVICE:
        if name in names.split() and (not option or f"--{option}" in known):
            return text
    longs = {long.removeprefix("--") for long in known if long.startswith("--")}
    close = [name] if name in longs else difflib.get_close_matches(name.lower(), sorted(longs), n=2, cutoff=_CUTOFF)
    return f"Did you mean {' or '.join(f'--{one}' for one in close)}?" if close else None
