"""The folders of `prompts/` that run real servers."""

from __future__ import annotations

FOLDERS = ("everything", "fetch", "filesystem", "git", "time")
