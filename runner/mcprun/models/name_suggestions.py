"""Suggest the `--model` that was meant by a name that no model has. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from mcprun._util.similar_names import similar_name
from mcprun.models.providers import KINDS

REPLAY = "replay"
SCRIPT = "script"

_PREFIXES: Mapping[str, str] = {
    "amazon": "bedrock",
    "aws": "bedrock",
    "azure": "foundry",
    "baseline": REPLAY,
    "gcp": "vertex",
    "google": "vertex",
    "microsoft": "foundry",
    "record": REPLAY,
    "recorded": REPLAY,
    "recording": REPLAY,
    "run": REPLAY,
}
"""Other names for a prefix."""

_WORDS = ("claude", "sonnet", "opus", "haiku")
"""The words in the names of Claude's models."""

_CUTOFF = 0.75
"""Least similarity of a misspelled word, as `difflib` measures it: of `reply` and `replay` it is 0.91."""


def similar_model(spec: str) -> str:
    """Return the value of `--model` that `spec` was probably meant to be, or an empty string if that is not clear."""
    prefix, mark, name = spec.partition(":")
    if mark:
        return _with_prefix(prefix.strip().lower(), name)
    if spec.lower() in (REPLAY, "latest"):
        return f"{REPLAY}:latest"
    if _close(spec, (SCRIPT,)):
        return SCRIPT
    words = spec.split("-")
    if not _close(words[0], ("claude",)):
        return ""
    meant = "-".join(_close(word, _WORDS) or word for word in words)
    return meant if meant != spec else ""


def _with_prefix(prefix: str, name: str) -> str:
    if prefix == "anthropic":
        return name
    meant = _PREFIXES.get(prefix) or _close(prefix, (*KINDS, REPLAY, SCRIPT))
    if meant == SCRIPT:
        return SCRIPT
    return f"{meant}:{name or ('latest' if meant == REPLAY else 'NAME')}" if meant else ""


def _close(word: str, known: tuple[str, ...]) -> str:
    """Return the known word that equals or resembles a word, or an empty string."""
    return word.lower() if word.lower() in known else similar_name(word, known, _CUTOFF)
