"""A misspelled `--model` names the one that was meant, if that is clear."""

from __future__ import annotations

import pytest

from mcprun.models.name_suggestions import similar_model


@pytest.mark.parametrize(
    ("spec", "meant"),
    [
        ("reply:latest", "replay:latest"), ("relpay:baseline", "replay:baseline"), ("Replay:x", "replay:x"), ("recorded:a/b", "replay:a/b"),
        ("replay", "replay:latest"), ("latest", "replay:latest"), ("reply:", "replay:latest"),
        ("scipt", "script"), ("scripts", "script"), ("Script", "script"), ("sript:", "script"), ("script:x", "script"),
        ("bedrok:x", "bedrock:x"), ("vertx:claude-opus-5", "vertex:claude-opus-5"), ("foundary:x", "foundry:x"), ("aws:x", "bedrock:x"),
        ("azure:x", "foundry:x"), ("google:x", "vertex:x"), ("anthropic:claude-sonnet-5-5", "claude-sonnet-5-5"), ("bedrok:", "bedrock:NAME"),
        ("claude-sonet-5-5", "claude-sonnet-5-5"), ("claud-opus-5", "claude-opus-5"), ("claude-hiaku-4-5", "claude-haiku-4-5"),
    ],
)  # fmt: skip
def test_a_misspelled_model_is_recognised(spec: str, meant: str) -> None:
    """Prefixes, `script` and the words of Claude's names are corrected."""
    assert similar_model(spec) == meant


@pytest.mark.parametrize(
    "spec",
    ["openai:gpt-4", "gpt-4", "llama3:8b", "claude-sonnet-5-5", "claude-3-5-sonnet-latest", "claude-mythos-1", "x", "", ":", "mistral"],
)  # fmt: skip
def test_nothing_is_proposed_for_other_names(spec: str) -> None:
    """Names of other providers, and valid ones of Claude's models, get no proposal."""
    assert similar_model(spec) == ""
